-- 010: which fragments have reached the graph. Rows that exist now count as synced, later ones start as not synced.
-- Runs twice without harm: a column that is there already keeps its values.

ALTER TABLE entrevista_fragmentos ADD COLUMN IF NOT EXISTS project_id text;

DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = 'entrevista_fragmentos'::regclass AND attname = 'neo4j_synced' AND NOT attisdropped
    ) THEN
        -- Two steps, in this order: the first default is what old rows read, the second what new rows get. Adding the
        -- column with default false and updating its nulls would find no null and leave every old row as not synced.
        -- Neither step rewrites the table or fires its triggers.
        ALTER TABLE entrevista_fragmentos ADD COLUMN neo4j_synced boolean NOT NULL DEFAULT true;
        ALTER TABLE entrevista_fragmentos ALTER COLUMN neo4j_synced SET DEFAULT false;
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS idx_fragmentos_neo4j_pending ON entrevista_fragmentos (project_id, neo4j_synced)
    WHERE neo4j_synced = false;
