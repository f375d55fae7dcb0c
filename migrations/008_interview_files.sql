-- 008 (second of two): interview files and where each stands between upload and analysis.
-- Runs twice without harm. A table of that name from before project scoping keeps its rows and gets what it lacks;
-- its project_id stays nullable until every row has one (the backfill's work, not this file's).

CREATE TABLE IF NOT EXISTS interview_files (
    id serial PRIMARY KEY,
    project_id text NOT NULL,
    filename text NOT NULL,
    original_filename text,
    blob_url text,
    file_size bigint,
    status text NOT NULL DEFAULT 'pending',  -- pending, uploaded, indexing, indexed, analyzing, analyzed, error
    error_message text,
    segments_count integer,
    indexed_at timestamptz,
    analyzed_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE interview_files
    ADD COLUMN IF NOT EXISTS project_id text,
    ADD COLUMN IF NOT EXISTS original_filename text,
    ADD COLUMN IF NOT EXISTS blob_url text,
    ADD COLUMN IF NOT EXISTS file_size bigint,
    ADD COLUMN IF NOT EXISTS status text NOT NULL DEFAULT 'pending',
    ADD COLUMN IF NOT EXISTS error_message text,
    ADD COLUMN IF NOT EXISTS segments_count integer,
    ADD COLUMN IF NOT EXISTS indexed_at timestamptz,
    ADD COLUMN IF NOT EXISTS analyzed_at timestamptz,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now();

DO $$
BEGIN
    -- An empty table says nothing about its writers, so NOT NULL waits for rows that all have a project.
    IF EXISTS (SELECT FROM interview_files)
        AND NOT EXISTS (SELECT FROM interview_files WHERE project_id IS NULL) THEN
        ALTER TABLE interview_files ALTER COLUMN project_id SET NOT NULL;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_constraint
        WHERE conrelid = 'interview_files'::regclass AND conname = 'interview_files_project_filename_key'
    ) THEN
        ALTER TABLE interview_files ADD CONSTRAINT interview_files_project_filename_key UNIQUE (project_id, filename);
    END IF;
END
$$;

CREATE INDEX IF NOT EXISTS idx_interview_files_project_status ON interview_files (project_id, status);
CREATE INDEX IF NOT EXISTS idx_interview_files_created ON interview_files (created_at);

CREATE OR REPLACE FUNCTION interview_files_set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;
CREATE OR REPLACE TRIGGER trg_interview_files_updated_at BEFORE UPDATE ON interview_files
    FOR EACH ROW EXECUTE FUNCTION interview_files_set_updated_at();

CREATE OR REPLACE VIEW vw_interview_files_stats AS
SELECT project_id, status, count(*) AS total
FROM interview_files
GROUP BY project_id, status;
