"""Reads a Postgres database into a `PostgresCatalog`: a dozen set-based statements over pg_catalog, nothing written."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any, Literal, cast

from psycopg import Connection, Cursor, errors, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row
from pydantic import ValidationError

from tenure.catalog.postgres import (
    Check,
    Column,
    ForeignKey,
    Function,
    Index,
    Policy,
    PostgresCatalog,
    Role,
    Slot,
    Table,
    Trigger,
    View,
)
from tenure.errors import AmbiguousNameError, SchemaMovedError
from tenure.stores import postgres_introspect_queries as queries

Row = dict[str, Any]

ATTEMPTS = 3
ID_SAMPLE = 1000

_KINDS: dict[str, Literal["table", "partitioned", "foreign"]] = {"r": "table", "p": "partitioned", "f": "foreign"}
_GENERATED: dict[str, Literal["", "stored", "virtual"]] = {"": "", "s": "stored", "v": "virtual"}
_MATCHES: dict[str, Literal["SIMPLE", "FULL", "PARTIAL"]] = {"s": "SIMPLE", "f": "FULL", "p": "PARTIAL"}
_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}
_REPLICA_IDENTITIES = {"d": "default", "n": "nothing", "f": "full", "i": "index"}
_ENABLED = {"O": "origin", "D": "disabled", "R": "replica", "A": "always"}
_COMMANDS = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
_TRIGGER_EVENTS = ((4, "INSERT"), (16, "UPDATE"), (8, "DELETE"), (32, "TRUNCATE"))


def introspect_postgres(connection: Connection[Any]) -> PostgresCatalog:
    """Return what is in the database of *connection*, as its role sees it.

    Runs in one read-only transaction (a savepoint where the caller has one open) that is rolled back, so that settings
    of the session stay as they were. On a connection outside a transaction all statements see one snapshot. Takes only
    ACCESS SHARE locks, and waits behind an ACCESS EXCLUSIVE one for as long as the session's lock_timeout allows.

    Raises AmbiguousNameError where two tables are written alike, SchemaMovedError where tables are dropped so often
    that no attempt sees a whole schema, and psycopg.Error where the server fails.
    """
    for attempt in range(ATTEMPTS):
        try:
            return _read(connection)
        except (errors.InternalError_, errors.UndefinedTable, errors.UndefinedObject, ValidationError) as error:
            # Definitions are made from the catalog of now, whatever the snapshot: of what was dropped meanwhile (a
            # partition in rotation, say) they are null, or an internal error.
            if attempt == ATTEMPTS - 1:
                raise SchemaMovedError(
                    store="Postgres",
                    problem=f"the schema changed during each of {ATTEMPTS} attempts to read it.",
                    remedy=f"Try again when no DDL runs. The last attempt: {error}",
                ) from error
    raise AssertionError("unreachable: the last attempt returns or raises")


def _read(connection: Connection[Any]) -> PostgresCatalog:
    fresh = connection.info.transaction_status is TransactionStatus.IDLE
    with connection.transaction(force_rollback=True), connection.cursor(row_factory=dict_row) as cursor:
        if fresh:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # An empty path makes every definition qualified, and keeps a user's functions from shadowing built-in ones.
        cursor.execute(
            "SELECT set_config('search_path', '', true), set_config('quote_all_identifiers', 'off', true), "
            "set_config('client_encoding', 'UTF8', true)"
        )

        def rows(query: str) -> list[Row]:
            return cursor.execute(query.encode()).fetchall()

        server = rows(queries.SERVER)[0]
        if server["superuser"] or server["server_version"] < 150000:
            replication_role = server["superuser"]
        else:
            replication_role = rows(queries.REPLICATION_ROLE_PRIVILEGE)[0]["granted"]
        indexes = _grouped(rows(queries.INDEXES))
        tables = tuple(_with_id_versions(cursor, table) for table in _tables(rows, indexes))
        views = tuple(
            View(
                **_only(row, View, "indexes", "depends_on"),
                depends_on=tuple(row["depends_on"]),
                indexes=tuple(_index(index) for index in indexes[row["oid"]]),
            )
            for row in rows(queries.VIEWS)
        )
        return PostgresCatalog(
            server_version=server["server_version"],
            database=server["database"],
            in_recovery=server["in_recovery"],
            role=Role(**_only(server, Role, "can_set_replication_role"), can_set_replication_role=replication_role),
            tables=tables,
            views=views,
            functions=tuple(Function(**row) for row in rows(queries.FUNCTIONS)),
            slots=tuple(Slot(**row) for row in rows(queries.SLOTS)),
            publications=tuple(row["name"] for row in rows(queries.PUBLICATIONS)),
            btree_gist=rows(queries.BTREE_GIST)[0]["btree_gist"],
        )


def _tables(rows: Any, indexes: dict[int, list[Row]]) -> tuple[Table, ...]:
    columns = _grouped(rows(queries.COLUMNS))
    constraints = _grouped(rows(queries.CONSTRAINTS))
    triggers = _grouped(rows(queries.TRIGGERS))
    policies = _grouped(rows(queries.POLICIES))
    found = [
        Table(
            **_only(
                row, Table, "kind", "replica_identity", "partition_columns", "partitions", "inherits", "publications"
            ),
            kind=_KINDS[row["relkind"]],
            replica_identity=_REPLICA_IDENTITIES[row["replica_identity"]],
            partition_columns=tuple(row["partition_columns"]),
            partitions=tuple(row["partitions"]),
            inherits=tuple(row["inherits"]),
            publications=tuple(row["publications"]),
            columns=tuple(_column(column) for column in columns[row["oid"]]),
            primary_key=next((tuple(i["columns"]) for i in indexes[row["oid"]] if i["primary"]), ()),
            indexes=tuple(_index(index) for index in indexes[row["oid"]]),
            foreign_keys=tuple(_foreign_key(key) for key in constraints[row["oid"]] if key["kind"] == "f"),
            checks=tuple(Check(**_only(key, Check)) for key in constraints[row["oid"]] if key["kind"] == "c"),
            triggers=tuple(_trigger(trigger) for trigger in triggers[row["oid"]]),
            policies=tuple(_policy(policy) for policy in policies[row["oid"]]),
        )
        for row in rows(queries.TABLES)
    ]
    seen: dict[str, Table] = {}
    for table in found:
        other = seen.setdefault(table.display, table)
        if other is not table:
            raise AmbiguousNameError(
                store="postgres", object=table.display, schemas=f"{other.schema_name!r} and {table.schema_name!r}"
            )
    return tuple(_with_leaf_totals(table, seen) for table in found)


def _with_leaf_totals(table: Table, tables: dict[str, Table]) -> Table:
    """A partitioned table has no heap of its own: its figures are those of its leaves."""
    if table.kind != "partitioned":
        return table
    leaves: list[Table] = []
    pending = [table]
    while pending:
        for name in pending.pop().partitions:
            if (child := tables.get(name)) is not None:
                (pending if child.kind == "partitioned" else leaves).append(child)
    return table.model_copy(
        update={
            "estimated_rows": sum(leaf.estimated_rows for leaf in leaves),
            "pages": sum(leaf.pages for leaf in leaves),
            "size_bytes": sum(leaf.size_bytes for leaf in leaves),
        }
    )


def _with_id_versions(cursor: Cursor[Row], table: Table) -> Table:
    """Return a table whose primary key, where it is one uuid or text column, says which UUIDs it holds."""
    column = table.column(table.primary_key[0]) if len(table.primary_key) == 1 else None
    if column is None or not (column.uuid_like or column.text_like):
        return table
    name = sql.Identifier(table.schema_name, table.name)
    allowed = cursor.execute("SELECT has_table_privilege(%s, 'SELECT') AS may", (name.as_string(cursor),)).fetchone()
    if allowed is None or not allowed["may"]:
        return table
    query = sql.SQL(
        "SELECT DISTINCT CASE WHEN v ~ '^[0-9a-fA-F]{{8}}-([0-9a-fA-F]{{4}}-){{3}}[0-9a-fA-F]{{12}}$' "
        "THEN substr(v, 15, 1) ELSE '' END AS version FROM (SELECT {}::text AS v FROM {} LIMIT {}) AS s ORDER BY 1"
    ).format(sql.Identifier(column.name), name, ID_SAMPLE)
    versions = tuple(row["version"] for row in cursor.execute(query))
    sampled = column.model_copy(update={"id_versions": versions})
    return table.model_copy(update={"columns": tuple(sampled if other is column else other for other in table.columns)})


def _column(row: Row) -> Column:
    return Column(**_only(row, Column, "generated", "id_versions"), generated=_GENERATED[row["generated"]])


def _index(row: Row) -> Index:
    lists = ("columns", "include", "expressions", "parts", "options", "operators")
    return Index(**_only(row, Index, *lists), **{name: tuple(row[name]) for name in lists})


def _foreign_key(row: Row) -> ForeignKey:
    lists = ("columns", "ref_columns", "set_columns")
    return ForeignKey(
        **_only(row, ForeignKey, "on_delete", "on_update", "match", *lists),
        **{name: tuple(row[name]) for name in lists},
        on_delete=_ACTIONS[row["on_delete"]],
        on_update=_ACTIONS[row["on_update"]],
        match=_MATCHES[row["match"]],
    )


def _trigger(row: Row) -> Trigger:
    bits = row["bits"]
    return Trigger(
        **_only(row, Trigger, "timing", "events", "per_row", "enabled", "when", "update_columns"),
        timing="INSTEAD OF" if bits & 64 else "BEFORE" if bits & 2 else "AFTER",
        events=tuple(word for bit, word in _TRIGGER_EVENTS if bits & bit),
        per_row=bool(bits & 1),
        enabled=_ENABLED[row["enabled"]],
        when=trigger_condition(row["definition"]) if row["has_condition"] else None,
        update_columns=tuple(row["update_columns"]),
    )


def _policy(row: Row) -> Policy:
    return Policy(
        **_only(row, Policy, "command", "roles"), command=_COMMANDS[row["command"]], roles=tuple(row["roles"])
    )


def trigger_condition(definition: str) -> str:
    """Return what stands inside WHEN (...) of a trigger *definition* that has one.

    The server has no function that writes the condition alone (it speaks of two rows, OLD and NEW), so it is cut out of
    the definition, with names and literals blanked first: they may hold any of the words looked for.
    """
    blanked = re.sub(r"\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'", lambda found: "_" * len(found.group()), definition)
    found = re.search(r" FOR EACH (?:ROW|STATEMENT) WHEN \((.*)\) EXECUTE FUNCTION ", blanked, re.DOTALL)
    if found is None:
        raise ValueError(f"no condition in {definition!r}")
    return definition[found.start(1) : found.end(1)]


def _grouped(rows: list[Row]) -> dict[int, list[Row]]:
    groups: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["relation"]].append(row)
    return groups


def _only(row: Row, model: Any, *but: str) -> dict[str, Any]:
    """The part of *row* that are fields of *model*, without those that the caller translates."""
    fields = cast("dict[str, Any]", model.model_fields)
    return {name: value for name, value in row.items() if name in fields and name not in but}
