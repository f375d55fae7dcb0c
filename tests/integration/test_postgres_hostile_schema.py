"""Every form of uniqueness in one schema, begun by somebody else's script, all the way by the command and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres_kit import Application

from tenure.cli.main import run
from tenure.playbook import load_playbook
from tenure.session import Session

SCHEMA = """
CREATE TABLE projects (id text PRIMARY KEY);
INSERT INTO projects VALUES ('a'), ('b');
CREATE TABLE docs (name text PRIMARY KEY, p text, slug text, gone bool DEFAULT false, code text, rank int,
    serial_no text, note text, CONSTRAINT docs_code UNIQUE NULLS NOT DISTINCT (code),
    CONSTRAINT docs_serial UNIQUE (serial_no) INCLUDE (note),
    CONSTRAINT docs_rank UNIQUE (rank) DEFERRABLE INITIALLY DEFERRED);
CREATE UNIQUE INDEX docs_slug_live ON docs (slug) WHERE NOT gone;
CREATE UNIQUE INDEX docs_lower ON docs (lower(name));
CREATE TABLE pages (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int,
    doc text NOT NULL REFERENCES docs ON UPDATE CASCADE ON DELETE CASCADE, UNIQUE (doc, n));
CREATE TABLE links (src text REFERENCES docs, dst text REFERENCES docs ON DELETE SET NULL, kind text,
    PRIMARY KEY (src, kind));
-- Somebody's start: a key in part, a default that takes late writers, a check that was never validated.
CREATE TABLE booking (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, p text, during int4range,
    project_id text DEFAULT 'a', CONSTRAINT booking_during EXCLUDE USING gist (during WITH &&));
CREATE TABLE ev (id int, at int, p text, tag text, PRIMARY KEY (id, at), UNIQUE (tag, at)) PARTITION BY RANGE (at);
CREATE TABLE ev1 PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE ev2 PARTITION OF ev FOR VALUES FROM (100) TO (200);
CREATE MATERIALIZED VIEW doc_names AS SELECT name, count(*) AS n FROM docs GROUP BY name;
CREATE UNIQUE INDEX doc_names_u ON doc_names (name);
CREATE FUNCTION put_doc(n text) RETURNS void LANGUAGE sql AS
    $$ INSERT INTO docs (name, p) VALUES (n, 'a') ON CONFLICT (name) DO NOTHING $$;
INSERT INTO docs SELECT 'd' || g, (ARRAY['a', 'b'])[1 + g % 2], 's' || g, false, 'c' || g, g, 'n' || g
    FROM generate_series(1, 40) g;
INSERT INTO pages (doc, n) SELECT 'd' || (1 + g % 40), g FROM generate_series(1, 200) g;
INSERT INTO links SELECT 'd' || g, 'd' || (g + 2), 'see' FROM generate_series(1, 30) g;
INSERT INTO booking (p, during, project_id)
    SELECT (ARRAY['a', 'b'])[1 + g % 2], int4range(g * 10, g * 10 + 5), CASE WHEN g % 4 = 0 THEN 'a' END
    FROM generate_series(1, 50) g;
ALTER TABLE booking ADD CONSTRAINT keyed CHECK (project_id IS NOT NULL) NOT VALID;
INSERT INTO ev SELECT g, g, (ARRAY['a', 'b'])[1 + g % 2], 't' || g FROM generate_series(1, 150) g;
"""
# What a concurrent build left that found duplicates.
BROKEN = """
CREATE UNIQUE INDEX booking_broken ON booking (p, during);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'booking_broken'::regclass;
"""
PLAYBOOK = """
version: 1
tenant: {{registry: {{table: projects, column: id}}}}
connections: {{postgres: {{url: "{dsn}"}}}}
postgres:
  docs: {{tenant: {{column: p}}}}
  pages: {{tenant: {{parent: docs, match: {{doc: name}}}}}}
  links: {{tenant: {{parent: docs, match: {{src: name}}}}}}
  booking: {{tenant: {{column: p}}}}
  ev: {{tenant: {{column: p}}}}
"""
# What the second tenant does once nothing is global any more, and what takes that back.
THEIRS = """
INSERT INTO docs (name, p, project_id, slug, code, rank, serial_no)
    VALUES ('d1', 'a', 'a', 's1', 'c1', 1, 'n1'), ('D3', 'a', 'a', 's3', NULL, 3, 'n3');
INSERT INTO pages (doc, n, project_id) VALUES ('d1', 40, 'a');
INSERT INTO links VALUES ('d1', NULL, 'see', 'a');
INSERT INTO booking (p, project_id, during) VALUES ('a', 'a', '[10,15)');
INSERT INTO ev VALUES (1, 1, 'a', 't1', 'a');
"""
GONE = """
DELETE FROM pages WHERE doc = 'd1' AND project_id = 'a'; DELETE FROM links WHERE src = 'd1' AND project_id = 'a';
DELETE FROM docs WHERE name IN ('d1', 'D3') AND project_id = 'a';
DELETE FROM booking WHERE during = '[10,15)' AND project_id = 'a'; DELETE FROM ev WHERE id = 1 AND project_id = 'a';
"""
OURS = {
    "INSERT INTO docs (name, p, project_id) VALUES ('d2', 'a', 'a')": psycopg.errors.UniqueViolation,
    "INSERT INTO booking (p, project_id, during) VALUES ('b', 'b', '[11,12)')": psycopg.errors.ExclusionViolation,
    "INSERT INTO pages (doc, n, project_id) VALUES ('d3', 1, 'a')": psycopg.errors.ForeignKeyViolation,
    "INSERT INTO ev VALUES (2, 2, 'a', 'new', 'a')": psycopg.errors.UniqueViolation,
}
GLOBAL = ("docs_pkey", "docs_code", "docs_serial", "docs_rank", "docs_slug_live", "docs_lower", "pages_doc_n_key",
          "links_pkey", "booking_during", "ev_pkey", "ev_tag_at_key")  # fmt: skip


def test_all_forms_by_the_command_and_back(
    postgres_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "tenure.yaml").write_text(PLAYBOOK.format(dsn=postgres_dsn))
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute((SCHEMA + BROKEN).encode())
        connection.execute("ANALYZE")

    def tenure(*words: str) -> tuple[int, str]:
        code = run([words[0], "-f", str(tmp_path / "tenure.yaml"), *words[1:]])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    def allow(*hazards: str) -> list[str]:
        return [word for hazard in ("NO_BACKUP", *hazards) for word in ("--allow", hazard)]

    with Session(load_playbook(tmp_path / "tenure.yaml", {})) as session:
        app = Application(postgres_dsn, session)
        code, said = tenure("inspect")
        assert code == 0, said
        for id_ in ("TEN020", "TEN022", "TEN024", "TEN025", "TEN028", "TEN110", "TEN118"):
            assert id_ in said, (id_, said)
        code, said = tenure("plan")
        assert code == 0, said
        assert all(f"beside {name} on" in said for name in GLOBAL), said

        code, said = tenure("apply", *allow())
        assert code == 3
        assert "--allow LOCKS_TABLE" in said
        app.untouched()
        code, said = tenure("apply", *allow("LOCKS_TABLE"))
        assert code == 1, "an invalid unique index refuses other tenants' rows all the same"
        assert "TEN506 postgres booking.booking_broken" in said
        app.execute("DROP INDEX booking_broken")
        code, said = tenure("apply", *allow())
        assert code == 0, said
        assert "waits for contract" in said
        for statement in THEIRS.strip().rstrip(";").split(";"):
            with pytest.raises(psycopg.IntegrityError):
                app.execute(statement)

        code, said = tenure("contract", "--yes", *allow())
        assert code == 3
        assert "--allow BREAKS_ON_CONFLICT --allow IRREVERSIBLE" in said
        assert "LOCKS_TABLE" not in said, "that was done, and allowed, before"
        code, said = tenure("contract", "--yes", *allow("IRREVERSIBLE", "BREAKS_ON_CONFLICT"))
        assert code == 0, said
        app.execute(THEIRS)
        for statement, error in OURS.items():
            with pytest.raises(error):
                app.execute(statement)
        assert names(app) & set(GLOBAL) == set()

        code, said = tenure("rollback", "--plan")
        assert code == 3
        assert {name for name in GLOBAL if f"{name} would forbid" in said or f"which {name} would" in said} == set(
            GLOBAL
        )
        there = app.catalog()
        code, said = tenure("rollback", "--yes")
        assert code == 3
        assert app.catalog().structure() == there.structure()
        app.execute(GONE)
        code, said = tenure("rollback", "--yes")
        assert code == 0, said
        app.execute(BROKEN)
        app.untouched()


def names(app: Application) -> set[Any]:
    """The constraints and indexes of the schema."""
    query = (
        "SELECT conname::text, 1 FROM pg_constraint WHERE connamespace = 'public'::regnamespace "
        "UNION SELECT indexname::text, 1 FROM pg_indexes WHERE schemaname = 'public'"
    )
    return set(app.pairs(query))
