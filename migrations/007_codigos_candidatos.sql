-- 007: candidate codes: what a model, a search or a person proposes, before somebody validates it.
-- Runs twice without harm. A table of that name from before project scoping keeps its rows and gets what it lacks;
-- its project_id stays nullable until every row has one (the backfill's work, not this file's).

CREATE TABLE IF NOT EXISTS codigos_candidatos (
    id serial PRIMARY KEY,
    project_id text NOT NULL,
    codigo text NOT NULL,
    cita text,
    fragmento_id text,
    archivo text,
    fuente_origen text NOT NULL,  -- llm, manual, discovery, semantic_suggestion, legacy
    fuente_detalle text,
    score_confianza double precision,
    estado text NOT NULL DEFAULT 'pendiente',  -- pendiente, validado, rechazado, fusionado
    validado_por text,
    validado_en timestamptz,
    fusionado_a text,
    memo text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE codigos_candidatos
    ADD COLUMN IF NOT EXISTS project_id text,
    ADD COLUMN IF NOT EXISTS cita text,
    ADD COLUMN IF NOT EXISTS fragmento_id text,
    ADD COLUMN IF NOT EXISTS archivo text,
    ADD COLUMN IF NOT EXISTS fuente_origen text NOT NULL DEFAULT 'legacy',
    ADD COLUMN IF NOT EXISTS fuente_detalle text,
    ADD COLUMN IF NOT EXISTS score_confianza double precision,
    ADD COLUMN IF NOT EXISTS estado text NOT NULL DEFAULT 'pendiente',
    ADD COLUMN IF NOT EXISTS validado_por text,
    ADD COLUMN IF NOT EXISTS validado_en timestamptz,
    ADD COLUMN IF NOT EXISTS fusionado_a text,
    ADD COLUMN IF NOT EXISTS memo text,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();

DO $$
BEGIN
    -- An empty table says nothing about its writers, so NOT NULL waits for rows that all have a project.
    IF EXISTS (SELECT FROM codigos_candidatos)
        AND NOT EXISTS (SELECT FROM codigos_candidatos WHERE project_id IS NULL) THEN
        ALTER TABLE codigos_candidatos ALTER COLUMN project_id SET NOT NULL;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'codigos_candidatos'::regclass AND conname = 'codigos_candidatos_project_codigo_fragmento_key'
    ) THEN
        ALTER TABLE codigos_candidatos ADD CONSTRAINT codigos_candidatos_project_codigo_fragmento_key
            UNIQUE (project_id, codigo, fragmento_id);
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS idx_candidatos_project_estado ON codigos_candidatos (project_id, estado);
CREATE INDEX IF NOT EXISTS idx_candidatos_project_fuente ON codigos_candidatos (project_id, fuente_origen);
CREATE INDEX IF NOT EXISTS idx_candidatos_score ON codigos_candidatos (score_confianza DESC);
CREATE INDEX IF NOT EXISTS idx_candidatos_created ON codigos_candidatos (created_at);
CREATE INDEX IF NOT EXISTS idx_candidatos_archivo ON codigos_candidatos (archivo);
CREATE INDEX IF NOT EXISTS idx_candidatos_codigo ON codigos_candidatos (codigo);

CREATE OR REPLACE FUNCTION codigos_candidatos_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trg_codigos_candidatos_updated_at BEFORE UPDATE ON codigos_candidatos
    FOR EACH ROW EXECUTE FUNCTION codigos_candidatos_set_updated_at();

CREATE OR REPLACE VIEW vw_codigos_candidatos_stats AS
SELECT project_id, fuente_origen, estado, count(*) AS total
FROM codigos_candidatos
GROUP BY project_id, fuente_origen, estado;
