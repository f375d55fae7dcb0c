-- 013: the catalogue of codes of each project, filled from the codes in use.
-- Runs twice without harm: rows that are there stay as they are, codes that came into use since are added. Assignments
-- without a project are left out, so run it after the backfill (a second run catches up).

CREATE TABLE IF NOT EXISTS catalogo_codigos (
    project_id text NOT NULL,
    codigo text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    canonical_codigo text,
    merged_at timestamptz,
    merged_by text,
    memo text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project_id, codigo),
    CONSTRAINT catalogo_codigos_status_check CHECK (status IN ('active', 'merged', 'deprecated'))
);

CREATE INDEX IF NOT EXISTS idx_catalogo_project_status ON catalogo_codigos (project_id, status);
CREATE INDEX IF NOT EXISTS idx_catalogo_project_canonical ON catalogo_codigos (project_id, canonical_codigo);

CREATE OR REPLACE FUNCTION catalogo_codigos_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trg_catalogo_codigos_updated_at BEFORE UPDATE ON catalogo_codigos
    FOR EACH ROW EXECUTE FUNCTION catalogo_codigos_set_updated_at();

ALTER TABLE analisis_codigos_abiertos ADD COLUMN IF NOT EXISTS project_id text;

INSERT INTO catalogo_codigos (project_id, codigo)
SELECT DISTINCT project_id, codigo
FROM analisis_codigos_abiertos
WHERE project_id IS NOT NULL AND codigo IS NOT NULL
ON CONFLICT (project_id, codigo) DO NOTHING;
