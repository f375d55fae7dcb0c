"""What Postgres says of its health: replicas, slots, checkpoints, dead rows, held snapshots, and those who wait for us.

Every statement reads views that any role may read; what a view hides from a role without `pg_read_all_stats` makes its
gauge unreadable, and is said. Columns that came with later versions are read through `to_jsonb`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any

from psycopg import errors
from psycopg.rows import dict_row

from tenure.runner.throttle import Gauge, Hold, UnreadableError, over

if TYPE_CHECKING:
    from tenure.operations.base import Operation
    from tenure.playbook.limits import Thresholds
    from tenure.stores.postgres import PostgresStore

GRANT = "`GRANT pg_read_all_stats TO` the role that tenure uses."
# How far back positions of the log are remembered, to tell how old the one is that a replica stands at.
REMEMBERED_SECONDS = 3600
# Below this many dead rows a share says nothing: a small table is written in one pass.
DEAD_ROWS_MATTER = 20_000
# A slot that the server bounds (max_slot_wal_keep_size) is lost when it is full; tenure stops before that.
SLOT_SHARE = 0.8

# Streaming replicas with how far they have replayed. Logical walsenders confirm only what concerns them, and
# pg_receivewal replays nothing: the slots tell of both.
_REPLICAS = """
SELECT coalesce(nullif(r.application_name, ''), r.pid::text) AS name, r.state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::float8 AS behind,
       pg_wal_lsn_diff(r.replay_lsn, '0/0')::float8 AS replayed,
       coalesce(extract(epoch FROM r.replay_lag), 0)::float8 AS measured
  FROM pg_stat_replication r
 WHERE NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
   AND (r.state IS NULL OR (r.state = 'streaming' AND r.replay_lsn IS NOT NULL))"""
_POSITION = "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS position"

_SLOTS = """
SELECT s.slot_name AS name, s.active, pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::float8 AS kept,
       (to_jsonb(s) ->> 'safe_wal_size')::float8 AS safe
  FROM pg_replication_slots s
 WHERE s.restart_lsn IS NOT NULL AND coalesce(to_jsonb(s) ->> 'wal_status', '') <> 'lost'"""

_CHECKPOINTS = {
    True: "SELECT num_requested AS requested FROM pg_stat_checkpointer",
    False: "SELECT checkpoints_req AS requested FROM pg_stat_bgwriter",
}
CHECKPOINTER_VIEW = 170000

# Whoever holds back the horizon of this database's tables, and since when for certain: a statement's snapshot is as old
# as the statement, that of a transaction between two statements older than its idling. Vacuum holds nothing back.
_HOLDERS = """
SELECT 'the session of ' || coalesce(a.usename, '?') || coalesce(' (' || nullif(a.application_name, '') || ')', '')
         || ', pid ' || a.pid AS name,
       CASE WHEN a.backend_xmin IS NULL OR age(a.backend_xid) > age(a.backend_xmin) THEN a.backend_xid
            ELSE a.backend_xmin END::text AS horizon,
       coalesce(extract(epoch FROM clock_timestamp() - a.state_change), 0)::float8 AS seconds
  FROM pg_stat_activity a
 WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.application_name <> 'tenure'
   AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
   AND coalesce(a.backend_type, 'client backend') = 'client backend'
   AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum v WHERE v.pid = a.pid)
UNION ALL
SELECT 'the prepared transaction ' || gid, transaction::text,
       extract(epoch FROM clock_timestamp() - prepared)::float8
  FROM pg_prepared_xacts WHERE database = current_database()
UNION ALL
SELECT 'the replication slot ' || slot_name, xmin::text, 0 FROM pg_replication_slots WHERE xmin IS NOT NULL
UNION ALL
SELECT 'the replica ' || coalesce(nullif(application_name, ''), pid::text), backend_xmin::text, 0
  FROM pg_stat_replication WHERE backend_xmin IS NOT NULL"""

# pg_blocking_pids is asked of those who wait, which are few: it stops the lock manager for a moment.
_WAITERS = """
WITH ours AS (SELECT array_agg(pid) AS pids FROM pg_stat_activity WHERE application_name = 'tenure')
SELECT l.pid, coalesce(nullif(a.application_name, ''), '') AS name,
       coalesce(extract(epoch FROM clock_timestamp() - (to_jsonb(l) ->> 'waitstart')::timestamptz), {unknown})::float8
         AS seconds
  FROM pg_locks l CROSS JOIN ours LEFT JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE NOT l.granted AND NOT l.pid = ANY (ours.pids) AND pg_blocking_pids(l.pid) && ours.pids"""
WAITSTART = 140000

# The statistics are empty after a crash and in a copied database: then the catalog's own estimate counts, and where
# there is none either, nothing is known.
_DEAD = """
SELECT n.nspname AS schema, c.relname AS name, pg_stat_get_dead_tuples(c.oid)::float8 AS dead,
       greatest(pg_stat_get_live_tuples(c.oid), c.reltuples)::float8 AS live,
       EXISTS (SELECT FROM pg_stat_progress_vacuum v JOIN pg_stat_activity a USING (pid)
                WHERE v.relid = c.oid AND a.query LIKE 'autovacuum:%%(to prevent wraparound)%%') AS urgent
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN unnest(%(schemas)s::text[], %(names)s::text[]) AS t (schema, name)
    ON n.nspname = t.schema AND c.relname = t.name"""


# Sessions that work at this moment and are not tenure's. A role without pg_read_all_stats sees no states but its own.
_OTHERS = """
SELECT count(*) FILTER (WHERE state = 'active') AS working, count(*) FILTER (WHERE state IS NULL) AS hidden
  FROM pg_stat_activity
 WHERE coalesce(backend_type, 'client backend') = 'client backend' AND application_name <> 'tenure'"""


def postgres_gauges(store: PostgresStore) -> list[Gauge]:
    """Return the gauges of a Postgres database."""
    return [
        ReplicationLag(store),
        ReplicationBytes(store),
        SlotWal(store),
        Checkpoints(store),
        Autovacuum(store),
        Snapshot(store),
        LockWait(store),
    ]


class _Reading:
    """What the gauges share: a query on a connection of the pool."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def _rows(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Errors: UnreadableError when the role may not read a view, or the server has none."""
        try:
            with self._store.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(query.encode(), parameters).fetchall()
        except errors.InsufficientPrivilege as error:
            raise UnreadableError(f"{_line(error)}. {GRANT}") from error
        except (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction) as error:
            raise UnreadableError(f"this server has no such figures ({_line(error)}).") from error
        except (errors.FeatureNotSupported, errors.ObjectNotInPrerequisiteState) as error:
            raise UnreadableError(f"{_line(error)}.") from error

    def _version(self) -> int:
        with self._store.connection() as connection:
            return connection.info.server_version


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


def _replicas(reading: _Reading, thresholds: Thresholds) -> list[dict[str, Any]]:
    rows = reading._rows(_REPLICAS)
    if any(row["state"] is None for row in rows):
        raise UnreadableError(f"the role may not see how far the replicas are. {GRANT}")
    return [row for row in rows if row["name"] not in thresholds.ignore_replicas]


class ReplicationLag(_Reading):
    """How long ago the server wrote what a replica has replayed last.

    The server's own figure stands still while a replica's replay does, so positions are remembered with their time.
    """

    limit = "replication_lag"

    def __init__(self, store: PostgresStore) -> None:
        """Remember nothing yet."""
        super().__init__(store)
        self._past: deque[tuple[float, float]] = deque(maxlen=REMEMBERED_SECONDS)

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold for every streaming replica that is further behind than its limit."""
        limit, now = thresholds.replication_lag or 0.0, monotonic()
        # The position first: what a replica replays in between must not make it seem behind.
        self._past.append((now, self._rows(_POSITION)[0]["position"]))
        for row in _replicas(self, thresholds):
            seconds = max(self._age(row["replayed"], now), row["measured"]) if row["behind"] > 0 else 0.0
            if over(seconds, limit, held):
                yield Hold(
                    self.limit,
                    f"replica {row['name']} is {seconds:.0f} s behind ({self.limit} {limit:g}s)",
                    row["name"],
                )

    def _age(self, replayed: float, now: float) -> float:
        """Return how many seconds ago the log was first seen beyond *replayed*."""
        return max((now - at for at, position in self._past if position > replayed), default=0.0)


class ReplicationBytes(_Reading):
    """How much a replica has still to replay."""

    limit = "replication_bytes"

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold for every streaming replica that has more to replay than its limit."""
        limit = thresholds.replication_bytes or 0
        for row in _replicas(self, thresholds):
            if over(row["behind"], limit, held):
                text = f"replica {row['name']} has {size(row['behind'])} to replay ({self.limit} {size(limit)})"
                yield Hold(self.limit, text, row["name"])


class SlotWal(_Reading):
    """How much of the log a replication slot keeps on disk."""

    limit = "slot_wal"

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold for every slot that keeps more than the limit, or most of what the server lets it keep."""
        for row in self._rows(_SLOTS):
            limit = float(thresholds.slot_wal or 0)
            if row["safe"] is not None:
                limit = min(limit, SLOT_SHARE * (row["kept"] + row["safe"]))
            if over(row["kept"], limit, held):
                reader = "" if row["active"] else ", which nobody reads,"
                kept = f"keeps {size(row['kept'])} of WAL ({self.limit} {size(limit)})"
                yield Hold(self.limit, f"replication slot {row['name']}{reader} {kept}", row["name"])


class Checkpoints(_Reading):
    """Checkpoints that the volume of WAL forces, too soon after one another."""

    limit = "checkpoints"

    def __init__(self, store: PostgresStore) -> None:
        """Have seen none yet."""
        super().__init__(store)
        self._seen: int | None = None
        self._last: float | None = None
        self._until = 0.0

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold until the least time since the last one is over, once one came before it was."""
        least, now = thresholds.checkpoints or 0.0, monotonic()
        requested = int(self._rows(_CHECKPOINTS[self._version() >= CHECKPOINTER_VIEW])[0]["requested"])
        if self._seen is not None and requested > self._seen:
            if self._last is not None and now - self._last < least:
                self._until = now + least
            self._last = now
        self._seen = requested
        if now < self._until:
            yield Hold(self.limit, f"WAL forces checkpoints less than {least:g} s apart ({self.limit} {least:g}s)")


class Autovacuum(_Reading):
    """Dead rows that vacuum does not keep up with, and a vacuum that must not be held up."""

    limit = "autovacuum"

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold for the operation's tables, for as long as patience lasts: vacuum may be off, or kept from its work."""
        tables = getattr(operation, "leaves", ())
        named = {"schemas": [table.schema_name for table in tables], "names": [table.name for table in tables]}
        share = thresholds.autovacuum or 0.0
        for row in self._rows(_DEAD, named) if tables else []:
            name = row["name"] if row["schema"] == "public" else f"{row['schema']}.{row['name']}"
            if row["urgent"]:
                yield Hold(self.limit, f"{name} is vacuumed against wraparound", f"{name} wraparound", curable=False)
            elif row["live"] > 0 and row["dead"] > DEAD_ROWS_MATTER and over(row["dead"], share * row["live"], held):
                text = f"{row['dead']:,.0f} dead rows of {name} wait for vacuum ({self.limit} {share:.0%} of its rows)"
                yield Hold(self.limit, text, name, curable=False)


class Snapshot(_Reading):
    """Whoever keeps dead rows from being pruned; a backfill would then make the table grow instead."""

    limit = "snapshot"

    def __init__(self, store: PostgresStore) -> None:
        """Have seen nobody yet."""
        super().__init__(store)
        self._since: dict[tuple[str, str], float] = {}

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterator[Hold]:
        """Hold for everybody who has held the same horizon for longer than the limit, for as long as patience lasts."""
        limit, now = thresholds.snapshot or 0.0, monotonic()
        rows = {(row["name"], row["horizon"]): row["seconds"] for row in self._rows(_HOLDERS)}
        self._since = {key: self._since.get(key, now - seconds) for key, seconds in rows.items()}
        for (name, horizon), since in self._since.items():
            if now - since > limit:
                text = f"{name} has held back vacuum for {now - since:.0f} s ({self.limit} {limit:g}s)"
                yield Hold(self.limit, text, f"{name} {horizon}", curable=False)


class LockWait(_Reading):
    """Somebody who waits for a lock that a batch holds."""

    limit = "lock_wait"

    def read(self, thresholds: Thresholds, operation: Operation, held: bool) -> Iterable[Hold]:
        """Hold until nobody waits any more, and ask for smaller batches; servers before 14 do not say for how long."""
        limit = thresholds.lock_wait or 0.0
        unknown = "0" if self._version() >= WAITSTART else "'infinity'"
        rows = [row for row in self._rows(_WAITERS.format(unknown=unknown)) if row["seconds"] >= limit]
        if not rows:
            return []
        who = ", ".join(sorted({row["name"] or f"pid {row['pid']}" for row in rows}))
        return [Hold(self.limit, f"{len(rows)} session(s) wait for a lock of ours ({who})", press=True)]


class Others(_Reading):
    """How many sessions of others are at work."""

    limit = "beside"

    def count(self) -> int:
        """Return how many sessions of others run a statement at this moment. Errors: UnreadableError."""
        row = self._rows(_OTHERS)[0]
        if row["hidden"]:
            raise UnreadableError(f"the role may not see whether other sessions are at work. {GRANT}")
        return int(row["working"])


def size(count: float) -> str:
    """Return bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"
