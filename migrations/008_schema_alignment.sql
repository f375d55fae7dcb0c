-- 008 (first of two): columns that the code expects on tables which older installations made without them.
-- Runs twice without harm; it changes no value.

ALTER TABLE analisis_codigos_abiertos
    ADD COLUMN IF NOT EXISTS cita text,
    ADD COLUMN IF NOT EXISTS fuente text;

ALTER TABLE discovery_navigation_log
    ADD COLUMN IF NOT EXISTS busqueda_id uuid,
    ADD COLUMN IF NOT EXISTS positivos text[],
    ADD COLUMN IF NOT EXISTS negativos text[],
    ADD COLUMN IF NOT EXISTS target_text text,
    ADD COLUMN IF NOT EXISTS fragments_count integer,
    ADD COLUMN IF NOT EXISTS codigos_sugeridos text[],
    ADD COLUMN IF NOT EXISTS refinamientos_aplicados jsonb,
    ADD COLUMN IF NOT EXISTS ai_synthesis text,
    ADD COLUMN IF NOT EXISTS action_taken text,
    ADD COLUMN IF NOT EXISTS busqueda_origen_id uuid;

-- A hash index: quotations can be longer than the 2,704 bytes that a B-tree takes, and are only compared for equality.
CREATE INDEX IF NOT EXISTS idx_codigos_abiertos_cita ON analisis_codigos_abiertos USING hash (cita);
CREATE INDEX IF NOT EXISTS idx_discovery_busqueda_id ON discovery_navigation_log (busqueda_id);
CREATE INDEX IF NOT EXISTS idx_discovery_busqueda_origen_id ON discovery_navigation_log (busqueda_origen_id);
CREATE INDEX IF NOT EXISTS idx_discovery_action_taken ON discovery_navigation_log (action_taken);
