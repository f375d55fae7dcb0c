-- The ledger: every statement may be repeated. "Done" is what these tables say, not what a store looks like.
CREATE SCHEMA IF NOT EXISTS tenure;

-- One row: who may write. A token is handed out per holder and never again; ranges carry it (fencing).
CREATE TABLE IF NOT EXISTS tenure.lease (
    singleton   boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    token       uuid,
    holder      text,
    -- Names the holder's process for others on its machine, who can see that it is gone (runner/process.py).
    process     text,
    heartbeat   timestamptz,
    expires     timestamptz
);
INSERT INTO tenure.lease (singleton) VALUES (true) ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS tenure.run (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_hash     text NOT NULL,
    playbook_hash text NOT NULL,
    plan          jsonb NOT NULL,
    state         text NOT NULL DEFAULT 'planned',
    reason        text NOT NULL DEFAULT '',
    through       text NOT NULL DEFAULT '',
    allowed       text[] NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by    text NOT NULL DEFAULT current_user
);

CREATE TABLE IF NOT EXISTS tenure.operation (
    id          text PRIMARY KEY,
    position    integer NOT NULL,
    phase       text NOT NULL,
    store       text NOT NULL,
    object      text NOT NULL,
    kind        text NOT NULL,
    digest      text NOT NULL,
    body        jsonb NOT NULL,
    state       text NOT NULL DEFAULT 'planned',
    planned     bigint,
    changed     bigint NOT NULL DEFAULT 0,
    left_over   bigint NOT NULL DEFAULT 0,
    note        text NOT NULL DEFAULT '',
    attempts    integer NOT NULL DEFAULT 0,
    started_at  timestamptz,
    finished_at timestamptz
);

-- Slices of ranged operations, persisted before the first is worked on; the cursor commits with the data.
CREATE TABLE IF NOT EXISTS tenure.range (
    operation  text NOT NULL REFERENCES tenure.operation ON DELETE CASCADE,
    number     integer NOT NULL,
    bounds     jsonb NOT NULL,
    cursor     jsonb,
    state      text NOT NULL DEFAULT 'planned',
    token      uuid,
    planned    bigint NOT NULL DEFAULT 0,
    changed    bigint NOT NULL DEFAULT 0,
    seen       bigint NOT NULL DEFAULT 0,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (operation, number)
);
CREATE INDEX IF NOT EXISTS range_open ON tenure.range (operation, number) WHERE state <> 'done';

-- Before-images: what undo puts back. `item` names the row, node, relationship or point by its own identity.
CREATE TABLE IF NOT EXISTS tenure.journal (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    operation text NOT NULL,
    store     text NOT NULL,
    object    text NOT NULL,
    item      jsonb NOT NULL,
    before    jsonb,
    after     jsonb,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS journal_operation ON tenure.journal (operation, id);

CREATE TABLE IF NOT EXISTS tenure.quarantine (
    store       text NOT NULL,
    object      text NOT NULL,
    item        jsonb NOT NULL,
    reason      text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    released_to text,
    released_at timestamptz,
    PRIMARY KEY (store, object, item)
);

-- What disagreed before tenure came: one row per check and object, the ids folded into a fingerprint.
CREATE TABLE IF NOT EXISTS tenure.baseline (
    name        text NOT NULL,
    object      text NOT NULL,
    body        jsonb NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (name, object)
);

-- Decisions of the playbook that statements and triggers look up.
CREATE TABLE IF NOT EXISTS tenure.alias (value text PRIMARY KEY, tenant text NOT NULL);
CREATE TABLE IF NOT EXISTS tenure.mapping (
    name   text NOT NULL,
    value  text NOT NULL,
    tenant text NOT NULL,
    PRIMARY KEY (name, value)
);

-- Limits that `tenure limit` sets while a run is under way, and requests to pause or go on.
CREATE TABLE IF NOT EXISTS tenure.control (
    name  text PRIMARY KEY,
    value text NOT NULL,
    at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS tenure.event (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run    bigint,
    kind   text NOT NULL,
    object text NOT NULL DEFAULT '',
    detail text NOT NULL DEFAULT '',
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What the run under way gives away to workers on other machines; valid while its lease is. `operation` is the one whose
-- ranges may be taken now, `workers` how many at once, over all of them; `held`: no batch may begin, a store suffers;
-- `graph`: Neo4j's own name for the database, which the same address need not mean on another machine.
CREATE TABLE IF NOT EXISTS tenure.fanout (
    singleton     boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    run           bigint NOT NULL,
    lease         uuid NOT NULL,
    version       text NOT NULL,
    playbook_hash text NOT NULL,
    operation     text,
    workers       integer NOT NULL DEFAULT 0,
    held          boolean NOT NULL DEFAULT false,
    graph         text NOT NULL DEFAULT ''
);

-- One row a worker process: ranges carry its token, and are anybody's once it has run out.
CREATE TABLE IF NOT EXISTS tenure.worker (
    token     uuid PRIMARY KEY,
    holder    text NOT NULL,
    process   text NOT NULL,
    version   text NOT NULL,
    threads   integer NOT NULL,
    since     timestamptz NOT NULL DEFAULT clock_timestamp(),
    heartbeat timestamptz NOT NULL,
    expires   timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS range_taken ON tenure.range (token) WHERE state <> 'done';

-- What went wrong with ranges in the hands of workers: the same one too often ends the run.
CREATE TABLE IF NOT EXISTS tenure.range_failure (
    operation text NOT NULL,
    number    integer NOT NULL,
    holder    text NOT NULL,
    problem   text NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
);
