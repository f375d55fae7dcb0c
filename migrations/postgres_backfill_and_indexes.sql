-- postgres_backfill_and_indexes.sql: project_id on every row, and uniqueness per project_id.
--
-- psql -q -v ON_ERROR_STOP=1 -f postgres_backfill_and_indexes.sql (not with -1: the backfill commits batch by batch).
-- May be run again at any time: what is done is found done. The application may go on meanwhile.
-- It stops before it changes anything when rows have no owner that the playbook accepts.
--
-- Rendered by `tenure render`; change the playbook, not this file.
-- playbook 06f95fb3fb1eb58d7666c51765ef7da343580bf20aed9629648de3bb4afdb57b
-- plan     965a18ab7ce99f200d02a62fb18faae7672789fc2f6b30c5239182aedf9e0a2e

SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SET statement_timeout = 0;
-- A statement that has to wait for a lock makes others wait behind it: rather fail, and run the file again.
SET lock_timeout = '5s';
SET client_min_messages = warning;
-- Fails at once where the file is run inside one transaction, in which the backfill could not commit.
DO $do$
BEGIN
    COMMIT;
END
$do$;

-- 1. Tables of tenure's own, and the playbook's decisions that statements look up.

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

-- load the aliases from tenants.csv into the ledger
BEGIN;
DELETE FROM tenure.alias;
INSERT INTO tenure.alias (value, tenant) VALUES ('21c2af8e-350f-5b88-8061-0a3c30c4f47e', 'cuidados-2025'),
    ('34078665-9e78-5954-9cd0-2bc2ec94eec6', 'salud-barrial'),
    ('46095524-392a-51f5-8e0f-2fa4881e9976', 'agua-rural'),
    ('47c773a9-bfe9-5e98-a742-61028c3a96b9', 'escuela-sur'),
    ('8009c14c-3a52-58d3-b037-9977bdc72227', 'migra-norte'),
    ('95bb46d2-da73-5cee-9d41-e893640d8cc2', 'pesca-artesanal'),
    ('AGUA RURAL', 'agua-rural'),
    ('AGUA-RURAL', 'agua-rural'),
    ('CUIDADOS 2025', 'cuidados-2025'),
    ('CUIDADOS-2025', 'cuidados-2025'),
    ('ESCUELA SUR', 'escuela-sur'),
    ('ESCUELA-SUR', 'escuela-sur'),
    ('JD 007', 'jd-007'),
    ('JD-007', 'jd-007'),
    ('MEMORIA PUERTO', 'memoria-puerto'),
    ('MEMORIA-PUERTO', 'memoria-puerto'),
    ('MIGRA NORTE', 'migra-norte'),
    ('MIGRA-NORTE', 'migra-norte'),
    ('PESCA ARTESANAL', 'pesca-artesanal'),
    ('PESCA-ARTESANAL', 'pesca-artesanal'),
    ('SALUD BARRIAL', 'salud-barrial'),
    ('SALUD-BARRIAL', 'salud-barrial'),
    ('a28f8ff2-0dd4-57fa-96d1-74a8e8190aac', 'jd-007'),
    ('e25803e3-545f-5a6f-81eb-ad0852737d2c', 'memoria-puerto');
COMMIT;

-- What was there before: later, the keys written here could not be told from the application's.
INSERT INTO tenure.baseline (name, object, body) VALUES ('catalog', '', $catalog${"postgres": {"server_version": 180006,
"database": "app",
"role": {"name": "postgres", "superuser": true, "bypasses_rls": true, "can_set_replication_role": true, "can_create_schema": true, "can_create_temp": true},
"tables": [
{"name": "analisis_axial", "owner": "postgres", "columns": [{"name": "categoria", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "codigo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "relacion", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "proyecto", "type": "text", "text_like": true, "base_type": "text"}, {"name": "archivo", "type": "text", "text_like": true, "base_type": "text"}, {"name": "memo", "type": "text", "text_like": true, "base_type": "text"}, {"name": "evidencia", "type": "text[]", "nullable": false, "default": "'{}'::text[]", "base_type": "text[]"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["categoria", "codigo", "relacion"], "indexes": [{"name": "analisis_axial_pkey", "definition": "CREATE UNIQUE INDEX analisis_axial_pkey ON public.analisis_axial USING btree (categoria, codigo, relacion)", "columns": ["categoria", "codigo", "relacion"], "unique": true, "primary": true, "parts": ["categoria", "codigo", "relacion"], "constraint": "analisis_axial_pkey", "constraint_definition": "PRIMARY KEY (categoria, codigo, relacion)", "size_bytes": 57344}, {"name": "axial_codigo_idx", "definition": "CREATE INDEX axial_codigo_idx ON public.analisis_axial USING btree (codigo)", "columns": ["codigo"], "parts": ["codigo"], "size_bytes": 49152}], "checks": [{"name": "axial_relacion_check", "definition": "CHECK ((relacion = ANY (ARRAY['partede'::text, 'causa'::text, 'condicion'::text, 'consecuencia'::text])))"}], "estimated_rows": 508, "pages": 24, "size_bytes": 311296},
{"name": "analisis_codigos_abiertos", "owner": "postgres", "columns": [{"name": "fragmento_id", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "codigo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "proyecto", "type": "text", "text_like": true, "base_type": "text"}, {"name": "archivo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "cita", "type": "text", "text_like": true, "base_type": "text"}, {"name": "fuente", "type": "text", "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["fragmento_id", "codigo"], "indexes": [{"name": "analisis_codigos_abiertos_pkey", "definition": "CREATE UNIQUE INDEX analisis_codigos_abiertos_pkey ON public.analisis_codigos_abiertos USING btree (fragmento_id, codigo)", "columns": ["fragmento_id", "codigo"], "unique": true, "primary": true, "parts": ["fragmento_id", "codigo"], "constraint": "analisis_codigos_abiertos_pkey", "constraint_definition": "PRIMARY KEY (fragmento_id, codigo)", "size_bytes": 98304}, {"name": "codigos_abiertos_codigo_idx", "definition": "CREATE INDEX codigos_abiertos_codigo_idx ON public.analisis_codigos_abiertos USING btree (codigo)", "columns": ["codigo"], "parts": ["codigo"], "size_bytes": 57344}], "foreign_keys": [{"name": "analisis_codigos_abiertos_fragmento_id_fkey", "columns": ["fragmento_id"], "ref_table": "entrevista_fragmentos", "ref_columns": ["id"], "on_delete": "CASCADE", "ref_index": "entrevista_fragmentos_pkey", "definition": "FOREIGN KEY (fragmento_id) REFERENCES public.entrevista_fragmentos(id) ON DELETE CASCADE"}], "estimated_rows": 745, "pages": 36, "size_bytes": 458752},
{"name": "analisis_nucleo_notas", "owner": "postgres", "columns": [{"name": "id", "type": "bigint", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "bigint"}, {"name": "proyecto", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "categoria", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "nota", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "analisis_nucleo_notas_pkey", "definition": "CREATE UNIQUE INDEX analisis_nucleo_notas_pkey ON public.analisis_nucleo_notas USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "analisis_nucleo_notas_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}, {"name": "nucleo_notas_proyecto_categoria_key", "definition": "CREATE UNIQUE INDEX nucleo_notas_proyecto_categoria_key ON public.analisis_nucleo_notas USING btree (proyecto, categoria)", "columns": ["proyecto", "categoria"], "unique": true, "parts": ["proyecto", "categoria"], "constraint": "nucleo_notas_proyecto_categoria_key", "constraint_definition": "UNIQUE (proyecto, categoria)", "size_bytes": 16384}], "estimated_rows": 88, "pages": 2, "size_bytes": 57344},
{"name": "analysis_memos", "owner": "postgres", "columns": [{"name": "id", "type": "uuid", "nullable": false, "default": "gen_random_uuid()", "uuid_like": true, "base_type": "uuid", "id_versions": ["4"]}, {"name": "fragmento_id", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "titulo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "contenido", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "archivado", "type": "boolean", "nullable": false, "default": "false", "base_type": "boolean"}, {"name": "autor_id", "type": "integer", "integer_like": true, "base_type": "integer"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}, {"name": "updated_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "analysis_memos_pkey", "definition": "CREATE UNIQUE INDEX analysis_memos_pkey ON public.analysis_memos USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "analysis_memos_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}, {"name": "memos_fragmento_idx", "definition": "CREATE INDEX memos_fragmento_idx ON public.analysis_memos USING btree (fragmento_id)", "columns": ["fragmento_id"], "parts": ["fragmento_id"], "size_bytes": 16384}, {"name": "memos_titulo_activo_key", "definition": "CREATE UNIQUE INDEX memos_titulo_activo_key ON public.analysis_memos USING btree (lower(titulo)) WHERE (NOT archivado)", "columns": [null], "unique": true, "predicate": "(NOT archivado)", "expressions": ["lower(titulo)"], "parts": ["lower(titulo)"], "size_bytes": 16384}], "foreign_keys": [{"name": "analysis_memos_autor_id_fkey", "columns": ["autor_id"], "ref_table": "app_users", "ref_columns": ["id"], "on_delete": "SET NULL", "ref_index": "app_users_pkey", "definition": "FOREIGN KEY (autor_id) REFERENCES public.app_users(id) ON DELETE SET NULL"}, {"name": "analysis_memos_fragmento_id_fkey", "columns": ["fragmento_id"], "ref_table": "entrevista_fragmentos", "ref_columns": ["id"], "on_delete": "CASCADE", "ref_index": "entrevista_fragmentos_pkey", "definition": "FOREIGN KEY (fragmento_id) REFERENCES public.entrevista_fragmentos(id) ON DELETE CASCADE"}], "triggers": [{"name": "memos_touch", "function": "touch_updated_at", "events": ["UPDATE"], "definition": "CREATE TRIGGER memos_touch BEFORE UPDATE ON public.analysis_memos FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"}], "estimated_rows": 96, "pages": 2, "size_bytes": 73728},
{"name": "api_idempotency", "owner": "postgres", "columns": [{"name": "endpoint", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "key", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "proyecto", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "response", "type": "jsonb", "base_type": "jsonb"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["endpoint", "key"], "indexes": [{"name": "api_idempotency_pkey", "definition": "CREATE UNIQUE INDEX api_idempotency_pkey ON public.api_idempotency USING btree (endpoint, key)", "columns": ["endpoint", "key"], "unique": true, "primary": true, "parts": ["endpoint", "key"], "constraint": "api_idempotency_pkey", "constraint_definition": "PRIMARY KEY (endpoint, key)", "size_bytes": 40960}], "estimated_rows": 146, "pages": 3, "size_bytes": 73728},
{"name": "app_users", "owner": "postgres", "columns": [{"name": "id", "type": "integer", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "integer"}, {"name": "email", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "nombre", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "organization_id", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "app_users_email_key", "definition": "CREATE UNIQUE INDEX app_users_email_key ON public.app_users USING btree (lower(email))", "columns": [null], "unique": true, "expressions": ["lower(email)"], "parts": ["lower(email)"], "size_bytes": 16384}, {"name": "app_users_pkey", "definition": "CREATE UNIQUE INDEX app_users_pkey ON public.app_users USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "app_users_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "estimated_rows": 12, "pages": 1, "size_bytes": 49152},
{"name": "codigo_citas", "owner": "postgres", "columns": [{"name": "id", "type": "bigint", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "bigint"}, {"name": "fragmento_id", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "codigo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "orden", "type": "integer", "nullable": false, "integer_like": true, "base_type": "integer"}, {"name": "texto", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}], "primary_key": ["id"], "indexes": [{"name": "codigo_citas_orden_key", "definition": "CREATE UNIQUE INDEX codigo_citas_orden_key ON public.codigo_citas USING btree (fragmento_id, codigo, orden)", "columns": ["fragmento_id", "codigo", "orden"], "unique": true, "parts": ["fragmento_id", "codigo", "orden"], "constraint": "codigo_citas_orden_key", "constraint_definition": "UNIQUE (fragmento_id, codigo, orden)", "size_bytes": 57344}, {"name": "codigo_citas_pkey", "definition": "CREATE UNIQUE INDEX codigo_citas_pkey ON public.codigo_citas USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "codigo_citas_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "foreign_keys": [{"name": "codigo_citas_codigo_fkey", "columns": ["fragmento_id", "codigo"], "ref_table": "analisis_codigos_abiertos", "ref_columns": ["fragmento_id", "codigo"], "on_delete": "CASCADE", "on_update": "CASCADE", "ref_index": "analisis_codigos_abiertos_pkey", "definition": "FOREIGN KEY (fragmento_id, codigo) REFERENCES public.analisis_codigos_abiertos(fragmento_id, codigo) ON UPDATE CASCADE ON DELETE CASCADE"}], "estimated_rows": 252, "pages": 5, "size_bytes": 122880},
{"name": "codigos_candidatos", "owner": "postgres", "columns": [{"name": "id", "type": "integer", "nullable": false, "default": "nextval('public.codigos_candidatos_id_seq'::regclass)", "integer_like": true, "sequence": true, "base_type": "integer"}, {"name": "proyecto", "type": "text", "text_like": true, "base_type": "text"}, {"name": "codigo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "cita", "type": "text", "text_like": true, "base_type": "text"}, {"name": "fragmento_id", "type": "text", "text_like": true, "base_type": "text"}, {"name": "archivo", "type": "text", "text_like": true, "base_type": "text"}, {"name": "fuente_origen", "type": "text", "nullable": false, "default": "'manual'::text", "text_like": true, "base_type": "text"}, {"name": "score_confianza", "type": "double precision", "base_type": "double precision"}, {"name": "estado", "type": "text", "nullable": false, "default": "'pendiente'::text", "text_like": true, "base_type": "text"}, {"name": "memo", "type": "text", "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}, {"name": "updated_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "candidatos_codigo_fragmento_key", "definition": "CREATE UNIQUE INDEX candidatos_codigo_fragmento_key ON public.codigos_candidatos USING btree (codigo, fragmento_id) NULLS NOT DISTINCT", "columns": ["codigo", "fragmento_id"], "unique": true, "parts": ["codigo", "fragmento_id"], "nulls_not_distinct": true, "constraint": "candidatos_codigo_fragmento_key", "constraint_definition": "UNIQUE NULLS NOT DISTINCT (codigo, fragmento_id)", "size_bytes": 16384}, {"name": "codigos_candidatos_pkey", "definition": "CREATE UNIQUE INDEX codigos_candidatos_pkey ON public.codigos_candidatos USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "codigos_candidatos_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "triggers": [{"name": "candidatos_touch", "function": "touch_updated_at", "events": ["UPDATE"], "definition": "CREATE TRIGGER candidatos_touch BEFORE UPDATE ON public.codigos_candidatos FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"}], "estimated_rows": 72, "pages": 2, "size_bytes": 57344},
{"name": "discovery_navigation_log", "owner": "postgres", "columns": [{"name": "id", "type": "bigint", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "bigint"}, {"name": "proyecto", "type": "text", "text_like": true, "base_type": "text"}, {"name": "user_id", "type": "integer", "integer_like": true, "base_type": "integer"}, {"name": "consulta", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "discovery_navigation_log_pkey", "definition": "CREATE UNIQUE INDEX discovery_navigation_log_pkey ON public.discovery_navigation_log USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "discovery_navigation_log_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "foreign_keys": [{"name": "discovery_navigation_log_user_id_fkey", "columns": ["user_id"], "ref_table": "app_users", "ref_columns": ["id"], "on_delete": "SET NULL", "ref_index": "app_users_pkey", "definition": "FOREIGN KEY (user_id) REFERENCES public.app_users(id) ON DELETE SET NULL"}], "estimated_rows": 148, "pages": 2, "size_bytes": 40960},
{"name": "doctoral_reports", "owner": "postgres", "columns": [{"name": "id", "type": "integer", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "integer"}, {"name": "proyecto", "type": "text", "text_like": true, "base_type": "text"}, {"name": "project_id", "type": "text", "default": "'default'::text", "text_like": true, "base_type": "text"}, {"name": "etapa", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "contenido", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}, {"name": "updated_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "doctoral_reports_pkey", "definition": "CREATE UNIQUE INDEX doctoral_reports_pkey ON public.doctoral_reports USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "doctoral_reports_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "triggers": [{"name": "doctoral_touch", "function": "touch_updated_at", "events": ["UPDATE"], "definition": "CREATE TRIGGER doctoral_touch BEFORE UPDATE ON public.doctoral_reports FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"}], "estimated_rows": 25, "pages": 1, "size_bytes": 32768},
{"name": "entrevista_fragmentos", "owner": "postgres", "columns": [{"name": "id", "type": "text", "nullable": false, "text_like": true, "base_type": "text", "id_versions": ["5"]}, {"name": "archivo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "par_idx", "type": "integer", "nullable": false, "integer_like": true, "base_type": "integer"}, {"name": "fragmento", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "embedding", "type": "double precision[]", "base_type": "double precision[]"}, {"name": "char_len", "type": "integer", "nullable": false, "integer_like": true, "base_type": "integer"}, {"name": "speaker", "type": "text", "text_like": true, "base_type": "text"}, {"name": "area_tematica", "type": "text", "text_like": true, "base_type": "text"}, {"name": "actor_principal", "type": "text", "text_like": true, "base_type": "text"}, {"name": "genero", "type": "text", "text_like": true, "base_type": "text"}, {"name": "periodo", "type": "text", "text_like": true, "base_type": "text"}, {"name": "metadata", "type": "jsonb", "nullable": false, "default": "'{}'::jsonb", "base_type": "jsonb"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}, {"name": "updated_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "entrevista_fragmentos_pkey", "definition": "CREATE UNIQUE INDEX entrevista_fragmentos_pkey ON public.entrevista_fragmentos USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "entrevista_fragmentos_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 163840}, {"name": "fragmentos_archivo_idx", "definition": "CREATE INDEX fragmentos_archivo_idx ON public.entrevista_fragmentos USING btree (archivo)", "columns": ["archivo"], "parts": ["archivo"], "size_bytes": 40960}, {"name": "fragmentos_archivo_par_key", "definition": "CREATE UNIQUE INDEX fragmentos_archivo_par_key ON public.entrevista_fragmentos USING btree (archivo, par_idx)", "columns": ["archivo", "par_idx"], "unique": true, "parts": ["archivo", "par_idx"], "constraint": "fragmentos_archivo_par_key", "constraint_definition": "UNIQUE (archivo, par_idx)", "size_bytes": 196608}, {"name": "fragmentos_area_idx", "definition": "CREATE INDEX fragmentos_area_idx ON public.entrevista_fragmentos USING btree (area_tematica)", "columns": ["area_tematica"], "parts": ["area_tematica"], "size_bytes": 40960}], "triggers": [{"name": "fragmentos_touch", "function": "touch_updated_at", "events": ["UPDATE"], "definition": "CREATE TRIGGER fragmentos_touch BEFORE UPDATE ON public.entrevista_fragmentos FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"}], "estimated_rows": 1872, "pages": 170, "size_bytes": 1875968},
{"name": "interview_files", "owner": "postgres", "columns": [{"name": "id", "type": "integer", "nullable": false, "default": "nextval('public.interview_files_id_seq'::regclass)", "integer_like": true, "sequence": true, "base_type": "integer"}, {"name": "proyecto", "type": "text", "text_like": true, "base_type": "text"}, {"name": "filename", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "original_filename", "type": "text", "text_like": true, "base_type": "text"}, {"name": "blob_url", "type": "text", "text_like": true, "base_type": "text"}, {"name": "file_size", "type": "bigint", "integer_like": true, "base_type": "bigint"}, {"name": "status", "type": "text", "nullable": false, "default": "'pending'::text", "text_like": true, "base_type": "text"}, {"name": "segments_count", "type": "integer", "integer_like": true, "base_type": "integer"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}, {"name": "updated_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "interview_files_filename_idx", "definition": "CREATE INDEX interview_files_filename_idx ON public.interview_files USING btree (filename)", "columns": ["filename"], "parts": ["filename"], "size_bytes": 16384}, {"name": "interview_files_pkey", "definition": "CREATE UNIQUE INDEX interview_files_pkey ON public.interview_files USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "interview_files_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}, {"name": "interview_files_proyecto_filename_idx", "definition": "CREATE UNIQUE INDEX interview_files_proyecto_filename_idx ON public.interview_files USING btree (proyecto, filename)", "columns": ["proyecto", "filename"], "unique": true, "parts": ["proyecto", "filename"], "size_bytes": 16384}], "triggers": [{"name": "interview_files_touch", "function": "touch_updated_at", "events": ["UPDATE"], "definition": "CREATE TRIGGER interview_files_touch BEFORE UPDATE ON public.interview_files FOR EACH ROW EXECUTE FUNCTION public.touch_updated_at()"}], "estimated_rows": 51, "pages": 2, "size_bytes": 73728},
{"name": "interview_reports", "owner": "postgres", "columns": [{"name": "id", "type": "integer", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "integer"}, {"name": "archivo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "share_token", "type": "uuid", "nullable": false, "default": "gen_random_uuid()", "uuid_like": true, "base_type": "uuid"}, {"name": "resumen", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "metricas", "type": "jsonb", "nullable": false, "default": "'{}'::jsonb", "base_type": "jsonb"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "interview_reports_archivo_key", "definition": "CREATE UNIQUE INDEX interview_reports_archivo_key ON public.interview_reports USING btree (archivo) INCLUDE (resumen)", "columns": ["archivo"], "include": ["resumen"], "unique": true, "parts": ["archivo"], "size_bytes": 16384}, {"name": "interview_reports_pkey", "definition": "CREATE UNIQUE INDEX interview_reports_pkey ON public.interview_reports USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "interview_reports_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}, {"name": "interview_reports_share_token_key", "definition": "CREATE UNIQUE INDEX interview_reports_share_token_key ON public.interview_reports USING btree (share_token)", "columns": ["share_token"], "unique": true, "parts": ["share_token"], "constraint": "interview_reports_share_token_key", "constraint_definition": "UNIQUE (share_token)", "size_bytes": 16384}], "estimated_rows": 16, "pages": 1, "size_bytes": 65536},
{"name": "memo_revisiones", "owner": "postgres", "columns": [{"name": "id", "type": "bigint", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "bigint"}, {"name": "memo_id", "type": "uuid", "nullable": false, "uuid_like": true, "base_type": "uuid"}, {"name": "version", "type": "integer", "nullable": false, "integer_like": true, "base_type": "integer"}, {"name": "texto", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "memo_revisiones_pkey", "definition": "CREATE UNIQUE INDEX memo_revisiones_pkey ON public.memo_revisiones USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "memo_revisiones_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}, {"name": "memo_revisiones_version_key", "definition": "CREATE UNIQUE INDEX memo_revisiones_version_key ON public.memo_revisiones USING btree (memo_id, version)", "columns": ["memo_id", "version"], "unique": true, "parts": ["memo_id", "version"], "constraint": "memo_revisiones_version_key", "constraint_definition": "UNIQUE (memo_id, version) DEFERRABLE INITIALLY DEFERRED", "deferrable": true, "initially_deferred": true, "size_bytes": 16384}], "foreign_keys": [{"name": "memo_revisiones_memo_id_fkey", "columns": ["memo_id"], "ref_table": "analysis_memos", "ref_columns": ["id"], "on_delete": "CASCADE", "ref_index": "analysis_memos_pkey", "definition": "FOREIGN KEY (memo_id) REFERENCES public.analysis_memos(id) ON DELETE CASCADE"}], "estimated_rows": 192, "pages": 2, "size_bytes": 57344},
{"name": "project_members", "owner": "postgres", "columns": [{"name": "id", "type": "integer", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "integer"}, {"name": "proyecto_id", "type": "character varying(100)", "nullable": false, "text_like": true, "base_type": "character varying(100)"}, {"name": "user_id", "type": "integer", "nullable": false, "integer_like": true, "base_type": "integer"}, {"name": "rol", "type": "text", "nullable": false, "default": "'codificador'::text", "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "project_members_pkey", "definition": "CREATE UNIQUE INDEX project_members_pkey ON public.project_members USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "project_members_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}, {"name": "project_members_uq", "definition": "CREATE UNIQUE INDEX project_members_uq ON public.project_members USING btree (proyecto_id, user_id)", "columns": ["proyecto_id", "user_id"], "unique": true, "parts": ["proyecto_id", "user_id"], "constraint": "project_members_uq", "constraint_definition": "UNIQUE (proyecto_id, user_id)", "size_bytes": 16384}], "foreign_keys": [{"name": "project_members_proyecto_id_fkey", "columns": ["proyecto_id"], "ref_table": "proyectos", "ref_columns": ["id"], "ref_index": "proyectos_pkey", "definition": "FOREIGN KEY (proyecto_id) REFERENCES public.proyectos(id)"}, {"name": "project_members_user_id_fkey", "columns": ["user_id"], "ref_table": "app_users", "ref_columns": ["id"], "on_delete": "CASCADE", "ref_index": "app_users_pkey", "definition": "FOREIGN KEY (user_id) REFERENCES public.app_users(id) ON DELETE CASCADE"}], "estimated_rows": 24, "pages": 1, "size_bytes": 49152},
{"name": "proyectos", "owner": "postgres", "columns": [{"name": "id", "type": "character varying(100)", "nullable": false, "text_like": true, "base_type": "character varying(100)", "id_versions": [""]}, {"name": "name", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "org_id", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "proyectos_pkey", "definition": "CREATE UNIQUE INDEX proyectos_pkey ON public.proyectos USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "proyectos_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "estimated_rows": 8, "pages": 1, "size_bytes": 32768},
{"name": "report_jobs", "owner": "postgres", "columns": [{"name": "id", "type": "text", "nullable": false, "text_like": true, "base_type": "text", "id_versions": ["4"]}, {"name": "report_id", "type": "integer", "nullable": false, "integer_like": true, "base_type": "integer"}, {"name": "tipo", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "estado", "type": "text", "nullable": false, "default": "'pendiente'::text", "text_like": true, "base_type": "text"}, {"name": "dedupe_key", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "report_jobs_pendiente_key", "definition": "CREATE UNIQUE INDEX report_jobs_pendiente_key ON public.report_jobs USING btree (dedupe_key) WHERE (estado = 'pendiente'::text)", "columns": ["dedupe_key"], "unique": true, "predicate": "(estado = 'pendiente'::text)", "parts": ["dedupe_key"], "size_bytes": 16384}, {"name": "report_jobs_pkey", "definition": "CREATE UNIQUE INDEX report_jobs_pkey ON public.report_jobs USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "report_jobs_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "foreign_keys": [{"name": "report_jobs_report_id_fkey", "columns": ["report_id"], "ref_table": "doctoral_reports", "ref_columns": ["id"], "on_delete": "CASCADE", "ref_index": "doctoral_reports_pkey", "definition": "FOREIGN KEY (report_id) REFERENCES public.doctoral_reports(id) ON DELETE CASCADE"}], "estimated_rows": 50, "pages": 1, "size_bytes": 49152},
{"name": "schema_migrations", "owner": "postgres", "columns": [{"name": "version", "type": "text", "nullable": false, "text_like": true, "base_type": "text", "id_versions": [""]}, {"name": "applied_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["version"], "indexes": [{"name": "schema_migrations_pkey", "definition": "CREATE UNIQUE INDEX schema_migrations_pkey ON public.schema_migrations USING btree (version)", "columns": ["version"], "unique": true, "primary": true, "parts": ["version"], "constraint": "schema_migrations_pkey", "constraint_definition": "PRIMARY KEY (version)", "size_bytes": 16384}], "estimated_rows": 3, "pages": 1, "size_bytes": 32768},
{"name": "ui_analytics", "owner": "postgres", "columns": [{"name": "id", "type": "bigint", "nullable": false, "identity": true, "integer_like": true, "sequence": true, "base_type": "bigint"}, {"name": "user_id", "type": "integer", "integer_like": true, "base_type": "integer"}, {"name": "event", "type": "text", "nullable": false, "text_like": true, "base_type": "text"}, {"name": "payload", "type": "jsonb", "nullable": false, "default": "'{}'::jsonb", "base_type": "jsonb"}, {"name": "created_at", "type": "timestamp with time zone", "nullable": false, "default": "now()", "base_type": "timestamp with time zone"}], "primary_key": ["id"], "indexes": [{"name": "ui_analytics_pkey", "definition": "CREATE UNIQUE INDEX ui_analytics_pkey ON public.ui_analytics USING btree (id)", "columns": ["id"], "unique": true, "primary": true, "parts": ["id"], "constraint": "ui_analytics_pkey", "constraint_definition": "PRIMARY KEY (id)", "size_bytes": 16384}], "foreign_keys": [{"name": "ui_analytics_user_id_fkey", "columns": ["user_id"], "ref_table": "app_users", "ref_columns": ["id"], "on_delete": "SET NULL", "ref_index": "app_users_pkey", "definition": "FOREIGN KEY (user_id) REFERENCES public.app_users(id) ON DELETE SET NULL"}], "estimated_rows": 200, "pages": 3, "size_bytes": 49152}],
"views": [
{"name": "mv_categoria_por_genero", "materialized": true, "definition": " SELECT a.proyecto,\n    a.categoria,\n    f.genero,\n    count(*) AS fragmentos\n   FROM ((public.analisis_axial a\n     CROSS JOIN LATERAL unnest(a.evidencia) e(fragmento_id))\n     JOIN public.entrevista_fragmentos f ON ((f.id = e.fragmento_id)))\n  GROUP BY a.proyecto, a.categoria, f.genero;", "depends_on": ["analisis_axial", "entrevista_fragmentos"]},
{"name": "mv_categoria_por_periodo", "materialized": true, "definition": " SELECT a.proyecto,\n    a.categoria,\n    f.periodo,\n    count(*) AS fragmentos\n   FROM ((public.analisis_axial a\n     CROSS JOIN LATERAL unnest(a.evidencia) e(fragmento_id))\n     JOIN public.entrevista_fragmentos f ON ((f.id = e.fragmento_id)))\n  GROUP BY a.proyecto, a.categoria, f.periodo;", "depends_on": ["analisis_axial", "entrevista_fragmentos"]},
{"name": "mv_categoria_por_rol", "materialized": true, "definition": " SELECT a.proyecto,\n    a.categoria,\n    f.actor_principal AS rol,\n    count(*) AS fragmentos\n   FROM ((public.analisis_axial a\n     CROSS JOIN LATERAL unnest(a.evidencia) e(fragmento_id))\n     JOIN public.entrevista_fragmentos f ON ((f.id = e.fragmento_id)))\n  GROUP BY a.proyecto, a.categoria, f.actor_principal;", "depends_on": ["analisis_axial", "entrevista_fragmentos"], "indexes": [{"name": "mv_categoria_por_rol_key", "definition": "CREATE UNIQUE INDEX mv_categoria_por_rol_key ON public.mv_categoria_por_rol USING btree (proyecto, categoria, rol)", "columns": ["proyecto", "categoria", "rol"], "unique": true, "parts": ["proyecto", "categoria", "rol"], "size_bytes": 49152}]}],
"functions": [
{"name": "touch_updated_at", "language": "plpgsql", "source": "\nBEGIN\n    NEW.updated_at := now();\n    RETURN NEW;\nEND\n"}]},
"neo4j": {"version": "5.26.30",
"labels": [
{"name": "Categoria", "count": 100, "properties": [{"name": "nombre", "types": ["STRING"], "seen": 100, "of": 100}]},
{"name": "Codigo", "count": 534, "properties": [{"name": "code_id", "types": ["INTEGER"], "seen": 534, "of": 534}, {"name": "community_id", "types": ["INTEGER"], "seen": 534, "of": 534}, {"name": "nombre", "types": ["STRING"], "seen": 534, "of": 534}, {"name": "score_centralidad", "types": ["FLOAT"], "seen": 534, "of": 534}]},
{"name": "Entrevista", "count": 51, "properties": [{"name": "nombre", "types": ["STRING"], "seen": 51, "of": 51}, {"name": "segmentos", "types": ["INTEGER"], "seen": 51, "of": 51}]},
{"name": "Fragmento", "count": 1870, "properties": [{"name": "actor_principal", "types": ["STRING"], "seen": 985, "of": 989}, {"name": "archivo", "types": ["STRING"], "seen": 989, "of": 989}, {"name": "char_len", "types": ["INTEGER"], "seen": 989, "of": 989}, {"name": "genero", "types": ["STRING"], "seen": 985, "of": 989}, {"name": "id", "types": ["STRING"], "seen": 989, "of": 989}, {"name": "par_idx", "types": ["INTEGER"], "seen": 989, "of": 989}]}],
"relationship_types": [
{"name": "MERGED_INTO", "count": 22, "ends": [{"start": "Codigo", "end": "Codigo", "count": 22}]},
{"name": "REL", "count": 607, "ends": [{"start": "Categoria", "end": "Codigo", "count": 506}, {"start": "Codigo", "end": "Codigo", "count": 101}], "properties": [{"name": "evidencia", "types": ["LIST<NOTHING>", "LIST<STRING>"], "seen": 607, "of": 607}, {"name": "tipo", "types": ["STRING"], "seen": 607, "of": 607}]},
{"name": "TIENE_CODIGO", "count": 745, "ends": [{"start": "Fragmento", "end": "Codigo", "count": 745}]},
{"name": "TIENE_FRAGMENTO", "count": 1869, "ends": [{"start": "Entrevista", "end": "Fragmento", "count": 1869}], "properties": [{"name": "par_idx", "types": ["INTEGER"], "seen": 1014, "of": 1014}]}],
"constraints": [
{"name": "categoria_nombre", "kind": "UNIQUENESS", "labels_or_types": ["Categoria"], "properties": ["nombre"], "owned_index": "categoria_nombre", "create_statement": "CREATE CONSTRAINT `categoria_nombre` FOR (n:`Categoria`) REQUIRE (n.`nombre`) IS UNIQUE"},
{"name": "codigo_nombre", "kind": "UNIQUENESS", "labels_or_types": ["Codigo"], "properties": ["nombre"], "owned_index": "codigo_nombre", "create_statement": "CREATE CONSTRAINT `codigo_nombre` FOR (n:`Codigo`) REQUIRE (n.`nombre`) IS UNIQUE"},
{"name": "ent_nombre", "kind": "UNIQUENESS", "labels_or_types": ["Entrevista"], "properties": ["nombre"], "owned_index": "ent_nombre", "create_statement": "CREATE CONSTRAINT `ent_nombre` FOR (n:`Entrevista`) REQUIRE (n.`nombre`) IS UNIQUE"},
{"name": "frag_id", "kind": "UNIQUENESS", "labels_or_types": ["Fragmento"], "properties": ["id"], "owned_index": "frag_id", "create_statement": "CREATE CONSTRAINT `frag_id` FOR (n:`Fragmento`) REQUIRE (n.`id`) IS UNIQUE"}],
"indexes": [
{"name": "categoria_nombre", "kind": "RANGE", "labels_or_types": ["Categoria"], "properties": ["nombre"], "owning_constraint": "categoria_nombre", "create_statement": "CREATE CONSTRAINT `categoria_nombre` FOR (n:`Categoria`) REQUIRE (n.`nombre`) IS UNIQUE"},
{"name": "codigo_nombre", "kind": "RANGE", "labels_or_types": ["Codigo"], "properties": ["nombre"], "owning_constraint": "codigo_nombre", "create_statement": "CREATE CONSTRAINT `codigo_nombre` FOR (n:`Codigo`) REQUIRE (n.`nombre`) IS UNIQUE"},
{"name": "ent_nombre", "kind": "RANGE", "labels_or_types": ["Entrevista"], "properties": ["nombre"], "owning_constraint": "ent_nombre", "create_statement": "CREATE CONSTRAINT `ent_nombre` FOR (n:`Entrevista`) REQUIRE (n.`nombre`) IS UNIQUE"},
{"name": "frag_id", "kind": "RANGE", "labels_or_types": ["Fragmento"], "properties": ["id"], "owning_constraint": "frag_id", "create_statement": "CREATE CONSTRAINT `frag_id` FOR (n:`Fragmento`) REQUIRE (n.`id`) IS UNIQUE"},
{"name": "index_343aff4e", "kind": "LOOKUP", "create_statement": "CREATE LOOKUP INDEX `index_343aff4e` FOR (n) ON EACH labels(n)"},
{"name": "index_f7700477", "kind": "LOOKUP", "entity": "RELATIONSHIP", "create_statement": "CREATE LOOKUP INDEX `index_f7700477` FOR ()-[r]-() ON EACH type(r)"}]},
"qdrant": {"version": "1.20.0",
"collections": [
{"name": "fragments", "points": 1851, "vectors": "{\"distance\": \"Cosine\", \"size\": 24}", "fields": [{"name": "actor_principal", "types": [["str", 998]], "seen": 998, "of": 1000}, {"name": "archivo", "types": [["str", 1000]], "seen": 1000, "of": 1000}, {"name": "area_tematica", "types": [["str", 998]], "seen": 998, "of": 1000}, {"name": "codigos_ancla", "types": [["list", 998]], "seen": 998, "of": 1000}, {"name": "fragmento", "types": [["str", 1000]], "seen": 1000, "of": 1000}, {"name": "genero", "types": [["str", 998]], "seen": 998, "of": 1000}, {"name": "metadata", "types": [["dict", 1000]], "seen": 1000, "of": 1000}, {"name": "metadata.origen", "types": [["str", 1000]], "seen": 1000, "of": 1000}, {"name": "metadata.parrafo", "types": [["int", 998]], "seen": 998, "of": 1000}, {"name": "metadata.project_id", "types": [["str", 270]], "seen": 270, "of": 1000}, {"name": "par_idx", "types": [["int", 1000]], "seen": 1000, "of": 1000}, {"name": "periodo", "types": [["str", 998]], "seen": 998, "of": 1000}, {"name": "project_id", "types": [["null", 235], ["str", 251]], "seen": 486, "of": 1000}, {"name": "speaker", "types": [["str", 998]], "seen": 998, "of": 1000}], "indexes": [{"field": "actor_principal", "kind": "keyword"}, {"field": "archivo", "kind": "keyword"}, {"field": "area_tematica", "kind": "keyword"}, {"field": "codigos_ancla", "kind": "keyword"}, {"field": "fragmento", "kind": "text"}, {"field": "genero", "kind": "keyword"}, {"field": "periodo", "kind": "keyword"}, {"field": "speaker", "kind": "keyword"}], "strict_mode": "{\"enabled\": false}", "on_disk_payload": true}]}}$catalog$)
ON CONFLICT (name, object) DO NOTHING;

-- 2. Look at this first: to which bin every row comes, and rows that would collide. Nothing is changed.

DROP TABLE IF EXISTS "pg_temp"."tenure_rows_0";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_0" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."project_members" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_0";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_1";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_1" AS SELECT q."filename", (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT t."filename", d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."interview_files" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT ((split_part(t.blob_url, '/', 4)))::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_1";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_2";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_2" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."analisis_axial" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_2";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_3";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_3" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."analisis_nucleo_notas" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_3";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_4";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_4" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."discovery_navigation_log" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_4";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_5";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_5" AS SELECT q."id", (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT t."id", d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."doctoral_reports" AS t
CROSS JOIN LATERAL (SELECT (t."project_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
LEFT JOIN "tenure"."alias" AS le ON le.value = (t."project_id")::text
LEFT JOIN "public"."proyectos" AS re ON re."id"::text = coalesce(le.tenant, (t."project_id")::text)
CROSS JOIN LATERAL (SELECT CASE WHEN ((t."project_id")::text IS NULL OR ((t."project_id")::text)::text IN ('default', '')) THEN 'nothing' WHEN (t."project_id")::text = '__quarantine__' THEN 'quarantined' WHEN (t."project_id")::text = '__shared__' THEN 'shared' WHEN re."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(re."id"::text, (t."project_id")::text) AS value) e
CROSS JOIN LATERAL (SELECT CASE WHEN e.says = 'nothing' THEN s.bin WHEN e.says = 'quarantined' THEN 'quarantine' WHEN e.says = 'shared' THEN 'shared' WHEN e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value THEN s.bin WHEN e.says = 'tenant' AND s.bin = 'unassigned' THEN 'assigned' WHEN e.says = 'unknown' AND s.bin = 'unassigned' THEN s.bin WHEN e.says = 'unknown' AND s.bin = 'quarantine' THEN s.bin WHEN e.says = 'tenant' THEN 'conflict' WHEN e.says = 'unknown' THEN 'conflict' ELSE s.bin END AS bin, CASE WHEN e.says = 'nothing' THEN s.value WHEN e.says = 'quarantined' THEN NULL WHEN e.says = 'shared' THEN NULL WHEN e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value THEN s.value WHEN e.says = 'tenant' AND s.bin = 'unassigned' THEN e.value WHEN e.says = 'unknown' AND s.bin = 'unassigned' THEN NULL WHEN e.says = 'unknown' AND s.bin = 'quarantine' THEN NULL WHEN e.says = 'tenant' THEN coalesce(s.value, e.value) WHEN e.says = 'unknown' THEN s.value ELSE s.value END AS value, CASE WHEN e.says = 'nothing' THEN s.reason WHEN e.says = 'quarantined' THEN '' WHEN e.says = 'shared' THEN '' WHEN e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value THEN s.reason WHEN e.says = 'tenant' AND s.bin = 'unassigned' THEN 'set by the application' WHEN e.says = 'unknown' AND s.bin = 'unassigned' THEN 'the existing key ' || e.value || ' is not a tenant' WHEN e.says = 'unknown' AND s.bin = 'quarantine' THEN s.reason || ', and ' || 'the existing key ' || e.value || ' is not a tenant' WHEN e.says = 'tenant' THEN 'the existing key is ' || e.value || ', the sources say ' || CASE WHEN s.bin = 'assigned' THEN s.value ELSE s.reason END WHEN e.says = 'unknown' THEN 'the existing key ' || e.value || ' is not a tenant' ELSE s.reason END AS reason, e.says = 'tenant' AND s.bin = 'unassigned' AS by_application) d
CROSS JOIN LATERAL (SELECT CASE WHEN e.says IN ('quarantined', 'shared') THEN (t."project_id")::text ELSE (CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END) END AS derived, CASE WHEN e.says IN ('quarantined', 'shared') THEN NULL ELSE nullif((CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END), (t."project_id")::text) END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_5";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_6";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_6" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."api_idempotency" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_6";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_7";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_7" AS SELECT q."id", (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT t."id", d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."entrevista_fragmentos" AS t
LEFT JOIN (SELECT q."filename", min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS hi, bool_or((q."project_id")::text = '__shared__') AS global FROM "pg_temp"."tenure_rows_1" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text GROUP BY q."filename") AS p1 ON p1."filename" = t."archivo"
CROSS JOIN LATERAL (SELECT CASE WHEN p1.lo IS NULL AND p1.global THEN 'shared' WHEN p1.lo IS NULL THEN 'nothing' WHEN p1.lo <> p1.hi THEN 'several' WHEN p1.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, p1.lo AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_7";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_8";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_8" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."interview_reports" AS t
LEFT JOIN (SELECT q."filename", min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS hi, bool_or((q."project_id")::text = '__shared__') AS global FROM "pg_temp"."tenure_rows_1" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text GROUP BY q."filename") AS p1 ON p1."filename" = t."archivo"
CROSS JOIN LATERAL (SELECT CASE WHEN p1.lo IS NULL AND p1.global THEN 'shared' WHEN p1.lo IS NULL THEN 'nothing' WHEN p1.lo <> p1.hi THEN 'several' WHEN p1.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, p1.lo AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_8";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_9";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_9" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."report_jobs" AS t
LEFT JOIN "pg_temp"."tenure_rows_5" AS p1 ON p1."id" = t."report_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_9";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_10";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_10" AS SELECT q."codigo", q."fragmento_id", (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT t."codigo", t."fragmento_id", d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."analisis_codigos_abiertos" AS t
LEFT JOIN "pg_temp"."tenure_rows_7" AS p1 ON p1."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_10";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_11";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_11" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."codigos_candidatos" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
LEFT JOIN "pg_temp"."tenure_rows_7" AS p2 ON p2."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g2 ON g2."id"::text = (p2."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p2."project_id")::text = '__shared__' THEN 'shared' WHEN g2."id" IS NULL AND (p2."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p2."project_id")::text <> (p2."project_id")::text THEN 'several' WHEN (p2."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p2."project_id")::text AS value) a2
LEFT JOIN (SELECT q."filename", min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS hi, bool_or((q."project_id")::text = '__shared__') AS global FROM "pg_temp"."tenure_rows_1" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text GROUP BY q."filename") AS p3 ON p3."filename" = t."archivo"
CROSS JOIN LATERAL (SELECT CASE WHEN p3.lo IS NULL AND p3.global THEN 'shared' WHEN p3.lo IS NULL THEN 'nothing' WHEN p3.lo <> p3.hi THEN 'several' WHEN p3.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, p3.lo AS value) a3
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 WHEN a3.says NOT IN ('nothing', 'shared') THEN 3 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' OR a3.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' OR a3.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says WHEN k.place = 3 THEN a3.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value WHEN k.place = 3 THEN a3.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END WHEN k.place < 3 AND (a3.says = 'several' OR (a3.says = 'tenant' AND a3.value <> c.value)) THEN 'source 3 says ' || CASE WHEN a3.says = 'several' THEN 'several tenants' ELSE a3.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_11";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_12";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_12" AS SELECT q."id", (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT t."id", d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."analysis_memos" AS t
LEFT JOIN "pg_temp"."tenure_rows_7" AS p1 ON p1."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_12";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_13";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_13" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."codigo_citas" AS t
LEFT JOIN "pg_temp"."tenure_rows_10" AS p1 ON p1."fragmento_id" = t."fragmento_id" AND p1."codigo" = t."codigo"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_13";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_14";
CREATE TEMPORARY TABLE "pg_temp"."tenure_rows_14" AS SELECT (q.derived)::text AS "project_id", q.bin AS "tenure_bin", q.reason AS "tenure_reason" FROM (
SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM "public"."memo_revisiones" AS t
LEFT JOIN "pg_temp"."tenure_rows_12" AS p1 ON p1."id" = t."memo_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
) AS q;
ANALYZE "pg_temp"."tenure_rows_14";
-- How many rows of which table come to which bin.
SELECT 'project_members' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_0" GROUP BY 2
UNION ALL SELECT 'interview_files' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_1" GROUP BY 2
UNION ALL SELECT 'analisis_axial' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_2" GROUP BY 2
UNION ALL SELECT 'analisis_nucleo_notas' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_3" GROUP BY 2
UNION ALL SELECT 'discovery_navigation_log' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_4" GROUP BY 2
UNION ALL SELECT 'doctoral_reports' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_5" GROUP BY 2
UNION ALL SELECT 'api_idempotency' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_6" GROUP BY 2
UNION ALL SELECT 'entrevista_fragmentos' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_7" GROUP BY 2
UNION ALL SELECT 'interview_reports' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_8" GROUP BY 2
UNION ALL SELECT 'report_jobs' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_9" GROUP BY 2
UNION ALL SELECT 'analisis_codigos_abiertos' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_10" GROUP BY 2
UNION ALL SELECT 'codigos_candidatos' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_11" GROUP BY 2
UNION ALL SELECT 'analysis_memos' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_12" GROUP BY 2
UNION ALL SELECT 'codigo_citas' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_13" GROUP BY 2
UNION ALL SELECT 'memo_revisiones' AS object, "tenure_bin" AS bin, count(*) AS rows, min("tenure_reason") AS "a reason" FROM "pg_temp"."tenure_rows_14" GROUP BY 2
ORDER BY 1, 2;
-- Rows of one tenant that would share a key of project_members_uq_project_id: there must be none.
SELECT q.derived AS tenant, jsonb_build_object('user_id', q."tenure_0") AS shared, count(*) AS n, (array_agg(q.tenure_item))[1:3] AS items FROM (SELECT t."tenure_0", jsonb_build_object('id', t."id") AS tenure_item, d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT *, "user_id" AS "tenure_0" FROM "public"."project_members") AS t
CROSS JOIN LATERAL (SELECT (t."proyecto_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w) AS q WHERE q."tenure_0" IS NOT NULL AND q.derived IS NOT NULL GROUP BY q.derived, q."tenure_0" HAVING count(*) > 1;
-- Rows of one tenant that would share a key of interview_files_proyecto_filename_idx_project_id: there must be none.
SELECT q.derived AS tenant, jsonb_build_object('filename', q."tenure_0") AS shared, count(*) AS n, (array_agg(q.tenure_item))[1:3] AS items FROM (SELECT t."tenure_0", jsonb_build_object('id', t."id") AS tenure_item, d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT *, "filename" AS "tenure_0" FROM "public"."interview_files") AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT ((split_part(t.blob_url, '/', 4)))::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w) AS q WHERE q."tenure_0" IS NOT NULL AND q.derived IS NOT NULL GROUP BY q.derived, q."tenure_0" HAVING count(*) > 1;
-- Rows of one tenant that would share a key of nucleo_notas_proyecto_categoria_key_project_id: there must be none.
SELECT q.derived AS tenant, jsonb_build_object('categoria', q."tenure_0") AS shared, count(*) AS n, (array_agg(q.tenure_item))[1:3] AS items FROM (SELECT t."tenure_0", jsonb_build_object('id', t."id") AS tenure_item, d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT *, "categoria" AS "tenure_0" FROM "public"."analisis_nucleo_notas") AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w) AS q WHERE q."tenure_0" IS NOT NULL AND q.derived IS NOT NULL GROUP BY q.derived, q."tenure_0" HAVING count(*) > 1;
-- Stops here, before anything is changed, while rows have no owner that the playbook accepts, or collide.
DO $do$
#variable_conflict use_column
DECLARE
    tenure_n bigint;
    tenure_open bigint := 0;
BEGIN
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_0" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'project_members: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_1" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'interview_files: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_2" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'analisis_axial: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_3" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'analisis_nucleo_notas: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_4" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'discovery_navigation_log: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_5" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'doctoral_reports: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_6" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'api_idempotency: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_7" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'entrevista_fragmentos: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_8" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'interview_reports: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_9" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'report_jobs: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_10" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'analisis_codigos_abiertos: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_11" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'codigos_candidatos: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_12" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'analysis_memos: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_13" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'codigo_citas: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM "pg_temp"."tenure_rows_14" WHERE "project_id" IS NULL;
    IF tenure_n > 0 THEN
        RAISE WARNING '%: %', 'memo_revisiones: rows without an owner that the playbook accepts', tenure_n;
    END IF;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM (
SELECT q.derived AS tenant, jsonb_build_object('user_id', q."tenure_0") AS shared, count(*) AS n, (array_agg(q.tenure_item))[1:3] AS items FROM (SELECT t."tenure_0", jsonb_build_object('id', t."id") AS tenure_item, d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT *, "user_id" AS "tenure_0" FROM "public"."project_members") AS t
CROSS JOIN LATERAL (SELECT (t."proyecto_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w) AS q WHERE q."tenure_0" IS NOT NULL AND q.derived IS NOT NULL GROUP BY q.derived, q."tenure_0" HAVING count(*) > 1
) AS d;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM (
SELECT q.derived AS tenant, jsonb_build_object('filename', q."tenure_0") AS shared, count(*) AS n, (array_agg(q.tenure_item))[1:3] AS items FROM (SELECT t."tenure_0", jsonb_build_object('id', t."id") AS tenure_item, d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT *, "filename" AS "tenure_0" FROM "public"."interview_files") AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT ((split_part(t.blob_url, '/', 4)))::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w) AS q WHERE q."tenure_0" IS NOT NULL AND q.derived IS NOT NULL GROUP BY q.derived, q."tenure_0" HAVING count(*) > 1
) AS d;
    tenure_open := tenure_open + tenure_n;
    SELECT count(*) INTO tenure_n FROM (
SELECT q.derived AS tenant, jsonb_build_object('categoria', q."tenure_0") AS shared, count(*) AS n, (array_agg(q.tenure_item))[1:3] AS items FROM (SELECT t."tenure_0", jsonb_build_object('id', t."id") AS tenure_item, d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT *, "categoria" AS "tenure_0" FROM "public"."analisis_nucleo_notas") AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w) AS q WHERE q."tenure_0" IS NOT NULL AND q.derived IS NOT NULL GROUP BY q.derived, q."tenure_0" HAVING count(*) > 1
) AS d;
    tenure_open := tenure_open + tenure_n;
    IF tenure_open > 0 THEN
        RAISE EXCEPTION '% open cases, see above; nothing was changed', tenure_open;
    END IF;
END
$do$;
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_0";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_1";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_2";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_3";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_4";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_5";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_6";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_7";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_8";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_9";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_10";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_11";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_12";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_13";
DROP TABLE IF EXISTS "pg_temp"."tenure_rows_14";

-- 3. Make room: columns, and triggers that fill them from now on (locks of milliseconds).


-- add column project_id text to project_members
ALTER TABLE "public"."project_members" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to interview_files
ALTER TABLE "public"."interview_files" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to analisis_axial
ALTER TABLE "public"."analisis_axial" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to analisis_nucleo_notas
ALTER TABLE "public"."analisis_nucleo_notas" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to discovery_navigation_log
ALTER TABLE "public"."discovery_navigation_log" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to api_idempotency
ALTER TABLE "public"."api_idempotency" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to entrevista_fragmentos
ALTER TABLE "public"."entrevista_fragmentos" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to interview_reports
ALTER TABLE "public"."interview_reports" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to report_jobs
ALTER TABLE "public"."report_jobs" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to analisis_codigos_abiertos
ALTER TABLE "public"."analisis_codigos_abiertos" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to codigos_candidatos
ALTER TABLE "public"."codigos_candidatos" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to analysis_memos
ALTER TABLE "public"."analysis_memos" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to codigo_citas
ALTER TABLE "public"."codigo_citas" ADD COLUMN IF NOT EXISTS "project_id" text;

-- add column project_id text to memo_revisiones
ALTER TABLE "public"."memo_revisiones" ADD COLUMN IF NOT EXISTS "project_id" text;

-- fill project_id of rows that project_members gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_project_members";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_project_members"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_project_members"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."project_members" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_project_members"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."project_members" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto_id"::text IS DISTINCT FROM NEW."proyecto_id"::text)) EXECUTE FUNCTION "tenure"."fill_public_project_members"('follow');

-- fill project_id of rows that interview_files gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_interview_files";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_interview_files"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_interview_files"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT ((split_part(t.blob_url, ''/'', 4)))::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r2."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 WHEN a2.says NOT IN (''nothing'', ''shared'') THEN 2 ELSE NULL END AS place, a1.says = ''quarantined'' OR a2.says = ''quarantined'' AS quarantined, a1.says = ''shared'' OR a2.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN CASE WHEN k.place < 2 AND (a2.says = ''several'' OR (a2.says = ''tenant'' AND a2.value <> c.value)) THEN ''source 2 says '' || CASE WHEN a2.says = ''several'' THEN ''several tenants'' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."interview_files" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_interview_files"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."interview_files" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text OR OLD."blob_url"::text IS DISTINCT FROM NEW."blob_url"::text)) EXECUTE FUNCTION "tenure"."fill_public_interview_files"('follow');

-- fill project_id of rows that analisis_axial gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_analisis_axial";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_analisis_axial"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_analisis_axial"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."analisis_axial" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_analisis_axial"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."analisis_axial" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text)) EXECUTE FUNCTION "tenure"."fill_public_analisis_axial"('follow');

-- fill project_id of rows that analisis_nucleo_notas gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_analisis_nucleo_notas";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_analisis_nucleo_notas"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_analisis_nucleo_notas"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."analisis_nucleo_notas" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_analisis_nucleo_notas"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."analisis_nucleo_notas" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text)) EXECUTE FUNCTION "tenure"."fill_public_analisis_nucleo_notas"('follow');

-- fill project_id of rows that discovery_navigation_log gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_discovery_navigation_log";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_discovery_navigation_log"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_discovery_navigation_log"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."discovery_navigation_log" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_discovery_navigation_log"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."discovery_navigation_log" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text)) EXECUTE FUNCTION "tenure"."fill_public_discovery_navigation_log"('follow');

-- fill project_id of rows that doctoral_reports gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_doctoral_reports";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_doctoral_reports"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_doctoral_reports"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."project_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r2."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 WHEN a2.says NOT IN (''nothing'', ''shared'') THEN 2 ELSE NULL END AS place, a1.says = ''quarantined'' OR a2.says = ''quarantined'' AS quarantined, a1.says = ''shared'' OR a2.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN CASE WHEN k.place < 2 AND (a2.says = ''several'' OR (a2.says = ''tenant'' AND a2.value <> c.value)) THEN ''source 2 says '' || CASE WHEN a2.says = ''several'' THEN ''several tenants'' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."doctoral_reports" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_doctoral_reports"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."doctoral_reports" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text)) EXECUTE FUNCTION "tenure"."fill_public_doctoral_reports"('follow');

-- fill project_id of rows that api_idempotency gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_api_idempotency";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_api_idempotency"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_api_idempotency"''::regclass); END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."api_idempotency" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_api_idempotency"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."api_idempotency" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text)) EXECUTE FUNCTION "tenure"."fill_public_api_idempotency"('follow');

-- fill project_id of rows that entrevista_fragmentos gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_entrevista_fragmentos";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_entrevista_fragmentos"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_entrevista_fragmentos"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."interview_files" AS p WHERE p."filename" = NEW."archivo" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_entrevista_fragmentos'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN LATERAL (SELECT min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = ''__quarantine__'') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = ''__quarantine__'') AS hi, bool_or((q."project_id")::text = ''__shared__'') AS global FROM "public"."interview_files" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text WHERE q."filename" = t."archivo") AS p1 ON true
CROSS JOIN LATERAL (SELECT CASE WHEN p1.lo IS NULL AND p1.global THEN ''shared'' WHEN p1.lo IS NULL THEN ''nothing'' WHEN p1.lo <> p1.hi THEN ''several'' WHEN p1.lo = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, p1.lo AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN ''__quarantine__'' ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN ''__quarantine__'' ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."entrevista_fragmentos" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_entrevista_fragmentos"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."entrevista_fragmentos" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."archivo"::text IS DISTINCT FROM NEW."archivo"::text)) EXECUTE FUNCTION "tenure"."fill_public_entrevista_fragmentos"('follow');

-- fill project_id of rows that interview_reports gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_interview_reports";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_interview_reports"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_interview_reports"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."interview_files" AS p WHERE p."filename" = NEW."archivo" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_interview_reports'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN LATERAL (SELECT min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = ''__quarantine__'') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = ''__quarantine__'') AS hi, bool_or((q."project_id")::text = ''__shared__'') AS global FROM "public"."interview_files" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text WHERE q."filename" = t."archivo") AS p1 ON true
CROSS JOIN LATERAL (SELECT CASE WHEN p1.lo IS NULL AND p1.global THEN ''shared'' WHEN p1.lo IS NULL THEN ''nothing'' WHEN p1.lo <> p1.hi THEN ''several'' WHEN p1.lo = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, p1.lo AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."interview_reports" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_interview_reports"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."interview_reports" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."archivo"::text IS DISTINCT FROM NEW."archivo"::text)) EXECUTE FUNCTION "tenure"."fill_public_interview_reports"('follow');

-- fill project_id of rows that report_jobs gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_report_jobs";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_report_jobs"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_report_jobs"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."doctoral_reports" AS p WHERE p."id" = NEW."report_id" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_report_jobs'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN "public"."doctoral_reports" AS p1 ON p1."id" = t."report_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = ''__shared__'' THEN ''shared'' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM ''__quarantine__'' THEN ''nothing'' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN ''several'' WHEN (p1."project_id")::text = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."report_jobs" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_report_jobs"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."report_jobs" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."report_id"::text IS DISTINCT FROM NEW."report_id"::text)) EXECUTE FUNCTION "tenure"."fill_public_report_jobs"('follow');

-- fill project_id of rows that analisis_codigos_abiertos gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_analisis_codigos_abiertos";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_analisis_codigos_abiertos"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_analisis_codigos_abiertos"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."entrevista_fragmentos" AS p WHERE p."id" = NEW."fragmento_id" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_analisis_codigos_abiertos'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN "public"."entrevista_fragmentos" AS p1 ON p1."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = ''__shared__'' THEN ''shared'' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM ''__quarantine__'' THEN ''nothing'' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN ''several'' WHEN (p1."project_id")::text = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r2."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 WHEN a2.says NOT IN (''nothing'', ''shared'') THEN 2 ELSE NULL END AS place, a1.says = ''quarantined'' OR a2.says = ''quarantined'' AS quarantined, a1.says = ''shared'' OR a2.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN CASE WHEN k.place < 2 AND (a2.says = ''several'' OR (a2.says = ''tenant'' AND a2.value <> c.value)) THEN ''source 2 says '' || CASE WHEN a2.says = ''several'' THEN ''several tenants'' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN ''__quarantine__'' ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN ''__quarantine__'' ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."analisis_codigos_abiertos" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_analisis_codigos_abiertos"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."analisis_codigos_abiertos" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."fragmento_id"::text IS DISTINCT FROM NEW."fragmento_id"::text OR OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text)) EXECUTE FUNCTION "tenure"."fill_public_analisis_codigos_abiertos"('follow');

-- fill project_id of rows that codigos_candidatos gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_codigos_candidatos";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_codigos_candidatos"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_codigos_candidatos"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."entrevista_fragmentos" AS p WHERE p."id" = NEW."fragmento_id" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) OR EXISTS (SELECT 1 FROM "public"."interview_files" AS p WHERE p."filename" = NEW."archivo" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_codigos_candidatos'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN (''default'', '''')) THEN ''nothing'' WHEN r1."id" IS NOT NULL THEN ''tenant'' ELSE ''unknown'' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
LEFT JOIN "public"."entrevista_fragmentos" AS p2 ON p2."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g2 ON g2."id"::text = (p2."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p2."project_id")::text = ''__shared__'' THEN ''shared'' WHEN g2."id" IS NULL AND (p2."project_id")::text IS DISTINCT FROM ''__quarantine__'' THEN ''nothing'' WHEN (p2."project_id")::text <> (p2."project_id")::text THEN ''several'' WHEN (p2."project_id")::text = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, (p2."project_id")::text AS value) a2
LEFT JOIN LATERAL (SELECT min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = ''__quarantine__'') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = ''__quarantine__'') AS hi, bool_or((q."project_id")::text = ''__shared__'') AS global FROM "public"."interview_files" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text WHERE q."filename" = t."archivo") AS p3 ON true
CROSS JOIN LATERAL (SELECT CASE WHEN p3.lo IS NULL AND p3.global THEN ''shared'' WHEN p3.lo IS NULL THEN ''nothing'' WHEN p3.lo <> p3.hi THEN ''several'' WHEN p3.lo = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, p3.lo AS value) a3
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 WHEN a2.says NOT IN (''nothing'', ''shared'') THEN 2 WHEN a3.says NOT IN (''nothing'', ''shared'') THEN 3 ELSE NULL END AS place, a1.says = ''quarantined'' OR a2.says = ''quarantined'' OR a3.says = ''quarantined'' AS quarantined, a1.says = ''shared'' OR a2.says = ''shared'' OR a3.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says WHEN k.place = 3 THEN a3.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value WHEN k.place = 3 THEN a3.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN CASE WHEN k.place < 2 AND (a2.says = ''several'' OR (a2.says = ''tenant'' AND a2.value <> c.value)) THEN ''source 2 says '' || CASE WHEN a2.says = ''several'' THEN ''several tenants'' ELSE a2.value END WHEN k.place < 3 AND (a3.says = ''several'' OR (a3.says = ''tenant'' AND a3.value <> c.value)) THEN ''source 3 says '' || CASE WHEN a3.says = ''several'' THEN ''several tenants'' ELSE a3.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."codigos_candidatos" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_codigos_candidatos"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."codigos_candidatos" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."proyecto"::text IS DISTINCT FROM NEW."proyecto"::text OR OLD."fragmento_id"::text IS DISTINCT FROM NEW."fragmento_id"::text OR OLD."archivo"::text IS DISTINCT FROM NEW."archivo"::text)) EXECUTE FUNCTION "tenure"."fill_public_codigos_candidatos"('follow');

-- fill project_id of rows that analysis_memos gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_analysis_memos";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_analysis_memos"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_analysis_memos"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."entrevista_fragmentos" AS p WHERE p."id" = NEW."fragmento_id" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_analysis_memos'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN "public"."entrevista_fragmentos" AS p1 ON p1."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = ''__shared__'' THEN ''shared'' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM ''__quarantine__'' THEN ''nothing'' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN ''several'' WHEN (p1."project_id")::text = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."analysis_memos" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_analysis_memos"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."analysis_memos" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."fragmento_id"::text IS DISTINCT FROM NEW."fragmento_id"::text)) EXECUTE FUNCTION "tenure"."fill_public_analysis_memos"('follow');

-- fill project_id of rows that codigo_citas gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_codigo_citas";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_codigo_citas"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_codigo_citas"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."analisis_codigos_abiertos" AS p WHERE p."fragmento_id" = NEW."fragmento_id" AND p."codigo" = NEW."codigo" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_codigo_citas'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN "public"."analisis_codigos_abiertos" AS p1 ON p1."fragmento_id" = t."fragmento_id" AND p1."codigo" = t."codigo"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = ''__shared__'' THEN ''shared'' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM ''__quarantine__'' THEN ''nothing'' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN ''several'' WHEN (p1."project_id")::text = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE ''__quarantine__'' END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."codigo_citas" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_codigo_citas"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."codigo_citas" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."fragmento_id"::text IS DISTINCT FROM NEW."fragmento_id"::text OR OLD."codigo"::text IS DISTINCT FROM NEW."codigo"::text)) EXECUTE FUNCTION "tenure"."fill_public_codigo_citas"('follow');

-- fill project_id of rows that memo_revisiones gets without it
CREATE SEQUENCE IF NOT EXISTS "tenure"."filled_public_memo_revisiones";
CREATE OR REPLACE FUNCTION "tenure"."fill_public_memo_revisiones"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = "pg_catalog", "public", "pg_temp" AS 'DECLARE
  chosen record;
  waits boolean := false;
  patient boolean := false;
  follow boolean := TG_NARGS > 0;
  refers text;
  holds boolean;
BEGIN
  IF current_setting(''tenure.undo'', true) = ''on'' THEN RETURN NEW; END IF;
  IF NOT follow THEN PERFORM nextval(''"tenure"."filled_public_memo_revisiones"''::regclass); END IF;
  IF EXISTS (SELECT 1 FROM "public"."analysis_memos" AS p WHERE p."id" = NEW."memo_id" AND (p."project_id" IS NULL OR (p."project_id")::text IN (''default'', ''''))) THEN
    patient := NOT EXISTS (SELECT 1 FROM pg_attribute WHERE attrelid = TG_RELID AND attname = ''project_id'' AND attnotnull)
      AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = TG_RELID AND conname = ''tenure_not_null_memo_revisiones'');
    waits := patient OR NEW."project_id" IS NOT NULL;
  END IF;
  SELECT d.bin, w.derived, w.write, d.reason, d.by_application
FROM (SELECT (NEW).*) AS t
LEFT JOIN "public"."analysis_memos" AS p1 ON p1."id" = t."memo_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = ''__shared__'' THEN ''shared'' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM ''__quarantine__'' THEN ''nothing'' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN ''several'' WHEN (p1."project_id")::text = ''__quarantine__'' THEN ''quarantined'' ELSE ''tenant'' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN (''nothing'', ''shared'') THEN 1 ELSE NULL END AS place, a1.says = ''quarantined'' AS quarantined, a1.says = ''shared'' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = ''tenant'' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN ''quarantine'' WHEN k.place IS NULL AND k.shared THEN ''shared'' WHEN k.place IS NULL OR c.says = ''unknown'' THEN ''unassigned'' WHEN c.says = ''several'' OR x.against IS NOT NULL THEN ''conflict'' ELSE ''assigned'' END AS bin, CASE WHEN k.quarantined OR c.says IN (''unknown'', ''several'') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN ''its parent is quarantined'' WHEN k.place IS NULL AND k.shared THEN ''its parent is shared'' WHEN k.place IS NULL THEN ''no source has a value'' WHEN c.says = ''unknown'' THEN ''source '' || k.place || '' says '' || c.value || '', which is not a tenant'' WHEN c.says = ''several'' THEN ''source '' || k.place || '' matches several tenants'' WHEN x.against IS NOT NULL THEN ''source '' || k.place || '' says '' || c.value || '', '' || x.against ELSE '''' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN ''assigned'' THEN d.value WHEN ''shared'' THEN ''__shared__'' WHEN ''quarantine'' THEN ''__quarantine__'' WHEN ''conflict'' THEN NULL ELSE NULL END AS write) w INTO chosen;
  IF patient AND follow THEN NEW."project_id" := NULL;
  ELSIF follow THEN
    IF chosen.bin <> ''unassigned'' THEN NEW."project_id" := coalesce((chosen.derived)::text, NEW."project_id"); END IF;
    IF NEW."project_id" IS DISTINCT FROM OLD."project_id" THEN
      FOR refers IN SELECT CASE WHEN side.child THEN format(''SELECT %s OR EXISTS (SELECT 1 FROM %s AS p WHERE %s) OR (%L AND %s)'', string_agg(format(''($1).%I IS NULL'', a.attname), '' OR ''), k.confrelid::regclass, string_agg(format(''p.%I = ($1).%I'', f.attname, a.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''($1).%I = ($1).%I'', f.attname, a.attname) ELSE ''false'' END, '' AND '')) ELSE format(''SELECT NOT EXISTS (SELECT 1 FROM %s AS c WHERE %s AND NOT (%L AND %s))'', k.conrelid::regclass, string_agg(format(''c.%I = ($2).%I'', a.attname, f.attname), '' AND ''), k.confrelid = k.conrelid, string_agg(CASE WHEN k.confrelid = k.conrelid THEN format(''c.%I = c.%I'', a.attname, f.attname) ELSE ''false'' END, '' AND '')) END FROM (VALUES (true), (false)) AS side (child) CROSS JOIN pg_constraint AS k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS c (ours, theirs) JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.ours JOIN pg_attribute AS f ON f.attrelid = k.confrelid AND f.attnum = c.theirs WHERE k.contype = ''f'' AND NOT k.condeferred AND CASE WHEN side.child THEN k.conrelid = TG_RELID ELSE k.confrelid = TG_RELID AND k.confupdtype IN (''a'', ''r'') END GROUP BY side.child, k.oid, k.conrelid, k.confrelid HAVING bool_or(a.attname = ''project_id'')
      LOOP
        EXECUTE refers INTO holds USING NEW, OLD;
        IF NOT holds THEN NEW."project_id" := OLD."project_id"; END IF;
      END LOOP;
    END IF;
  ELSIF NOT waits THEN NEW."project_id" := (coalesce(chosen.derived, ''__quarantine__''))::text;
  END IF;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  IF NOT follow THEN NEW."project_id" := (''__quarantine__'')::text; END IF;
  RETURN NEW;
END';
CREATE OR REPLACE TRIGGER "zz_tenure_fill_project_id" BEFORE INSERT OR UPDATE ON "public"."memo_revisiones" FOR EACH ROW WHEN ((NEW."project_id" IS NULL OR (NEW."project_id")::text IN ('default', ''))) EXECUTE FUNCTION "tenure"."fill_public_memo_revisiones"();
CREATE OR REPLACE TRIGGER "zz_tenure_follow_project_id" BEFORE UPDATE ON "public"."memo_revisiones" FOR EACH ROW WHEN (OLD."project_id" = NEW."project_id" AND (OLD."memo_id"::text IS DISTINCT FROM NEW."memo_id"::text)) EXECUTE FUNCTION "tenure"."fill_public_memo_revisiones"('follow');

-- drop the default ('default'::text) of doctoral_reports.project_id; the fill trigger takes its place
ALTER TABLE "public"."doctoral_reports" ALTER COLUMN "project_id" DROP DEFAULT;

-- 4. Write the key of the rows that are there, parents first.

SET client_min_messages = notice;

-- write project_id on the rows of project_members
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."project_members"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."project_members" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."project_members"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."project_members" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."project_members" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'project_members', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'project_members', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."project_members" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'project_members', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of interview_files
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."interview_files"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."interview_files" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."interview_files"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."interview_files" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT ((split_part(t.blob_url, '/', 4)))::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."interview_files" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'interview_files', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            PERFORM set_config('session_replication_role', 'replica', true);
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'interview_files', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        PERFORM set_config('session_replication_role', 'replica', true);
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."interview_files" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'interview_files', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of analisis_axial
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."analisis_axial"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."analisis_axial" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."analisis_axial"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('categoria', t."categoria", 'codigo', t."codigo", 'relacion', t."relacion") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."analisis_axial" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."analisis_axial" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'analisis_axial', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'analisis_axial', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."analisis_axial" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'analisis_axial', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of analisis_nucleo_notas
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."analisis_nucleo_notas"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."analisis_nucleo_notas" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."analisis_nucleo_notas"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."analisis_nucleo_notas" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."analisis_nucleo_notas" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'analisis_nucleo_notas', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'analisis_nucleo_notas', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."analisis_nucleo_notas" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'analisis_nucleo_notas', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of discovery_navigation_log
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."discovery_navigation_log"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."discovery_navigation_log" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."discovery_navigation_log"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."discovery_navigation_log" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."discovery_navigation_log" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'discovery_navigation_log', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'discovery_navigation_log', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."discovery_navigation_log" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'discovery_navigation_log', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of doctoral_reports
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."doctoral_reports"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."doctoral_reports" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."doctoral_reports"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, q.item AS item, q.present AS present, q.reason AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."doctoral_reports" AS t
CROSS JOIN LATERAL (SELECT (t."project_id")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
LEFT JOIN "tenure"."alias" AS le ON le.value = (t."project_id")::text
LEFT JOIN "public"."proyectos" AS re ON re."id"::text = coalesce(le.tenant, (t."project_id")::text)
CROSS JOIN LATERAL (SELECT CASE WHEN ((t."project_id")::text IS NULL OR ((t."project_id")::text)::text IN ('default', '')) THEN 'nothing' WHEN (t."project_id")::text = '__quarantine__' THEN 'quarantined' WHEN (t."project_id")::text = '__shared__' THEN 'shared' WHEN re."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(re."id"::text, (t."project_id")::text) AS value) e
CROSS JOIN LATERAL (SELECT CASE WHEN e.says = 'nothing' THEN s.bin WHEN e.says = 'quarantined' THEN 'quarantine' WHEN e.says = 'shared' THEN 'shared' WHEN e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value THEN s.bin WHEN e.says = 'tenant' AND s.bin = 'unassigned' THEN 'assigned' WHEN e.says = 'unknown' AND s.bin = 'unassigned' THEN s.bin WHEN e.says = 'unknown' AND s.bin = 'quarantine' THEN s.bin WHEN e.says = 'tenant' THEN 'conflict' WHEN e.says = 'unknown' THEN 'conflict' ELSE s.bin END AS bin, CASE WHEN e.says = 'nothing' THEN s.value WHEN e.says = 'quarantined' THEN NULL WHEN e.says = 'shared' THEN NULL WHEN e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value THEN s.value WHEN e.says = 'tenant' AND s.bin = 'unassigned' THEN e.value WHEN e.says = 'unknown' AND s.bin = 'unassigned' THEN NULL WHEN e.says = 'unknown' AND s.bin = 'quarantine' THEN NULL WHEN e.says = 'tenant' THEN coalesce(s.value, e.value) WHEN e.says = 'unknown' THEN s.value ELSE s.value END AS value, CASE WHEN e.says = 'nothing' THEN s.reason WHEN e.says = 'quarantined' THEN '' WHEN e.says = 'shared' THEN '' WHEN e.says = 'tenant' AND s.bin = 'assigned' AND s.value = e.value THEN s.reason WHEN e.says = 'tenant' AND s.bin = 'unassigned' THEN 'set by the application' WHEN e.says = 'unknown' AND s.bin = 'unassigned' THEN 'the existing key ' || e.value || ' is not a tenant' WHEN e.says = 'unknown' AND s.bin = 'quarantine' THEN s.reason || ', and ' || 'the existing key ' || e.value || ' is not a tenant' WHEN e.says = 'tenant' THEN 'the existing key is ' || e.value || ', the sources say ' || CASE WHEN s.bin = 'assigned' THEN s.value ELSE s.reason END WHEN e.says = 'unknown' THEN 'the existing key ' || e.value || ' is not a tenant' ELSE s.reason END AS reason, e.says = 'tenant' AND s.bin = 'unassigned' AS by_application) d
CROSS JOIN LATERAL (SELECT CASE WHEN e.says IN ('quarantined', 'shared') THEN (t."project_id")::text ELSE (CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END) END AS derived, CASE WHEN e.says IN ('quarantined', 'shared') THEN NULL ELSE nullif((CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END), (t."project_id")::text) END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."doctoral_reports" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'doctoral_reports', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING),
kept AS (INSERT INTO tenure.journal (operation, store, object, item, before, after) SELECT 'postgres.backfill_rows.doctoral_reports', 'postgres', 'doctoral_reports', item, to_jsonb(present), to_jsonb(write) FROM changed)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            PERFORM set_config('session_replication_role', 'replica', true);
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'doctoral_reports', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        PERFORM set_config('session_replication_role', 'replica', true);
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."doctoral_reports" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'doctoral_reports', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of api_idempotency
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."api_idempotency"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."api_idempotency" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."api_idempotency"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('endpoint', t."endpoint", 'key', t."key") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."api_idempotency" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."api_idempotency" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'api_idempotency', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'api_idempotency', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."api_idempotency" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'api_idempotency', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of entrevista_fragmentos
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."entrevista_fragmentos"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."entrevista_fragmentos" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."entrevista_fragmentos"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."entrevista_fragmentos" AS t
LEFT JOIN LATERAL (SELECT min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS hi, bool_or((q."project_id")::text = '__shared__') AS global FROM "public"."interview_files" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text WHERE q."filename" = t."archivo") AS p1 ON true
CROSS JOIN LATERAL (SELECT CASE WHEN p1.lo IS NULL AND p1.global THEN 'shared' WHEN p1.lo IS NULL THEN 'nothing' WHEN p1.lo <> p1.hi THEN 'several' WHEN p1.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, p1.lo AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."entrevista_fragmentos" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'entrevista_fragmentos', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            PERFORM set_config('session_replication_role', 'replica', true);
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'entrevista_fragmentos', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        PERFORM set_config('session_replication_role', 'replica', true);
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."entrevista_fragmentos" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'entrevista_fragmentos', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of interview_reports
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."interview_reports"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."interview_reports" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."interview_reports"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."interview_reports" AS t
LEFT JOIN LATERAL (SELECT min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS hi, bool_or((q."project_id")::text = '__shared__') AS global FROM "public"."interview_files" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text WHERE q."filename" = t."archivo") AS p1 ON true
CROSS JOIN LATERAL (SELECT CASE WHEN p1.lo IS NULL AND p1.global THEN 'shared' WHEN p1.lo IS NULL THEN 'nothing' WHEN p1.lo <> p1.hi THEN 'several' WHEN p1.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, p1.lo AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."interview_reports" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'interview_reports', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'interview_reports', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."interview_reports" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'interview_reports', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of report_jobs
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."report_jobs"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."report_jobs" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."report_jobs"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."report_jobs" AS t
LEFT JOIN "public"."doctoral_reports" AS p1 ON p1."id" = t."report_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."report_jobs" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'report_jobs', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'report_jobs', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."report_jobs" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'report_jobs', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of analisis_codigos_abiertos
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."analisis_codigos_abiertos"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."analisis_codigos_abiertos" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."analisis_codigos_abiertos"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('fragmento_id', t."fragmento_id", 'codigo', t."codigo") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."analisis_codigos_abiertos" AS t
LEFT JOIN "public"."entrevista_fragmentos" AS p1 ON p1."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v2
LEFT JOIN "tenure"."alias" AS l2 ON l2.value = v2.said
LEFT JOIN "public"."proyectos" AS r2 ON r2."id"::text = coalesce(l2.tenant, v2.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v2.said IS NULL OR (v2.said)::text IN ('default', '')) THEN 'nothing' WHEN r2."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r2."id"::text, v2.said) AS value) a2
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN '__quarantine__' ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."analisis_codigos_abiertos" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'analisis_codigos_abiertos', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'analisis_codigos_abiertos', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."analisis_codigos_abiertos" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'analisis_codigos_abiertos', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of codigos_candidatos
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."codigos_candidatos"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."codigos_candidatos" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."codigos_candidatos"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."codigos_candidatos" AS t
CROSS JOIN LATERAL (SELECT (t."proyecto")::text AS said) v1
LEFT JOIN "tenure"."alias" AS l1 ON l1.value = v1.said
LEFT JOIN "public"."proyectos" AS r1 ON r1."id"::text = coalesce(l1.tenant, v1.said)
CROSS JOIN LATERAL (SELECT CASE WHEN (v1.said IS NULL OR (v1.said)::text IN ('default', '')) THEN 'nothing' WHEN r1."id" IS NOT NULL THEN 'tenant' ELSE 'unknown' END AS says, coalesce(r1."id"::text, v1.said) AS value) a1
LEFT JOIN "public"."entrevista_fragmentos" AS p2 ON p2."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g2 ON g2."id"::text = (p2."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p2."project_id")::text = '__shared__' THEN 'shared' WHEN g2."id" IS NULL AND (p2."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p2."project_id")::text <> (p2."project_id")::text THEN 'several' WHEN (p2."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p2."project_id")::text AS value) a2
LEFT JOIN LATERAL (SELECT min((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS lo, max((q."project_id")::text) FILTER (WHERE g."id" IS NOT NULL OR (q."project_id")::text = '__quarantine__') AS hi, bool_or((q."project_id")::text = '__shared__') AS global FROM "public"."interview_files" AS q LEFT JOIN "public"."proyectos" AS g ON g."id"::text = (q."project_id")::text WHERE q."filename" = t."archivo") AS p3 ON true
CROSS JOIN LATERAL (SELECT CASE WHEN p3.lo IS NULL AND p3.global THEN 'shared' WHEN p3.lo IS NULL THEN 'nothing' WHEN p3.lo <> p3.hi THEN 'several' WHEN p3.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, p3.lo AS value) a3
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 WHEN a2.says NOT IN ('nothing', 'shared') THEN 2 WHEN a3.says NOT IN ('nothing', 'shared') THEN 3 ELSE NULL END AS place, a1.says = 'quarantined' OR a2.says = 'quarantined' OR a3.says = 'quarantined' AS quarantined, a1.says = 'shared' OR a2.says = 'shared' OR a3.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says WHEN k.place = 2 THEN a2.says WHEN k.place = 3 THEN a3.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value WHEN k.place = 2 THEN a2.value WHEN k.place = 3 THEN a3.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN CASE WHEN k.place < 2 AND (a2.says = 'several' OR (a2.says = 'tenant' AND a2.value <> c.value)) THEN 'source 2 says ' || CASE WHEN a2.says = 'several' THEN 'several tenants' ELSE a2.value END WHEN k.place < 3 AND (a3.says = 'several' OR (a3.says = 'tenant' AND a3.value <> c.value)) THEN 'source 3 says ' || CASE WHEN a3.says = 'several' THEN 'several tenants' ELSE a3.value END ELSE NULL END END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."codigos_candidatos" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'codigos_candidatos', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            PERFORM set_config('session_replication_role', 'replica', true);
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'codigos_candidatos', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        PERFORM set_config('session_replication_role', 'replica', true);
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."codigos_candidatos" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'codigos_candidatos', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of analysis_memos
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."analysis_memos"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."analysis_memos" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."analysis_memos"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."analysis_memos" AS t
LEFT JOIN "public"."entrevista_fragmentos" AS p1 ON p1."id" = t."fragmento_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."analysis_memos" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'analysis_memos', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            PERFORM set_config('session_replication_role', 'replica', true);
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'analysis_memos', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        PERFORM set_config('session_replication_role', 'replica', true);
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."analysis_memos" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'analysis_memos', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of codigo_citas
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."codigo_citas"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."codigo_citas" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."codigo_citas"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."codigo_citas" AS t
LEFT JOIN "public"."analisis_codigos_abiertos" AS p1 ON p1."fragmento_id" = t."fragmento_id" AND p1."codigo" = t."codigo"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE '__quarantine__' END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."codigo_citas" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'codigo_citas', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'codigo_citas', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."codigo_citas" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'codigo_citas', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;

-- write project_id on the rows of memo_revisiones
DO $do$
DECLARE
    tenure_pages bigint := pg_relation_size('"public"."memo_revisiones"'::regclass) / current_setting('block_size')::int;
    tenure_few bigint := (SELECT count(*) FROM (SELECT 1 FROM ONLY "public"."memo_revisiones" LIMIT 5001) AS few);
    tenure_dense int := (SELECT (reltuples / nullif(relpages, 0))::int FROM pg_class WHERE oid = '"public"."memo_revisiones"'::regclass);
    tenure_passes int := 14;
    tenure_page bigint := 0;
    tenure_changed bigint;
    tenure_total bigint := 0;
    -- $1 and $2: from which page to which; $3: the number of passes over them, $4: this pass.
    tenure_batch text := $batch$WITH d AS MATERIALIZED (
SELECT q.tid, q.version, q.write, CASE WHEN q.write = '__quarantine__' THEN q.item END AS item, CASE WHEN q.write = '__quarantine__' THEN q.present END AS present, CASE WHEN q.write = '__quarantine__' THEN q.reason END AS reason FROM (
SELECT t.ctid AS tid, t.xmin AS version, jsonb_build_object('id', t."id") AS item, (t."project_id")::text AS present, d.bin, w.derived, w.write, d.reason, d.by_application
FROM ONLY "public"."memo_revisiones" AS t
LEFT JOIN "public"."analysis_memos" AS p1 ON p1."id" = t."memo_id"
LEFT JOIN "public"."proyectos" AS g1 ON g1."id"::text = (p1."project_id")::text
CROSS JOIN LATERAL (SELECT CASE WHEN (p1."project_id")::text = '__shared__' THEN 'shared' WHEN g1."id" IS NULL AND (p1."project_id")::text IS DISTINCT FROM '__quarantine__' THEN 'nothing' WHEN (p1."project_id")::text <> (p1."project_id")::text THEN 'several' WHEN (p1."project_id")::text = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says, (p1."project_id")::text AS value) a1
CROSS JOIN LATERAL (SELECT CASE WHEN a1.says NOT IN ('nothing', 'shared') THEN 1 ELSE NULL END AS place, a1.says = 'quarantined' AS quarantined, a1.says = 'shared' AS shared) k
CROSS JOIN LATERAL (SELECT CASE WHEN k.place = 1 THEN a1.says ELSE NULL END AS says, CASE WHEN k.place = 1 THEN a1.value ELSE NULL END AS value) c
CROSS JOIN LATERAL (SELECT CASE WHEN c.says = 'tenant' THEN NULL END AS against) x
CROSS JOIN LATERAL (SELECT CASE WHEN k.quarantined THEN 'quarantine' WHEN k.place IS NULL AND k.shared THEN 'shared' WHEN k.place IS NULL OR c.says = 'unknown' THEN 'unassigned' WHEN c.says = 'several' OR x.against IS NOT NULL THEN 'conflict' ELSE 'assigned' END AS bin, CASE WHEN k.quarantined OR c.says IN ('unknown', 'several') THEN NULL ELSE c.value END AS value, CASE WHEN k.quarantined THEN 'its parent is quarantined' WHEN k.place IS NULL AND k.shared THEN 'its parent is shared' WHEN k.place IS NULL THEN 'no source has a value' WHEN c.says = 'unknown' THEN 'source ' || k.place || ' says ' || c.value || ', which is not a tenant' WHEN c.says = 'several' THEN 'source ' || k.place || ' matches several tenants' WHEN x.against IS NOT NULL THEN 'source ' || k.place || ' says ' || c.value || ', ' || x.against ELSE '' END AS reason) s
CROSS JOIN LATERAL (SELECT s.bin, s.value, s.reason, false AS by_application) d
CROSS JOIN LATERAL (SELECT CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS derived, CASE d.bin WHEN 'assigned' THEN d.value WHEN 'shared' THEN '__shared__' WHEN 'quarantine' THEN '__quarantine__' WHEN 'conflict' THEN NULL ELSE NULL END AS write) w
WHERE t.ctid >= $1 AND t.ctid < $2 AND (t.ctid::text::point)[1]::int % $3 = $4 AND (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))
OFFSET 0) AS q WHERE q.write IS NOT NULL
),
changed AS (UPDATE ONLY "public"."memo_revisiones" AS t SET "project_id" = (d.write)::text FROM d WHERE t.ctid = d.tid AND t.xmin = d.version RETURNING d.item, d.present, d.write, d.reason),
listed AS (INSERT INTO tenure.quarantine (store, object, item, reason) SELECT 'postgres', 'memo_revisiones', CASE WHEN octet_length(item::text) <= 2000 THEN item ELSE jsonb_build_object('md5', md5(item::text), 'begins', left(item::text, 200)) END, reason FROM changed WHERE write = '__quarantine__' ON CONFLICT (store, object, item) DO NOTHING)
SELECT count(*) FROM changed$batch$;
BEGIN
    IF tenure_few <= 5000 THEN
        tenure_passes := 1;
    ELSIF tenure_dense > 0 THEN
        tenure_passes := least(tenure_passes, tenure_dense);
    END IF;
    WHILE tenure_page < tenure_pages LOOP
        FOR tenure_pass IN 0 .. tenure_passes - 1 LOOP
            EXECUTE tenure_batch INTO tenure_changed USING format('(%s,0)', tenure_page)::tid,
                format('(%s,0)', tenure_page + 2000)::tid, tenure_passes, tenure_pass;
            tenure_total := tenure_total + tenure_changed;
            COMMIT;
        END LOOP;
        tenure_page := tenure_page + 2000;
        RAISE NOTICE '%: % of % pages, % rows written', 'memo_revisiones', least(tenure_page, tenure_pages), tenure_pages,
            tenure_total;
    END LOOP;
    -- What was changed by others meanwhile: it was left alone, wherever it lies now.
    FOR tenure_pass IN 1 .. 20 LOOP
        EXECUTE tenure_batch INTO tenure_changed USING '(0,0)'::tid, '(4294967295,0)'::tid, 1, 0;
        COMMIT;
        EXIT WHEN tenure_changed = 0;
    END LOOP;
    EXECUTE $left$SELECT count(*) FROM ONLY "public"."memo_revisiones" AS t WHERE (t."project_id" IS NULL OR (t."project_id")::text IN ('default', ''))$left$ INTO tenure_changed;
    IF tenure_changed > 0 THEN
        RAISE EXCEPTION '%: % rows are left without a key', 'memo_revisiones', tenure_changed
            USING HINT = 'Look at their bin in the first part of this file, then run it again.';
    END IF;
END
$do$;
SET client_min_messages = warning;

-- 5. Rows of one tenant that share a key, where the old uniqueness does not rule it out: there must be none.

-- project_members.project_members_uq
SELECT "project_id", "user_id", count(*) AS rows FROM "public"."project_members" WHERE "user_id" IS NOT NULL GROUP BY "project_id", "user_id" HAVING count(*) > 1 LIMIT 100;
-- interview_files.interview_files_proyecto_filename_idx
SELECT "project_id", "filename", count(*) AS rows FROM "public"."interview_files" WHERE "filename" IS NOT NULL GROUP BY "project_id", "filename" HAVING count(*) > 1 LIMIT 100;
-- analisis_nucleo_notas.nucleo_notas_proyecto_categoria_key
SELECT "project_id", "categoria", count(*) AS rows FROM "public"."analisis_nucleo_notas" WHERE "categoria" IS NOT NULL GROUP BY "project_id", "categoria" HAVING count(*) > 1 LIMIT 100;

-- 6. Make the key mandatory, build what is unique per tenant beside the old, which stays.


-- project_members.project_id NOT NULL
ALTER TABLE "public"."project_members" DROP CONSTRAINT IF EXISTS "tenure_not_null_project_members";
ALTER TABLE "public"."project_members" ADD CONSTRAINT "tenure_not_null_project_members" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."project_members" VALIDATE CONSTRAINT "tenure_not_null_project_members";
ALTER TABLE "public"."project_members" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."project_members" DROP CONSTRAINT "tenure_not_null_project_members";

-- interview_files.project_id NOT NULL
ALTER TABLE "public"."interview_files" DROP CONSTRAINT IF EXISTS "tenure_not_null_interview_files";
ALTER TABLE "public"."interview_files" ADD CONSTRAINT "tenure_not_null_interview_files" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."interview_files" VALIDATE CONSTRAINT "tenure_not_null_interview_files";
ALTER TABLE "public"."interview_files" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."interview_files" DROP CONSTRAINT "tenure_not_null_interview_files";

-- analisis_axial.project_id NOT NULL
ALTER TABLE "public"."analisis_axial" DROP CONSTRAINT IF EXISTS "tenure_not_null_analisis_axial";
ALTER TABLE "public"."analisis_axial" ADD CONSTRAINT "tenure_not_null_analisis_axial" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."analisis_axial" VALIDATE CONSTRAINT "tenure_not_null_analisis_axial";
ALTER TABLE "public"."analisis_axial" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."analisis_axial" DROP CONSTRAINT "tenure_not_null_analisis_axial";

-- analisis_nucleo_notas.project_id NOT NULL
ALTER TABLE "public"."analisis_nucleo_notas" DROP CONSTRAINT IF EXISTS "tenure_not_null_analisis_nucleo_notas";
ALTER TABLE "public"."analisis_nucleo_notas" ADD CONSTRAINT "tenure_not_null_analisis_nucleo_notas" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."analisis_nucleo_notas" VALIDATE CONSTRAINT "tenure_not_null_analisis_nucleo_notas";
ALTER TABLE "public"."analisis_nucleo_notas" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."analisis_nucleo_notas" DROP CONSTRAINT "tenure_not_null_analisis_nucleo_notas";

-- discovery_navigation_log.project_id NOT NULL
ALTER TABLE "public"."discovery_navigation_log" DROP CONSTRAINT IF EXISTS "tenure_not_null_discovery_navigation_log";
ALTER TABLE "public"."discovery_navigation_log" ADD CONSTRAINT "tenure_not_null_discovery_navigation_log" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."discovery_navigation_log" VALIDATE CONSTRAINT "tenure_not_null_discovery_navigation_log";
ALTER TABLE "public"."discovery_navigation_log" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."discovery_navigation_log" DROP CONSTRAINT "tenure_not_null_discovery_navigation_log";

-- doctoral_reports.project_id NOT NULL
ALTER TABLE "public"."doctoral_reports" DROP CONSTRAINT IF EXISTS "tenure_not_null_doctoral_reports";
ALTER TABLE "public"."doctoral_reports" ADD CONSTRAINT "tenure_not_null_doctoral_reports" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."doctoral_reports" VALIDATE CONSTRAINT "tenure_not_null_doctoral_reports";
ALTER TABLE "public"."doctoral_reports" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."doctoral_reports" DROP CONSTRAINT "tenure_not_null_doctoral_reports";

-- api_idempotency.project_id NOT NULL
ALTER TABLE "public"."api_idempotency" DROP CONSTRAINT IF EXISTS "tenure_not_null_api_idempotency";
ALTER TABLE "public"."api_idempotency" ADD CONSTRAINT "tenure_not_null_api_idempotency" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."api_idempotency" VALIDATE CONSTRAINT "tenure_not_null_api_idempotency";
ALTER TABLE "public"."api_idempotency" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."api_idempotency" DROP CONSTRAINT "tenure_not_null_api_idempotency";

-- entrevista_fragmentos.project_id NOT NULL
ALTER TABLE "public"."entrevista_fragmentos" DROP CONSTRAINT IF EXISTS "tenure_not_null_entrevista_fragmentos";
ALTER TABLE "public"."entrevista_fragmentos" ADD CONSTRAINT "tenure_not_null_entrevista_fragmentos" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."entrevista_fragmentos" VALIDATE CONSTRAINT "tenure_not_null_entrevista_fragmentos";
ALTER TABLE "public"."entrevista_fragmentos" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."entrevista_fragmentos" DROP CONSTRAINT "tenure_not_null_entrevista_fragmentos";

-- interview_reports.project_id NOT NULL
ALTER TABLE "public"."interview_reports" DROP CONSTRAINT IF EXISTS "tenure_not_null_interview_reports";
ALTER TABLE "public"."interview_reports" ADD CONSTRAINT "tenure_not_null_interview_reports" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."interview_reports" VALIDATE CONSTRAINT "tenure_not_null_interview_reports";
ALTER TABLE "public"."interview_reports" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."interview_reports" DROP CONSTRAINT "tenure_not_null_interview_reports";

-- report_jobs.project_id NOT NULL
ALTER TABLE "public"."report_jobs" DROP CONSTRAINT IF EXISTS "tenure_not_null_report_jobs";
ALTER TABLE "public"."report_jobs" ADD CONSTRAINT "tenure_not_null_report_jobs" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."report_jobs" VALIDATE CONSTRAINT "tenure_not_null_report_jobs";
ALTER TABLE "public"."report_jobs" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."report_jobs" DROP CONSTRAINT "tenure_not_null_report_jobs";

-- analisis_codigos_abiertos.project_id NOT NULL
ALTER TABLE "public"."analisis_codigos_abiertos" DROP CONSTRAINT IF EXISTS "tenure_not_null_analisis_codigos_abiertos";
ALTER TABLE "public"."analisis_codigos_abiertos" ADD CONSTRAINT "tenure_not_null_analisis_codigos_abiertos" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."analisis_codigos_abiertos" VALIDATE CONSTRAINT "tenure_not_null_analisis_codigos_abiertos";
ALTER TABLE "public"."analisis_codigos_abiertos" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."analisis_codigos_abiertos" DROP CONSTRAINT "tenure_not_null_analisis_codigos_abiertos";

-- codigos_candidatos.project_id NOT NULL
ALTER TABLE "public"."codigos_candidatos" DROP CONSTRAINT IF EXISTS "tenure_not_null_codigos_candidatos";
ALTER TABLE "public"."codigos_candidatos" ADD CONSTRAINT "tenure_not_null_codigos_candidatos" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."codigos_candidatos" VALIDATE CONSTRAINT "tenure_not_null_codigos_candidatos";
ALTER TABLE "public"."codigos_candidatos" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."codigos_candidatos" DROP CONSTRAINT "tenure_not_null_codigos_candidatos";

-- analysis_memos.project_id NOT NULL
ALTER TABLE "public"."analysis_memos" DROP CONSTRAINT IF EXISTS "tenure_not_null_analysis_memos";
ALTER TABLE "public"."analysis_memos" ADD CONSTRAINT "tenure_not_null_analysis_memos" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."analysis_memos" VALIDATE CONSTRAINT "tenure_not_null_analysis_memos";
ALTER TABLE "public"."analysis_memos" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."analysis_memos" DROP CONSTRAINT "tenure_not_null_analysis_memos";

-- codigo_citas.project_id NOT NULL
ALTER TABLE "public"."codigo_citas" DROP CONSTRAINT IF EXISTS "tenure_not_null_codigo_citas";
ALTER TABLE "public"."codigo_citas" ADD CONSTRAINT "tenure_not_null_codigo_citas" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."codigo_citas" VALIDATE CONSTRAINT "tenure_not_null_codigo_citas";
ALTER TABLE "public"."codigo_citas" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."codigo_citas" DROP CONSTRAINT "tenure_not_null_codigo_citas";

-- memo_revisiones.project_id NOT NULL
ALTER TABLE "public"."memo_revisiones" DROP CONSTRAINT IF EXISTS "tenure_not_null_memo_revisiones";
ALTER TABLE "public"."memo_revisiones" ADD CONSTRAINT "tenure_not_null_memo_revisiones" CHECK ("project_id" IS NOT NULL) NOT VALID;
ALTER TABLE "public"."memo_revisiones" VALIDATE CONSTRAINT "tenure_not_null_memo_revisiones";
ALTER TABLE "public"."memo_revisiones" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "public"."memo_revisiones" DROP CONSTRAINT "tenure_not_null_memo_revisiones";

-- unique project_members_uq_project_id per tenant beside project_members_uq on project_members
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."project_members"'::regclass AND c.relname = 'project_members_uq_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."project_members_uq_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "project_members_uq_project_id" ON "public"."project_members" USING btree ("project_id", user_id);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."project_members"'::regclass AND c.relname = 'project_members_uq_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'project_members_uq_project_id';
    END IF;
END
$do$;
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."project_members"'::regclass
                   AND conname = 'project_members_uq_project_id') THEN
        ALTER TABLE "public"."project_members" ADD CONSTRAINT "project_members_uq_project_id" UNIQUE USING INDEX "project_members_uq_project_id";
    END IF;
END
$do$;

-- unique interview_files_proyecto_filename_idx_project_id per tenant beside interview_files_proyecto_filename_idx on interview_files
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."interview_files"'::regclass AND c.relname = 'interview_files_proyecto_filename_idx_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."interview_files_proyecto_filename_idx_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "interview_files_proyecto_filename_idx_project_id" ON "public"."interview_files" USING btree ("project_id", filename);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."interview_files"'::regclass AND c.relname = 'interview_files_proyecto_filename_idx_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'interview_files_proyecto_filename_idx_project_id';
    END IF;
END
$do$;

-- unique analisis_axial_pkey_project_id per tenant beside analisis_axial_pkey on analisis_axial
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."analisis_axial"'::regclass AND c.relname = 'analisis_axial_pkey_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."analisis_axial_pkey_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "analisis_axial_pkey_project_id" ON "public"."analisis_axial" USING btree ("project_id", categoria, codigo, relacion);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."analisis_axial"'::regclass AND c.relname = 'analisis_axial_pkey_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'analisis_axial_pkey_project_id';
    END IF;
END
$do$;

-- unique nucleo_notas_proyecto_categoria_key_project_id per tenant beside nucleo_notas_proyecto_categoria_key on analisis_nucleo_notas
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."analisis_nucleo_notas"'::regclass AND c.relname = 'nucleo_notas_proyecto_categoria_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."nucleo_notas_proyecto_categoria_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "nucleo_notas_proyecto_categoria_key_project_id" ON "public"."analisis_nucleo_notas" USING btree ("project_id", categoria);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."analisis_nucleo_notas"'::regclass AND c.relname = 'nucleo_notas_proyecto_categoria_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'nucleo_notas_proyecto_categoria_key_project_id';
    END IF;
END
$do$;
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."analisis_nucleo_notas"'::regclass
                   AND conname = 'nucleo_notas_proyecto_categoria_key_project_id') THEN
        ALTER TABLE "public"."analisis_nucleo_notas" ADD CONSTRAINT "nucleo_notas_proyecto_categoria_key_project_id" UNIQUE USING INDEX "nucleo_notas_proyecto_categoria_key_project_id";
    END IF;
END
$do$;

-- unique api_idempotency_pkey_project_id per tenant beside api_idempotency_pkey on api_idempotency
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."api_idempotency"'::regclass AND c.relname = 'api_idempotency_pkey_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."api_idempotency_pkey_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "api_idempotency_pkey_project_id" ON "public"."api_idempotency" USING btree ("project_id", endpoint, key);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."api_idempotency"'::regclass AND c.relname = 'api_idempotency_pkey_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'api_idempotency_pkey_project_id';
    END IF;
END
$do$;

-- unique entrevista_fragmentos_pkey_project_id per tenant beside entrevista_fragmentos_pkey on entrevista_fragmentos
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."entrevista_fragmentos"'::regclass AND c.relname = 'entrevista_fragmentos_pkey_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."entrevista_fragmentos_pkey_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "entrevista_fragmentos_pkey_project_id" ON "public"."entrevista_fragmentos" USING btree ("project_id", id);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."entrevista_fragmentos"'::regclass AND c.relname = 'entrevista_fragmentos_pkey_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'entrevista_fragmentos_pkey_project_id';
    END IF;
END
$do$;

-- unique fragmentos_archivo_par_key_project_id per tenant beside fragmentos_archivo_par_key on entrevista_fragmentos
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."entrevista_fragmentos"'::regclass AND c.relname = 'fragmentos_archivo_par_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."fragmentos_archivo_par_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "fragmentos_archivo_par_key_project_id" ON "public"."entrevista_fragmentos" USING btree ("project_id", archivo, par_idx);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."entrevista_fragmentos"'::regclass AND c.relname = 'fragmentos_archivo_par_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'fragmentos_archivo_par_key_project_id';
    END IF;
END
$do$;
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."entrevista_fragmentos"'::regclass
                   AND conname = 'fragmentos_archivo_par_key_project_id') THEN
        ALTER TABLE "public"."entrevista_fragmentos" ADD CONSTRAINT "fragmentos_archivo_par_key_project_id" UNIQUE USING INDEX "fragmentos_archivo_par_key_project_id";
    END IF;
END
$do$;

-- unique interview_reports_archivo_key_project_id per tenant beside interview_reports_archivo_key on interview_reports
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."interview_reports"'::regclass AND c.relname = 'interview_reports_archivo_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."interview_reports_archivo_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "interview_reports_archivo_key_project_id" ON "public"."interview_reports" USING btree ("project_id", archivo) INCLUDE ("resumen");
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."interview_reports"'::regclass AND c.relname = 'interview_reports_archivo_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'interview_reports_archivo_key_project_id';
    END IF;
END
$do$;

-- unique report_jobs_pendiente_key_project_id per tenant beside report_jobs_pendiente_key on report_jobs
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."report_jobs"'::regclass AND c.relname = 'report_jobs_pendiente_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."report_jobs_pendiente_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "report_jobs_pendiente_key_project_id" ON "public"."report_jobs" USING btree ("project_id", dedupe_key) WHERE (estado = 'pendiente'::text);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."report_jobs"'::regclass AND c.relname = 'report_jobs_pendiente_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'report_jobs_pendiente_key_project_id';
    END IF;
END
$do$;

-- unique analisis_codigos_abiertos_pkey_project_id per tenant beside analisis_codigos_abiertos_pkey on analisis_codigos_abiertos
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."analisis_codigos_abiertos"'::regclass AND c.relname = 'analisis_codigos_abiertos_pkey_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."analisis_codigos_abiertos_pkey_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "analisis_codigos_abiertos_pkey_project_id" ON "public"."analisis_codigos_abiertos" USING btree ("project_id", fragmento_id, codigo);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."analisis_codigos_abiertos"'::regclass AND c.relname = 'analisis_codigos_abiertos_pkey_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'analisis_codigos_abiertos_pkey_project_id';
    END IF;
END
$do$;

-- unique candidatos_codigo_fragmento_key_project_id per tenant beside candidatos_codigo_fragmento_key on codigos_candidatos
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."codigos_candidatos"'::regclass AND c.relname = 'candidatos_codigo_fragmento_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."candidatos_codigo_fragmento_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "candidatos_codigo_fragmento_key_project_id" ON "public"."codigos_candidatos" USING btree ("project_id", codigo, fragmento_id) NULLS NOT DISTINCT;
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."codigos_candidatos"'::regclass AND c.relname = 'candidatos_codigo_fragmento_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'candidatos_codigo_fragmento_key_project_id';
    END IF;
END
$do$;
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."codigos_candidatos"'::regclass
                   AND conname = 'candidatos_codigo_fragmento_key_project_id') THEN
        ALTER TABLE "public"."codigos_candidatos" ADD CONSTRAINT "candidatos_codigo_fragmento_key_project_id" UNIQUE USING INDEX "candidatos_codigo_fragmento_key_project_id";
    END IF;
END
$do$;

-- unique memos_titulo_activo_key_project_id per tenant beside memos_titulo_activo_key on analysis_memos
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."analysis_memos"'::regclass AND c.relname = 'memos_titulo_activo_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."memos_titulo_activo_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "memos_titulo_activo_key_project_id" ON "public"."analysis_memos" USING btree ("project_id", lower(titulo)) WHERE (NOT archivado);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."analysis_memos"'::regclass AND c.relname = 'memos_titulo_activo_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'memos_titulo_activo_key_project_id';
    END IF;
END
$do$;

-- unique codigo_citas_orden_key_project_id per tenant beside codigo_citas_orden_key on codigo_citas
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."codigo_citas"'::regclass AND c.relname = 'codigo_citas_orden_key_project_id'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."codigo_citas_orden_key_project_id";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "codigo_citas_orden_key_project_id" ON "public"."codigo_citas" USING btree ("project_id", fragmento_id, codigo, orden);
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."codigo_citas"'::regclass AND c.relname = 'codigo_citas_orden_key_project_id'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'codigo_citas_orden_key_project_id';
    END IF;
END
$do$;
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."codigo_citas"'::regclass
                   AND conname = 'codigo_citas_orden_key_project_id') THEN
        ALTER TABLE "public"."codigo_citas" ADD CONSTRAINT "codigo_citas_orden_key_project_id" UNIQUE USING INDEX "codigo_citas_orden_key_project_id";
    END IF;
END
$do$;

-- unique doctoral_reports_project_id_id_key on doctoral_reports for composite foreign keys
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."doctoral_reports"'::regclass AND c.relname = 'doctoral_reports_project_id_id_key'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."doctoral_reports_project_id_id_key";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "doctoral_reports_project_id_id_key" ON "public"."doctoral_reports" ("project_id", "id");
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."doctoral_reports"'::regclass AND c.relname = 'doctoral_reports_project_id_id_key'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'doctoral_reports_project_id_id_key';
    END IF;
END
$do$;

-- unique analysis_memos_project_id_id_key on analysis_memos for composite foreign keys
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."analysis_memos"'::regclass AND c.relname = 'analysis_memos_project_id_id_key'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."analysis_memos_project_id_id_key";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "analysis_memos_project_id_id_key" ON "public"."analysis_memos" ("project_id", "id");
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."analysis_memos"'::regclass AND c.relname = 'analysis_memos_project_id_id_key'
                     AND i.indisvalid AND i.indisready AND i.indisunique = true) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'analysis_memos_project_id_id_key';
    END IF;
END
$do$;

-- index discovery_navigation_log_project_id_idx on discovery_navigation_log
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."discovery_navigation_log"'::regclass AND c.relname = 'discovery_navigation_log_project_id_idx'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."discovery_navigation_log_project_id_idx";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE INDEX CONCURRENTLY IF NOT EXISTS "discovery_navigation_log_project_id_idx" ON "public"."discovery_navigation_log" ("project_id");
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."discovery_navigation_log"'::regclass AND c.relname = 'discovery_navigation_log_project_id_idx'
                     AND i.indisvalid AND i.indisready AND i.indisunique = false) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'discovery_navigation_log_project_id_idx';
    END IF;
END
$do$;

-- index report_jobs_project_id_idx on report_jobs
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."report_jobs"'::regclass AND c.relname = 'report_jobs_project_id_idx'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."report_jobs_project_id_idx";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE INDEX CONCURRENTLY IF NOT EXISTS "report_jobs_project_id_idx" ON "public"."report_jobs" ("project_id");
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."report_jobs"'::regclass AND c.relname = 'report_jobs_project_id_idx'
                     AND i.indisvalid AND i.indisready AND i.indisunique = false) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'report_jobs_project_id_idx';
    END IF;
END
$do$;

-- index memo_revisiones_project_id_idx on memo_revisiones
DO $do$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
               WHERE i.indrelid = '"public"."memo_revisiones"'::regclass AND c.relname = 'memo_revisiones_project_id_idx'
                 AND NOT (i.indisvalid AND i.indisready)) THEN
        DROP INDEX "public"."memo_revisiones_project_id_idx";
    END IF;
END
$do$;
SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it
CREATE INDEX CONCURRENTLY IF NOT EXISTS "memo_revisiones_project_id_idx" ON "public"."memo_revisiones" ("project_id");
SET lock_timeout = '5s';
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
                   WHERE i.indrelid = '"public"."memo_revisiones"'::regclass AND c.relname = 'memo_revisiones_project_id_idx'
                     AND i.indisvalid AND i.indisready AND i.indisunique = false) THEN
        RAISE EXCEPTION 'index % is not there or not valid', 'memo_revisiones_project_id_idx';
    END IF;
END
$do$;

-- foreign key report_jobs_report_id_fkey_project_id from report_jobs to doctoral_reports within a tenant
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."report_jobs"'::regclass
                   AND conname = 'report_jobs_report_id_fkey_project_id') THEN
        ALTER TABLE "public"."report_jobs" ADD CONSTRAINT "report_jobs_report_id_fkey_project_id" FOREIGN KEY ("project_id", "report_id") REFERENCES "public"."doctoral_reports" ("project_id", "id") ON UPDATE CASCADE ON DELETE CASCADE NOT VALID;
    END IF;
END
$do$;
ALTER TABLE "public"."report_jobs" VALIDATE CONSTRAINT "report_jobs_report_id_fkey_project_id";

-- foreign key analisis_codigos_abiertos_fragmento_id_fkey_project_id from analisis_codigos_abiertos to entrevista_fragmentos within a tenant
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."analisis_codigos_abiertos"'::regclass
                   AND conname = 'analisis_codigos_abiertos_fragmento_id_fkey_project_id') THEN
        ALTER TABLE "public"."analisis_codigos_abiertos" ADD CONSTRAINT "analisis_codigos_abiertos_fragmento_id_fkey_project_id" FOREIGN KEY ("project_id", "fragmento_id") REFERENCES "public"."entrevista_fragmentos" ("project_id", "id") ON UPDATE CASCADE ON DELETE CASCADE NOT VALID;
    END IF;
END
$do$;
ALTER TABLE "public"."analisis_codigos_abiertos" VALIDATE CONSTRAINT "analisis_codigos_abiertos_fragmento_id_fkey_project_id";

-- foreign key analysis_memos_fragmento_id_fkey_project_id from analysis_memos to entrevista_fragmentos within a tenant
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."analysis_memos"'::regclass
                   AND conname = 'analysis_memos_fragmento_id_fkey_project_id') THEN
        ALTER TABLE "public"."analysis_memos" ADD CONSTRAINT "analysis_memos_fragmento_id_fkey_project_id" FOREIGN KEY ("project_id", "fragmento_id") REFERENCES "public"."entrevista_fragmentos" ("project_id", "id") ON UPDATE CASCADE ON DELETE CASCADE NOT VALID;
    END IF;
END
$do$;
ALTER TABLE "public"."analysis_memos" VALIDATE CONSTRAINT "analysis_memos_fragmento_id_fkey_project_id";

-- foreign key codigo_citas_codigo_fkey_project_id from codigo_citas to analisis_codigos_abiertos within a tenant
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."codigo_citas"'::regclass
                   AND conname = 'codigo_citas_codigo_fkey_project_id') THEN
        ALTER TABLE "public"."codigo_citas" ADD CONSTRAINT "codigo_citas_codigo_fkey_project_id" FOREIGN KEY ("project_id", "fragmento_id", "codigo") REFERENCES "public"."analisis_codigos_abiertos" ("project_id", "fragmento_id", "codigo") ON UPDATE CASCADE ON DELETE CASCADE NOT VALID;
    END IF;
END
$do$;
ALTER TABLE "public"."codigo_citas" VALIDATE CONSTRAINT "codigo_citas_codigo_fkey_project_id";

-- foreign key memo_revisiones_memo_id_fkey_project_id from memo_revisiones to analysis_memos within a tenant
DO $do$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = '"public"."memo_revisiones"'::regclass
                   AND conname = 'memo_revisiones_memo_id_fkey_project_id') THEN
        ALTER TABLE "public"."memo_revisiones" ADD CONSTRAINT "memo_revisiones_memo_id_fkey_project_id" FOREIGN KEY ("project_id", "memo_id") REFERENCES "public"."analysis_memos" ("project_id", "id") ON UPDATE CASCADE ON DELETE CASCADE NOT VALID;
    END IF;
END
$do$;
ALTER TABLE "public"."memo_revisiones" VALIDATE CONSTRAINT "memo_revisiones_memo_id_fkey_project_id";

-- 7. Files for the graph and the vector store, written to the current directory.

CREATE OR REPLACE FUNCTION pg_temp.tenure_csv(said text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT replace(replace(replace(replace(replace(said, '%', '%25'), chr(92), '%5C'), '"', '%22'), chr(10), '%0A'),
                   chr(13), '%0D')
$$;
-- tenants.csv: every value that means a tenant: the registry and the aliases
CREATE OR REPLACE TEMPORARY VIEW tenure_export_1 AS
SELECT pg_temp.tenure_csv(v.value) AS value, pg_temp.tenure_csv(r."id"::text) AS tenant
FROM (SELECT "id"::text AS value FROM "public"."proyectos" UNION SELECT value FROM tenure.alias) AS v
LEFT JOIN tenure.alias AS l ON l.value = v.value
JOIN "public"."proyectos" AS r ON r."id"::text = coalesce(l.tenant, v.value)
ORDER BY 1;
-- rows_interview_files_filename.csv: interview_files.filename and the tenant of its rows
CREATE OR REPLACE TEMPORARY VIEW tenure_export_2 AS
SELECT pg_temp.tenure_csv(q.value) AS value, CASE WHEN (q.lo IS NULL OR (q.lo)::text IN ('default', '')) AND q.shared THEN 'shared' WHEN (q.lo IS NULL OR (q.lo)::text IN ('default', '')) THEN 'nothing' WHEN q.lo <> q.hi THEN 'several' WHEN q.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says,
       CASE WHEN NOT (q.lo IS NULL OR (q.lo)::text IN ('default', '')) AND q.lo = q.hi THEN pg_temp.tenure_csv(q.lo) END AS tenant
FROM (SELECT p."filename"::text AS value, min(p."project_id"::text) FILTER (WHERE p."project_id"::text <> '__shared__') AS lo, max(p."project_id"::text) FILTER (WHERE p."project_id"::text <> '__shared__') AS hi, coalesce(bool_or(p."project_id"::text = '__shared__'), false) AS shared
      FROM "public"."interview_files" AS p WHERE p."filename" IS NOT NULL GROUP BY 1) AS q
ORDER BY 1;
-- rows_entrevista_fragmentos_id.csv: entrevista_fragmentos.id and the tenant of its rows
CREATE OR REPLACE TEMPORARY VIEW tenure_export_3 AS
SELECT pg_temp.tenure_csv(q.value) AS value, CASE WHEN (q.lo IS NULL OR (q.lo)::text IN ('default', '')) AND q.shared THEN 'shared' WHEN (q.lo IS NULL OR (q.lo)::text IN ('default', '')) THEN 'nothing' WHEN q.lo <> q.hi THEN 'several' WHEN q.lo = '__quarantine__' THEN 'quarantined' ELSE 'tenant' END AS says,
       CASE WHEN NOT (q.lo IS NULL OR (q.lo)::text IN ('default', '')) AND q.lo = q.hi THEN pg_temp.tenure_csv(q.lo) END AS tenant
FROM (SELECT p."id"::text AS value, min(p."project_id"::text) FILTER (WHERE p."project_id"::text <> '__shared__') AS lo, max(p."project_id"::text) FILTER (WHERE p."project_id"::text <> '__shared__') AS hi, coalesce(bool_or(p."project_id"::text = '__shared__'), false) AS shared
      FROM "public"."entrevista_fragmentos" AS p WHERE p."id" IS NOT NULL GROUP BY 1) AS q
ORDER BY 1;
\copy (SELECT * FROM pg_temp.tenure_export_1) TO 'tenants.csv' WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')
\copy (SELECT * FROM pg_temp.tenure_export_2) TO 'rows_interview_files_filename.csv' WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')
\copy (SELECT * FROM pg_temp.tenure_export_3) TO 'rows_entrevista_fragmentos_id.csv' WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')
