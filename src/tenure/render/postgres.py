"""Renders the Postgres part of a plan as one file for psql that may be run again at any time."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files

from psycopg import sql

from tenure.attribution.build import RowRules
from tenure.attribution.rows import table_sql
from tenure.catalog import Catalog
from tenure.operations.backfill_rows import BackfillRows
from tenure.operations.base import Operation
from tenure.operations.composite_fk import CompositeForeignKey
from tenure.operations.concurrent_index import IndexBuild
from tenure.operations.guard_triggers import GuardTriggers
from tenure.operations.key_index import KeyIndex
from tenure.operations.load_decisions import LoadDecisions
from tenure.operations.rescope_exclusion import RescopeExclusion
from tenure.operations.rescope_unique import RescopeUnique
from tenure.operations.text import short_name
from tenure.planner.plan import Plan
from tenure.playbook.models import Playbook
from tenure.render.backfill_block import backfill_block
from tenure.render.exports import ENCODER, Export
from tenure.render.look_first import duplicates_per_tenant, look_first
from tenure.render.text import SQL_FILE, do_block, dollar_quoted, header, one_line
from tenure.values import Phase, TableName

LOCK_TIMEOUT = "5s"


def postgres_file(plan: Plan, playbook: Playbook, catalog: Catalog, built: RowRules, exported: list[Export]) -> str:
    """Return the text of the file."""
    operations = [operation for operation in plan.operations if operation.store == "postgres"]
    return "\n".join(_lines(plan, playbook, catalog, built, operations, exported)) + "\n"


def _lines(
    plan: Plan,
    playbook: Playbook,
    catalog: Catalog,
    built: RowRules,
    operations: list[Operation],
    exported: list[Export],
) -> Iterator[str]:
    yield header(
        plan,
        "--",
        f"{SQL_FILE}: {plan.key.name} on every row, and uniqueness per {plan.key.name}.",
        "",
        f"psql -q -v ON_ERROR_STOP=1 -f {SQL_FILE} (not with -1: the backfill commits batch by batch).",
        "May be run again at any time: what is done is found done. The application may go on meanwhile.",
        "It stops before it changes anything when rows have no owner that the playbook accepts.",
    )
    yield from _session(playbook)
    yield _title("1. Tables of tenure's own, and the playbook's decisions that statements look up")
    # The file's comments are for those who develop tenure.
    yield files("tenure.ledger").joinpath("schema.sql").read_text(encoding="utf-8").strip()
    for operation in operations:
        if isinstance(operation, LoadDecisions):
            yield _transaction(operation.describe(), operation.statements())
    yield "\n-- What was there before: later, the keys written here could not be told from the application's."
    yield _baseline(catalog)
    yield _title("2. Look at this first: to which bin every row comes, and rows that would collide. Nothing is changed")
    yield from look_first(plan, catalog, built)
    yield _title("3. Make room: columns, and triggers that fill them from now on (locks of milliseconds)")
    for operation in operations:
        if operation.phase is Phase.EXPAND and not isinstance(operation, LoadDecisions):
            yield _described(operation)
            yield from operation.statements()
    yield _title("4. Write the key of the rows that are there, parents first")
    yield "SET client_min_messages = notice;"
    for operation in operations:
        if isinstance(operation, GuardTriggers):
            yield _transaction(operation.describe(), operation.statements())
        elif isinstance(operation, BackfillRows):
            yield _described(operation)
            yield from (backfill_block(operation, leaf) for leaf in operation.leaves)
    yield "SET client_min_messages = warning;"
    yield _title(
        "5. Rows of one tenant that share a key, where the old uniqueness does not rule it out: there must be none"
    )
    yield from duplicates_per_tenant(plan, catalog, built)
    yield _title("6. Make the key mandatory, build what is unique per tenant beside the old, which stays")
    for operation in operations:
        if operation.phase is Phase.CONSTRAIN and not operation.waiting:
            yield _described(operation)
            yield from _constrain(operation)
    if exported:
        yield _title("7. Files for the graph and the vector store, written to the current directory")
        yield from _exports(exported)


def _session(playbook: Playbook) -> Iterator[str]:
    connection = playbook.connections.postgres
    yield "SET client_encoding = 'UTF8';"
    yield "SET standard_conforming_strings = on;"
    yield "SET statement_timeout = 0;"
    yield "-- A statement that has to wait for a lock makes others wait behind it: rather fail, and run the file again."
    yield f"SET lock_timeout = '{LOCK_TIMEOUT}';"
    yield "SET client_min_messages = warning;"
    if connection.role is not None:
        yield sql.SQL("SET ROLE {};").format(sql.Identifier(connection.role)).as_string(None)
    for name, value in sorted((connection.settings or {}).items()):
        setting = sql.SQL("SET {} = {};").format(sql.Identifier(*name.split(".")), sql.Literal(value))
        yield setting.as_string(None)
    yield "-- Fails at once where the file is run inside one transaction, in which the backfill could not commit."
    yield do_block("BEGIN\n    COMMIT;\nEND")


def _baseline(catalog: Catalog) -> str:
    """Return the statement that keeps the catalog for `tenure verify` and `tenure apply`, an object a line."""
    stores = []
    for store, body in catalog.model_dump(mode="json", exclude_defaults=True).items():
        fields = []
        for name, value in body.items():
            written = json.dumps(value, ensure_ascii=False)
            if isinstance(value, list):
                written = "[" + ",".join(f"\n{json.dumps(one, ensure_ascii=False)}" for one in value) + "]"
            fields.append(f"{json.dumps(name)}: {written}")
        stores.append(f"{json.dumps(store)}: {{" + ",\n".join(fields) + "}")
    text = "{" + ",\n".join(stores) + "}"
    return (
        "INSERT INTO tenure.baseline (name, object, body) VALUES ('catalog', '', "
        f"{dollar_quoted(text, 'catalog')})\nON CONFLICT (name, object) DO NOTHING;"
    )


def _title(text: str) -> str:
    return f"\n-- {text}.\n"


def _described(operation: Operation) -> str:
    return f"\n-- {one_line(operation.describe())}"


def _transaction(title: str, statements: tuple[str, ...]) -> str:
    return "\n".join([f"\n-- {one_line(title)}", "BEGIN;", *statements, "COMMIT;"])


def _constrain(operation: Operation) -> Iterator[str]:
    """Yield the statements of an operation, each so that it may find itself done."""
    if isinstance(operation, KeyIndex):
        yield from _build(operation.index)
    elif isinstance(operation, RescopeUnique):
        yield from _build(operation.index)
        if operation.as_constraint:
            yield _unless_constraint(operation.index.table, operation.index.name, operation.statements()[-1])
    elif isinstance(operation, RescopeExclusion):
        *before, add = operation.statements() or ("",)
        yield from before
        if add:
            yield "-- ACCESS EXCLUSIVE while its index is built: nobody reads or writes the table meanwhile."
            yield _unless_constraint(operation.new.table, operation.new.name, add)
    elif isinstance(operation, CompositeForeignKey):
        add, *validate = operation.statements()
        yield _unless_constraint(operation.table, operation.name, add)
        yield from validate
    else:
        yield from operation.statements()


def _build(index: IndexBuild) -> Iterator[str]:
    """Yield the builds of an index and its parts, each between a look for a broken one and a look at the result."""
    parts = [(leaf, short_name(index.name, leaf.name)) for leaf in index.leaves]
    for (table, name), statement in zip([*parts, (index.table, index.name)], index.statements(), strict=True):
        text = statement.as_string(None) + ";"
        concurrently = not index.leaves or (table, name) in parts
        yield _drop_broken(table, name)
        if concurrently:
            yield "SET lock_timeout = 0;  -- the build waits for older transactions without anybody behind it"
        yield re.sub(r"\ACREATE (UNIQUE )?INDEX (CONCURRENTLY )?", r"\g<0>IF NOT EXISTS ", text)
        if concurrently:
            yield f"SET lock_timeout = '{LOCK_TIMEOUT}';"
        yield _must_be_valid(table, name, unique=index.unique)


def _drop_broken(table: TableName, name: str) -> str:
    """Return the block that drops what a build that failed has left under this name."""
    drop = sql.SQL("DROP INDEX {}").format(sql.Identifier(table.schema_name, name)).as_string(None)
    return do_block(
        "BEGIN\n"
        "    IF EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid\n"
        f"               WHERE i.indrelid = {_regclass(table)} AND c.relname = {_literal(name)}\n"
        "                 AND NOT (i.indisvalid AND i.indisready)) THEN\n"
        f"        {drop};\n    END IF;\nEND"
    )


def _must_be_valid(table: TableName, name: str, *, unique: bool) -> str:
    return do_block(
        "BEGIN\n"
        "    IF NOT EXISTS (SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid\n"
        f"                   WHERE i.indrelid = {_regclass(table)} AND c.relname = {_literal(name)}\n"
        f"                     AND i.indisvalid AND i.indisready AND i.indisunique = {str(unique).lower()}) THEN\n"
        f"        RAISE EXCEPTION 'index % is not there or not valid', {_literal(name)};\n    END IF;\nEND"
    )


def _unless_constraint(table: TableName, name: str, statement: str) -> str:
    return do_block(
        "BEGIN\n"
        f"    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = {_regclass(table)}\n"
        f"                   AND conname = {_literal(name)}) THEN\n"
        f"        {statement}\n    END IF;\nEND"
    )


def _regclass(table: TableName) -> str:
    return f"{_literal(table_sql(table).as_string(None))}::regclass"


def _literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def _exports(exported: list[Export]) -> Iterator[str]:
    """Yield the views, then the lines that psql itself runs: on one line each, with no name of the user's in them."""
    yield ENCODER
    for number, export in enumerate(exported, start=1):
        yield f"-- {export.file}: {one_line(export.about)}"
        yield f"CREATE OR REPLACE TEMPORARY VIEW tenure_export_{number} AS\n{export.query.as_string(None)};"
    for number, export in enumerate(exported, start=1):
        yield (
            f"\\copy (SELECT * FROM pg_temp.tenure_export_{number}) TO '{export.file}' "
            "WITH (FORMAT csv, HEADER true, ENCODING 'UTF8')"
        )
