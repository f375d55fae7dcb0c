-- Named queries of the ledger: "-- name --" opens one, the line under it says what it is for.

-- take_lease --
-- Takes the lease when it is free or has run out; clock and decision are the database's, so skewed clients agree.
-- `dead` is the token of a holder whose process was seen to be gone: it need not run out.
UPDATE tenure.lease
   SET token = %(token)s, holder = %(holder)s, process = %(process)s, heartbeat = clock_timestamp(),
       expires = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE token IS NULL OR expires < clock_timestamp() OR token IN (%(token)s, %(dead)s)
RETURNING token

-- read_lease --
-- Who holds the lease, and whether it still runs.
SELECT token, holder, process, expires, expires > clock_timestamp() AS live FROM tenure.lease

-- beat_lease --
-- Prolongs the holder's lease; no row means that another took it over.
UPDATE tenure.lease
   SET heartbeat = clock_timestamp(), expires = clock_timestamp() + make_interval(secs => %(seconds)s)
 WHERE token = %(token)s
RETURNING token

-- drop_lease --
-- Gives the lease back.
UPDATE tenure.lease SET token = NULL, holder = NULL, process = NULL, heartbeat = NULL, expires = NULL WHERE token = %(token)s

-- insert_run --
-- Records a plan as a run.
INSERT INTO tenure.run (plan_hash, playbook_hash, plan) VALUES (%(plan_hash)s, %(playbook_hash)s, %(plan)s)
RETURNING id

-- latest_run --
-- The run that apply resumes and status shows.
SELECT id, plan_hash, playbook_hash, plan, state, reason, through, allowed, created_at, updated_at
  FROM tenure.run ORDER BY id DESC LIMIT 1

-- set_run_state --
-- Moves a run along its transition table. Here and below, a runner that lost its lease (`lease`) changes nothing.
UPDATE tenure.run
   SET state = %(state)s, reason = %(reason)s, updated_at = clock_timestamp()
 WHERE id = %(run)s
   AND (%(lease)s::uuid IS NULL OR EXISTS (SELECT 1 FROM tenure.lease l WHERE l.token = %(lease)s))
RETURNING id

-- set_run_target --
-- Records how far the operator asked to go, and the hazards allowed by name.
UPDATE tenure.run
   SET through = %(through)s, updated_at = clock_timestamp(),
       allowed = (SELECT coalesce(array_agg(DISTINCT a ORDER BY a), '{}') FROM unnest(allowed || %(allowed)s::text[]) a)
 WHERE id = %(run)s

-- upsert_operation --
-- Adopts an operation of a plan; one that changed since (another digest) starts again, the rest keeps its state.
INSERT INTO tenure.operation AS o (id, position, phase, store, object, kind, digest, body, planned)
VALUES (%(id)s, %(position)s, %(phase)s, %(store)s, %(object)s, %(kind)s, %(digest)s, %(body)s, %(planned)s)
ON CONFLICT (id) DO UPDATE
   SET position = excluded.position, body = excluded.body, digest = excluded.digest,
       state = CASE WHEN o.digest = excluded.digest THEN o.state ELSE 'planned' END,
       started_at = CASE WHEN o.digest = excluded.digest THEN o.started_at END,
       finished_at = CASE WHEN o.digest = excluded.digest THEN o.finished_at END

-- forget_ranges --
-- Ranges of operations that have to start again are planned anew.
DELETE FROM tenure.range r USING tenure.operation o
 WHERE o.id = r.operation AND o.state = 'planned' AND o.started_at IS NULL

-- operations --
-- All operations in order, with their counts.
SELECT id, position, phase, store, object, kind, digest, body, state, planned, changed, left_over, note, attempts,
       started_at, finished_at
  FROM tenure.operation ORDER BY position, id

-- operation --
-- One operation.
SELECT id, position, phase, store, object, kind, digest, body, state, planned, changed, left_over, note, attempts,
       started_at, finished_at
  FROM tenure.operation WHERE id = %(id)s

-- start_operation --
-- An attempt begins; the first one's start is kept.
UPDATE tenure.operation
   SET state = 'running', attempts = attempts + 1, started_at = coalesce(started_at, clock_timestamp()),
       finished_at = NULL, note = ''
 WHERE id = %(id)s
   AND (%(lease)s::uuid IS NULL OR EXISTS (SELECT 1 FROM tenure.lease l WHERE l.token = %(lease)s))
RETURNING id

-- plan_operation --
-- The exact number of items, counted before the first write.
UPDATE tenure.operation SET planned = %(planned)s WHERE id = %(id)s

-- finish_operation --
-- An operation ends; what it did adds up over attempts for short ones and comes from its ranges for long ones.
UPDATE tenure.operation
   SET state = %(state)s, changed = %(changed)s, left_over = %(left)s, note = %(note)s,
       planned = coalesce(%(planned)s, planned), finished_at = clock_timestamp()
 WHERE id = %(id)s
   AND (%(lease)s::uuid IS NULL OR EXISTS (SELECT 1 FROM tenure.lease l WHERE l.token = %(lease)s))
RETURNING id

-- forget_operation_ranges --
-- The ranges of an operation that was undone.
DELETE FROM tenure.range WHERE operation = %(id)s

-- forget_operation --
-- An operation that was undone is as if it had never begun.
UPDATE tenure.operation
   SET state = 'planned', attempts = 0, changed = 0, left_over = 0, note = '', started_at = NULL, finished_at = NULL
 WHERE id = %(id)s

-- still_held --
-- Whether a lease is still its holder's, and kept so until the end of the transaction.
SELECT token FROM tenure.lease WHERE token = %(lease)s FOR SHARE

-- insert_range --
-- Persists a slice before any is worked on.
INSERT INTO tenure.range (operation, number, bounds, planned)
VALUES (%(operation)s, %(number)s, %(bounds)s, %(planned)s)
ON CONFLICT DO NOTHING

-- claim_range --
-- Claims the next open range of an operation; one that a dead holder left is as good as a new one.
UPDATE tenure.range r
   SET token = %(token)s, state = 'running', updated_at = clock_timestamp()
 WHERE (%(lease)s::uuid IS NULL OR EXISTS (SELECT 1 FROM tenure.lease l WHERE l.token = %(lease)s))
   AND (r.operation, r.number) = (
       SELECT operation, number FROM tenure.range
        WHERE operation = %(operation)s AND state <> 'done' AND token IS DISTINCT FROM %(token)s
        ORDER BY number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING operation, number, bounds, cursor

-- advance_range --
-- Moves the cursor; no row means that another holder claimed the range, and the caller must take its batch back.
UPDATE tenure.range
   SET cursor = %(cursor)s, state = CASE WHEN %(finished)s THEN 'done' ELSE 'running' END,
       changed = changed + %(changed)s, seen = seen + %(seen)s, updated_at = clock_timestamp()
 WHERE operation = %(operation)s AND number = %(number)s AND token = %(token)s
RETURNING number

-- release_ranges --
-- A holder that stops in order frees what it had claimed.
UPDATE tenure.range SET token = NULL WHERE token = %(token)s AND state <> 'done'

-- range_totals --
-- How far a ranged operation is.
SELECT count(*) AS ranges, count(*) FILTER (WHERE state = 'done') AS done, coalesce(sum(planned), 0)::bigint AS planned,
       coalesce(sum(changed), 0)::bigint AS changed, coalesce(sum(seen), 0)::bigint AS seen
  FROM tenure.range WHERE operation = %(operation)s

-- insert_event --
-- What happened, for status and the report.
INSERT INTO tenure.event (run, kind, object, detail) VALUES (%(run)s, %(kind)s, %(object)s, %(detail)s)

-- quarantine_item --
-- Lists a quarantined item once; a second finding keeps the first reason.
INSERT INTO tenure.quarantine (store, object, item, reason) VALUES (%(store)s, %(object)s, %(item)s, %(reason)s)
ON CONFLICT (store, object, item) DO NOTHING

-- journal_item --
-- Keeps a before-image.
INSERT INTO tenure.journal (operation, store, object, item, before, after)
VALUES (%(operation)s, %(store)s, %(object)s, %(item)s, %(before)s, %(after)s)

-- baseline_put --
-- Keeps the first baseline of a name; later ones compare with it.
INSERT INTO tenure.baseline (name, object, body) VALUES (%(name)s, %(object)s, %(body)s)
ON CONFLICT (name, object) DO NOTHING

-- baseline_get --
-- Reads one baseline.
SELECT body FROM tenure.baseline WHERE name = %(name)s AND object = %(object)s

-- baseline_clear --
-- Everything was taken back.
DELETE FROM tenure.baseline

-- control_get --
-- Reads the limits and requests.
SELECT name, value FROM tenure.control

-- control_put --
-- Sets a limit or a request.
INSERT INTO tenure.control AS c (name, value) VALUES (%(name)s, %(value)s)
ON CONFLICT (name) DO UPDATE SET value = excluded.value, at = clock_timestamp()

-- events --
-- The events of a run, newest first.
SELECT kind, object, detail, at FROM tenure.event WHERE run = %(run)s ORDER BY id DESC LIMIT %(limit)s

-- fanout_offer --
-- Says what workers may take: an operation's ranges, or nothing just now. A runner that lost its lease changes nothing.
INSERT INTO tenure.fanout AS f (run, lease, version, playbook_hash, operation, workers, held, graph)
SELECT %(run)s, l.token, %(version)s, %(playbook_hash)s, %(operation)s, %(workers)s, %(held)s, %(graph)s
  FROM tenure.lease l WHERE l.token = %(lease)s
ON CONFLICT (singleton) DO UPDATE
   SET run = excluded.run, lease = excluded.lease, version = excluded.version, playbook_hash = excluded.playbook_hash,
       operation = excluded.operation, workers = excluded.workers, held = excluded.held,
       graph = excluded.graph
RETURNING run

-- fanout_close --
-- The run ends, or stops giving anything away.
DELETE FROM tenure.fanout WHERE lease = %(lease)s

-- fanout_close_others --
-- What a run that was killed had offered.
DELETE FROM tenure.fanout WHERE lease <> %(lease)s RETURNING run

-- fanout_read --
-- What workers may take, and whether the run that said so still holds its lease.
SELECT f.run, f.lease::text AS lease, f.version, f.playbook_hash, f.operation, f.workers, f.held, f.graph
  FROM tenure.fanout f JOIN tenure.lease l ON l.token = f.lease AND l.expires > clock_timestamp()

-- fanout_open --
-- Whether a run that gave something away has not ended in order.
SELECT EXISTS (SELECT 1 FROM tenure.fanout) AS open

-- workers_busy --
-- Whether a live worker has a range in hand.
SELECT EXISTS (SELECT 1 FROM tenure.range r JOIN tenure.worker w ON w.token = r.token
                WHERE r.state <> 'done' AND w.expires > clock_timestamp()) AS busy

-- fanout_lock --
-- How many ranges may be taken at once; locked, so that two workers never count the same free place.
SELECT f.workers FROM tenure.fanout f JOIN tenure.lease l ON l.token = f.lease AND l.expires > clock_timestamp()
 WHERE f.lease = %(lease)s AND f.operation = %(operation)s FOR UPDATE OF f

-- claim_shared --
-- Claims the next range that no live worker holds, within the limit over all of them; a worker that has its even share
-- leaves the rest to those that have not theirs yet.
WITH alive AS (
    SELECT w.token, w.threads, (SELECT count(*) FROM tenure.range t WHERE t.token = w.token AND t.state <> 'done') AS taken
      FROM tenure.worker w WHERE w.expires > clock_timestamp()
), even AS (
    SELECT sum(taken) AS taken, ceil(%(workers)s::numeric / greatest(count(*), 1)) AS share FROM alive
)
UPDATE tenure.range r
   SET token = %(token)s, state = 'running', updated_at = clock_timestamp()
  FROM even
 WHERE even.taken < %(workers)s
   AND EXISTS (SELECT 1 FROM alive WHERE token = %(token)s)
   AND ((SELECT taken FROM alive WHERE token = %(token)s) < even.share
        OR NOT EXISTS (SELECT 1 FROM alive a WHERE a.token <> %(token)s AND a.taken < least(a.threads, even.share)))
   AND (r.operation, r.number) = (
       SELECT o.operation, o.number FROM tenure.range o
        WHERE o.operation = %(operation)s AND o.state <> 'done'
          AND NOT EXISTS (SELECT 1 FROM tenure.worker w WHERE w.token = o.token AND w.expires > clock_timestamp())
        ORDER BY o.number LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING r.operation, r.number, r.bounds, r.cursor

-- range_standing --
-- How many open ranges of an operation live workers hold, and how many nobody does.
SELECT count(*) FILTER (WHERE w.token IS NOT NULL) AS taken, count(*) FILTER (WHERE w.token IS NULL) AS free
  FROM tenure.range r LEFT JOIN tenure.worker w ON w.token = r.token AND w.expires > clock_timestamp()
 WHERE r.operation = %(operation)s AND r.state <> 'done'

-- release_range --
-- A worker puts a range back; its cursor stays.
UPDATE tenure.range SET token = NULL WHERE operation = %(operation)s AND number = %(number)s AND token = %(token)s

-- worker_beat --
-- A worker's sign of life: the clock is the database's.
INSERT INTO tenure.worker AS w (token, holder, process, version, threads, heartbeat, expires)
VALUES (%(token)s, %(holder)s, %(process)s, %(version)s, %(threads)s, clock_timestamp(),
        clock_timestamp() + make_interval(secs => %(seconds)s))
ON CONFLICT (token) DO UPDATE SET heartbeat = excluded.heartbeat, expires = excluded.expires

-- worker_leave --
-- A worker ends, or was seen to be gone.
DELETE FROM tenure.worker WHERE token = %(token)s RETURNING token

-- workers --
-- Everybody who takes ranges, with what they hold.
SELECT w.token::text AS token, w.holder, w.process, w.version, w.threads, w.since, w.heartbeat,
       w.expires > clock_timestamp() AS live,
       extract(epoch FROM clock_timestamp() - w.heartbeat)::float8 AS silent,
       (SELECT count(*) FROM tenure.range r WHERE r.token = w.token AND r.state <> 'done') AS ranges,
       (SELECT min(r.operation) FROM tenure.range r WHERE r.token = w.token AND r.state <> 'done') AS operation
  FROM tenure.worker w ORDER BY w.since, w.holder

-- workers_forget --
-- Those of whom nothing was heard for long; what they held is free already.
DELETE FROM tenure.worker WHERE expires < clock_timestamp() - interval '10 minutes'

-- range_failed --
-- Keeps what went wrong with a range in a worker's hands.
INSERT INTO tenure.range_failure (operation, number, holder, problem)
VALUES (%(operation)s, %(number)s, %(holder)s, %(problem)s)

-- range_failures --
-- The ranges that failed most, with the newest reason.
SELECT number, count(*) AS times, (array_agg(holder ORDER BY at DESC))[1] AS holder,
       (array_agg(problem ORDER BY at DESC))[1] AS problem
  FROM tenure.range_failure WHERE operation = %(operation)s GROUP BY number ORDER BY count(*) DESC, number LIMIT 1

-- range_failures_forget --
-- A new attempt starts with none.
DELETE FROM tenure.range_failure WHERE operation = %(operation)s
