"""Introspection of real Postgres servers with schemas that are meant to break it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tenure.catalog import Likeness, compare
from tenure.catalog.postgres import PostgresCatalog, Table
from tenure.errors import AmbiguousNameError
from tenure.stores.postgres_introspect import introspect_postgres

pytestmark = pytest.mark.postgres

SCHEMA = '"Mixed Case; DROP TABLE x"'
NAME = f'{SCHEMA}."T.able ""q"" ñ"'
DISPLAY = 'Mixed Case; DROP TABLE x.T.able "q" ñ'


@pytest.fixture
def connection(postgres_dsn: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


def run(connection: psycopg.Connection[Any], *statements: str) -> None:
    for statement in statements:
        connection.execute(statement.encode())


def table(catalog: PostgresCatalog, display: str) -> Table:
    found = catalog.table(display)
    assert found is not None, display
    return found


def test_columns_of_every_sort(connection: psycopg.Connection[Any]) -> None:
    run(
        connection,
        "CREATE EXTENSION citext",
        "CREATE DOMAIN short AS varchar(20)",
        "CREATE DOMAIN shorter AS short CHECK (value <> '')",
        "CREATE TYPE mood AS ENUM ('ok', 'bad')",
        """CREATE TABLE "select" ("user" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            "a""b; --" text COLLATE "C", "ñandú" citext, d shorter NOT NULL, m mood DEFAULT 'ok', s serial,
            u uuid DEFAULT gen_random_uuid(), g text GENERATED ALWAYS AS (upper("a""b; --")) STORED,
            tags text[], n numeric(10, 2), dropped int)""",
        'ALTER TABLE "select" DROP COLUMN dropped',
    )
    found = table(introspect_postgres(connection), "select")
    columns = {column.name: column for column in found.columns}
    assert list(columns) == ["user", 'a"b; --', "ñandú", "d", "m", "s", "u", "g", "tags", "n"]
    assert found.primary_key == ("user",)
    user = columns["user"]
    assert (user.type, user.identity, user.sequence, user.integer_like, user.nullable) == (
        "bigint", True, True, True, False,
    )  # fmt: skip
    assert columns['a"b; --'].collation == 'pg_catalog."C"'
    assert columns["ñandú"].text_like
    assert columns["ñandú"].type == "public.citext"
    domain = columns["d"]
    assert (domain.type, domain.base_type, domain.text_like, domain.nullable) == (
        "public.shorter", "character varying(20)", True, False,
    )  # fmt: skip
    assert columns["m"].default == "'ok'::public.mood"
    assert not columns["m"].text_like
    assert (columns["s"].sequence, columns["s"].identity) == (True, False)
    assert (columns["u"].uuid_like, columns["u"].default) == (True, "gen_random_uuid()")
    generated = columns["g"]
    assert (generated.generated, generated.generation, generated.default) == ("stored", 'upper("a""b; --")', None)
    assert (columns["tags"].type, columns["n"].type) == ("text[]", "numeric(10,2)")


def test_what_only_postgres_18_has(connection: psycopg.Connection[Any]) -> None:
    if connection.info.server_version < 180000:
        pytest.skip("virtual columns, NOT NULL NOT VALID and NOT ENFORCED came with Postgres 18")
    run(
        connection,
        "CREATE TABLE p (id int PRIMARY KEY)",
        "CREATE TABLE t (a int, b int, v int GENERATED ALWAYS AS (a + 1) VIRTUAL)",
        "ALTER TABLE t ADD CONSTRAINT nn NOT NULL a NOT VALID, ADD NOT NULL b",
        "ALTER TABLE t ADD CONSTRAINT ne FOREIGN KEY (a) REFERENCES p NOT ENFORCED",
    )
    found = table(introspect_postgres(connection), "t")
    a, b, v = found.columns
    assert a.nullable, "a NOT NULL that was never validated proves nothing"
    assert not b.nullable
    assert (v.generated, v.generation) == ("virtual", "(a + 1)")
    assert not found.foreign_keys[0].enforced
    run(connection, "ALTER TABLE t VALIDATE CONSTRAINT nn")
    assert not table(introspect_postgres(connection), "t").columns[0].nullable


INDEXES = (
    """CREATE UNIQUE INDEX "Weird ""Index"";" ON {table} (lower("a""b; --") text_pattern_ops DESC NULLS LAST,
        "ñandú", d COLLATE public."odd coll" DESC) INCLUDE (m, u) WITH (fillfactor = 70)
        WHERE deleted_at IS NULL AND m <> 'bad'""",
    """CREATE UNIQUE INDEX nulls_one ON {table} ("ñandú") NULLS NOT DISTINCT""",
    """CREATE INDEX expression ON {table} ((d || 'x;'), (n + 1) NULLS FIRST)""",
    """CREATE INDEX operators ON {table} USING gist ("a""b; --" gist_trgm_ops (siglen = 32), n)""",
    """CREATE INDEX gin_paths ON {table} USING gin (j jsonb_path_ops, tags)""",
    """CREATE INDEX brin_one ON {table} USING brin (deleted_at)""",
    """CREATE INDEX hashed ON {table} USING hash (u)""",
    """CREATE INDEX orders ON {table} (n NULLS FIRST, ch bpchar_pattern_ops, lower(d) COLLATE "C", u DESC)""",
)


@pytest.fixture
def indexed(connection: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A database with a table full of indexes, in a schema of an awkward name."""
    run(
        connection,
        "CREATE EXTENSION citext",
        "CREATE EXTENSION btree_gist",
        "CREATE EXTENSION pg_trgm",
        "CREATE TYPE mood AS ENUM ('ok', 'bad')",
        "CREATE COLLATION \"odd coll\" (locale = 'C')",
        f"CREATE SCHEMA {SCHEMA}",
        f"""CREATE TABLE {NAME} (id int PRIMARY KEY, "a""b; --" text COLLATE "C", "ñandú" citext, d varchar(20), m mood,
            u uuid CONSTRAINT later UNIQUE DEFERRABLE INITIALLY DEFERRED, n numeric, ch char(3), j jsonb, tags text[],
            deleted_at timestamptz, "from" int, until int,
            CONSTRAINT apart EXCLUDE USING gist (n WITH =, int4range("from", until) WITH &&) DEFERRABLE)""",
        *(index.format(table=NAME) for index in INDEXES),
    )
    return connection


def test_indexes_of_every_form_can_be_built_again_from_their_fields(indexed: psycopg.Connection[Any]) -> None:
    originals = [index for index in table(introspect_postgres(indexed), DISPLAY).indexes if not index.constraint]
    assert len(originals) == len(INDEXES)
    for place, index in enumerate(originals):
        text = f"CREATE {'UNIQUE ' * index.unique}INDEX again_{place} ON {NAME} USING {index.method} "
        text += "(" + ", ".join(index.parts) + ")"
        if index.include:
            text += f" INCLUDE ({', '.join(index.include)})"
        text += " NULLS NOT DISTINCT" * index.nulls_not_distinct
        if index.options:
            text += f" WITH ({', '.join(index.options)})"
        if index.predicate:
            text += f" WHERE {index.predicate}"
        run(indexed, text)
    found = table(introspect_postgres(indexed), DISPLAY)
    for place, index in enumerate(originals):
        again = found.index(f"again_{place}")
        assert again is not None
        assert compare(index, again) is Likeness.EQUIVALENT, (index, again)
        assert again.definition.partition(" USING ")[2] == index.definition.partition(" USING ")[2]


def test_index_fields(indexed: psycopg.Connection[Any]) -> None:
    indexes = {index.name: index for index in table(introspect_postgres(indexed), DISPLAY).indexes}
    weird = indexes['Weird "Index";']
    assert weird.columns == (None, "ñandú", "d")
    assert weird.include == ("m", "u")
    assert weird.expressions == ('lower("a""b; --")',)
    assert weird.options == ("fillfactor=70",)
    assert weird.predicate == "((deleted_at IS NULL) AND (m <> 'bad'::public.mood))"
    assert weird.parts[2] == 'd COLLATE public."odd coll" DESC'
    assert weird.schema_name == SCHEMA.strip('"')
    assert indexes["nulls_one"].nulls_not_distinct
    later = indexes["later"]
    assert (later.constraint, later.unique, later.deferrable, later.initially_deferred) == ("later", True, True, True)
    apart = indexes["apart"]
    assert (apart.exclusion, apart.unique, apart.method, apart.constraint) == (True, False, "gist", "apart")
    assert apart.constraint_definition == (
        'EXCLUDE USING gist (n WITH =, int4range("from", until) WITH &&) DEFERRABLE'
    )  # fmt: skip
    assert [index.name for index in indexes.values() if index.primary] == ['T.able "q" ñ_pkey']


def test_an_index_that_failed_to_build_is_invalid_and_promises_nothing(connection: psycopg.Connection[Any]) -> None:
    run(connection, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        run(connection, "CREATE UNIQUE INDEX CONCURRENTLY bad ON t (a)")
    found = table(introspect_postgres(connection), "t")
    (index,) = found.indexes
    assert (index.name, index.unique, index.valid) == ("bad", True, False)
    assert not found.unique_on(["a"])
    assert not found.has_index_on(["a"])


def test_foreign_keys_and_checks(connection: psycopg.Connection[Any]) -> None:
    run(
        connection,
        f"CREATE SCHEMA {SCHEMA}",
        f"""CREATE TABLE {NAME} ("Id" int PRIMARY KEY, "Parent" int REFERENCES {NAME} ON DELETE CASCADE, a int, b int,
            UNIQUE (a, b), CHECK (a > 0))""",
        f"""ALTER TABLE {NAME} ADD CONSTRAINT filled CHECK ("Parent" IS NOT NULL) NOT VALID""",
        f"""CREATE TABLE child (x int, y int, z int,
            CONSTRAINT whole FOREIGN KEY (x, y) REFERENCES {NAME} (a, b) MATCH FULL ON UPDATE CASCADE DEFERRABLE,
            CONSTRAINT partly FOREIGN KEY (y, x) REFERENCES {NAME} (b, a) ON DELETE SET NULL (x))""",
        f"ALTER TABLE child ADD CONSTRAINT late FOREIGN KEY (z) REFERENCES {NAME} NOT VALID",
    )
    catalog = introspect_postgres(connection)
    parent = table(catalog, DISPLAY)
    (self_reference,) = parent.foreign_keys
    assert (self_reference.ref_table, self_reference.columns) == (DISPLAY, ("Parent",))
    assert (self_reference.ref_columns, self_reference.on_delete) == (("Id",), "CASCADE")
    checks = {check.name: check for check in parent.checks}
    assert (checks["filled"].validated, checks["filled"].not_null_column) == (False, "Parent")
    assert checks["filled"].definition == 'CHECK (("Parent" IS NOT NULL)) NOT VALID'
    assert [check.not_null_column for name, check in checks.items() if name != "filled"] == [None]
    keys = {key.name: key for key in table(catalog, "child").foreign_keys}
    assert (keys["whole"].match, keys["whole"].on_update, keys["whole"].deferrable) == ("FULL", "CASCADE", True)
    assert (keys["partly"].columns, keys["partly"].ref_columns) == (("y", "x"), ("b", "a"))
    assert (keys["partly"].on_delete, keys["partly"].set_columns) == ("SET NULL", ("x",))
    assert [name for name, key in keys.items() if not key.validated] == ["late"]
    assert {key.name for _, key in catalog.referencing(DISPLAY)} == {'T.able "q" ñ_Parent_fkey', *keys}


def test_partitions(connection: psycopg.Connection[Any]) -> None:
    run(
        connection,
        "CREATE TABLE u (id int PRIMARY KEY)",
        """CREATE TABLE p (id bigint, at date NOT NULL, k text, u int REFERENCES u, PRIMARY KEY (id, at))
            PARTITION BY RANGE (at)""",
        "CREATE TABLE p_2020 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
        "CREATE TABLE p_rest PARTITION OF p DEFAULT PARTITION BY LIST (id)",
        "CREATE TABLE p_leaf PARTITION OF p_rest DEFAULT WITH (fillfactor = 80)",
        "CREATE INDEX p_k ON p (k)",
        "CREATE TABLE onto (id bigint, at date, FOREIGN KEY (id, at) REFERENCES p)",
        "CREATE TABLE by_text (a text, b int) PARTITION BY LIST (lower(a))",
        "CREATE TABLE base (a int)",
        "CREATE TABLE heir (b int) INHERITS (base)",
        "INSERT INTO p SELECT g, '2020-05-05', 'k' FROM generate_series(1, 1000) g",
        "INSERT INTO p SELECT g, '2022-05-05', 'k' FROM generate_series(1, 500) g",
        "ANALYZE p",
    )
    catalog = introspect_postgres(connection)
    parent, rest, leaf = table(catalog, "p"), table(catalog, "p_rest"), table(catalog, "p_leaf")
    assert (parent.kind, parent.partition_key, parent.partition_columns) == ("partitioned", "RANGE (at)", ("at",))
    assert parent.partitions == ("p_2020", "p_rest")
    assert parent.estimated_rows == 1500
    assert parent.size_bytes == table(catalog, "p_2020").size_bytes + leaf.size_bytes
    assert (rest.kind, rest.partition_of, rest.partitions) == ("partitioned", "p", ("p_leaf",))
    assert (leaf.kind, leaf.partition_of, leaf.fillfactor, leaf.estimated_rows) == ("table", "p_rest", 80, 500)
    bound = table(catalog, "p_2020").partition_bound
    assert bound == "FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')"
    assert table(catalog, "by_text").partition_columns == ()
    assert table(catalog, "heir").inherits == ("base",)
    assert table(catalog, "heir").partition_of is None
    top = parent.index("p_k")
    assert top is not None
    assert (top.on_partitioned, top.parent) == (True, None)
    assert [index.parent for index in leaf.indexes if not index.primary] == ["p_rest_k_idx"]
    assert [key.inherited for key in parent.foreign_keys] == [False]
    assert [key.inherited for key in leaf.foreign_keys] == [True]
    # A key that points at a partitioned table has rows for every partition in pg_constraint; it is one key.
    assert [key.ref_table for key in table(catalog, "onto").foreign_keys] == ["p"]


def test_names_that_would_be_written_alike_are_refused(connection: psycopg.Connection[Any]) -> None:
    run(connection, "CREATE SCHEMA a", "CREATE TABLE a.b (x int)", 'CREATE TABLE "a.b" (x int)')
    with pytest.raises(AmbiguousNameError, match=r"a\.b"):
        introspect_postgres(connection)
