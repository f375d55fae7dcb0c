-- 015: whether a project's codes are frozen (no code may be added, renamed or merged), by whom, and who broke it.
-- Runs twice without harm.

CREATE TABLE IF NOT EXISTS project_ontology_freeze (
    project_id text PRIMARY KEY,
    is_frozen boolean NOT NULL DEFAULT false,
    frozen_at timestamptz,
    frozen_by text,
    broken_at timestamptz,
    broken_by text,
    note text,
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE OR REPLACE FUNCTION project_ontology_freeze_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trg_project_ontology_freeze_updated_at BEFORE UPDATE ON project_ontology_freeze
    FOR EACH ROW EXECUTE FUNCTION project_ontology_freeze_set_updated_at();
