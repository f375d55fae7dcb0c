-- 012: projects are deleted softly: hidden first, removed from the three stores later.
-- Runs twice without harm.

ALTER TABLE proyectos ADD COLUMN IF NOT EXISTS is_deleted boolean NOT NULL DEFAULT false;

CREATE INDEX IF NOT EXISTS idx_proyectos_is_deleted ON proyectos (is_deleted);
