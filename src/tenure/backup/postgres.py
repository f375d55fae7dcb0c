"""Backs one Postgres database up by pg_dump, with fingerprints of the very snapshot that the dump reads."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tenure.backup.files import PARTIAL, described, sync_directory
from tenure.backup.manifest import Entry, Source
from tenure.backup.tools import Tool, find_tool, reaching, run_tool
from tenure.backup.work import Work, now
from tenure.catalog.value import display_name
from tenure.errors import RefusedError
from tenure.stores.postgres_introspect import introspect_postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.stores.postgres import PostgresStore

FOLDER = "postgres"
OBJECT = "database"
JOBS = min(4, os.cpu_count() or 1)
LOCK_WAIT_MS = 300_000
_MODULUS = 1 << 64
_DEFINITION = "definition of "
# What an extension owns comes back with the extension, in its own version.
_TABLES = """SELECT n.nspname, c.relname FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1, 2"""
_HIDDEN = _TABLES.replace("ORDER BY", "AND pg_catalog.row_security_active(c.oid) ORDER BY")
_SIZE = """SELECT coalesce(sum(pg_catalog.pg_table_size(c.oid)), 0)::bigint FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' OR c.oid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass"""
# Every role that the dump names: as owner of something, in a grant, in a policy.
_ROLES = """SELECT DISTINCT r.rolname FROM pg_catalog.pg_roles AS r WHERE r.rolname !~ '^pg_' AND (
  EXISTS (SELECT FROM pg_catalog.pg_shdepend AS s JOIN pg_catalog.pg_database AS d ON d.oid = s.dbid
          WHERE d.datname = current_database() AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
            AND s.refobjid = r.oid)
  OR EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
             WHERE c.relowner = r.oid AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'))
ORDER BY 1"""
_EXTENSIONS = "SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY 1"
# Text forms must not depend on who looks, nor names be resolved by anybody's search path.
_PLAIN = """SET LOCAL search_path = ''; SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD';
SET LOCAL IntervalStyle = 'postgres'; SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1;
SET LOCAL lc_monetary = 'C'; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"""


def source(store: PostgresStore) -> Source:
    """Return where the backup comes from."""
    with store.connection() as connection:
        system = _value(connection, "SELECT system_identifier::text FROM pg_catalog.pg_control_system()")
        database = str(_value(connection, "SELECT current_database()"))
        return Source(
            address=store.address,
            version=str(connection.info.server_version // 10000),
            identity=f"{system}/{database}",
            detail={
                "server": str(_value(connection, "SHOW server_version")),
                "encoding": str(_value(connection, "SHOW server_encoding")),
                "roles": [row[0] for row in connection.execute(_ROLES).fetchall()],
                "extensions": dict(connection.execute(_EXTENSIONS).fetchall()),
            },
        )


def estimate(store: PostgresStore) -> int:
    """Return the bytes that the dump will take at most: compressed rows take less than the tables that hold them."""
    with store.connection() as connection:
        return int(_value(connection, _SIZE))


def dump_tool(store: PostgresStore) -> Tool:
    """Return the pg_dump that fits the server. Errors: BackupToolError, which says how to get it."""
    with store.connection() as connection:
        return find_tool("pg_dump", connection.info.server_version // 10000)


def back_up(
    store: PostgresStore,
    url: str,
    work: Work,
    *,
    role: str | None = None,
    settings: Mapping[str, str] | None = None,
    jobs: int = JOBS,
) -> Entry:
    """Dump the database into `postgres/` and return its entry.

    Errors: BackupToolError, BackupError, RefusedError where row-level security would hide rows.
    """
    started = now()
    tool = dump_tool(store)
    for left in work.directory.glob(f"{FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)
    # A name of its own: a dump that outlived its killed parent may still be writing into the last one's.
    partial = work.directory / f"{FOLDER}-{secrets.token_hex(4)}{PARTIAL}"
    connection = store.dedicated(autocommit=False)
    try:
        filtered = _begin(connection, bool(settings))
        snapshot = str(_value(connection, "SELECT pg_catalog.pg_export_snapshot()"))
        work.reporter.start("backup postgres", "Postgres: pg_dump", None)
        with reaching(url, settings or {}) as target:
            arguments = [tool.path, "--format=directory", f"--file={partial}", f"--jobs={jobs}", "--no-password"]
            arguments += [f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_WAIT_MS}"]
            arguments += [f"--role={role}"] if role else []
            arguments += ["--enable-row-security"] if filtered else []
            run_tool([*arguments, "-d", target.conninfo], target.environment, work.check, what="Postgres")
        work.reporter.finish("backup postgres", "dumped")
        # The transaction is still the one whose snapshot the dump has read.
        fingerprints = {**dict(row_fingerprints(connection, work)), **definitions(connection)}
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        connection.close()
    final = work.directory / FOLDER
    partial.rename(final)
    sync_directory(work.directory)
    return Entry(
        store="postgres",
        object=OBJECT,
        method="pg_dump",
        items=sum(int(value.partition(":")[0]) for name, value in fingerprints.items() if not is_definition(name)),
        fingerprints=fingerprints,
        files=tuple(described(work.directory, path) for path in sorted(final.iterdir())),
        started=started,
        finished=now(),
        detail={"pg_dump": tool.major, "policies_applied": filtered},
    )


@contextmanager
def reading(store: PostgresStore, *, through_policies: bool = False) -> Iterator[Connection[Any]]:
    """Lend a connection in a transaction that reads one snapshot, as fingerprints need it."""
    connection = store.dedicated(autocommit=False)
    try:
        _begin(connection, through_policies)
        yield connection
    finally:
        connection.close()


def row_fingerprints(connection: Connection[Any], work: Work) -> Iterator[tuple[str, str]]:
    """Yield (table, ``count:hash``) of every table, and of the large objects if there are any.

    The server adds up the rows' MD5 by halves, as numerics, since it has no unsigned 128-bit type.
    """
    tables = connection.execute(_TABLES).fetchall()
    # A database of another encoding holds other bytes for the same text.
    plain = _value(connection, "SHOW server_encoding") in ("UTF8", "SQL_ASCII")
    text = sql.SQL("(x.*)::text" if plain else "pg_catalog.convert_to((x.*)::text, 'UTF8')")
    work.reporter.start("fingerprint postgres", "Postgres: fingerprints", len(tables))
    work.reporter.advance("fingerprint postgres", 0)
    for schema, name in tables:
        work.check()
        # `x.*` is the row even where a column is called x.
        rows = sql.SQL("SELECT pg_catalog.md5({}) AS hash FROM ONLY {} AS x").format(text, sql.Identifier(schema, name))
        yield display_name(schema, name), _sum(connection, rows)
        work.reporter.advance("fingerprint postgres", 1)
    large = sql.SQL(
        "SELECT pg_catalog.md5(oid::text || ':' || pg_catalog.md5(pg_catalog.lo_get(oid))) AS hash "
        "FROM pg_catalog.pg_largeobject_metadata"
    )
    found = _sum(connection, large)
    if not found.startswith("0:"):
        yield "(large objects)", found
    work.reporter.finish("fingerprint postgres", f"{len(tables)} tables")


def definitions(connection: Connection[Any]) -> dict[str, str]:
    """Return a fingerprint of the definition of every table and view, and of the functions, whoever looks."""
    catalog = introspect_postgres(connection)
    tables = [table.model_copy(update={"owned": True, "row_security_active": False}) for table in catalog.tables]
    named = [(table.display, table.digest()) for table in tables]
    named += [(view.display, view.digest()) for view in catalog.views]
    functions = [(f"function {f.display}({f.identity_arguments})", f.digest()) for f in catalog.functions]
    return {f"{_DEFINITION}{name}": f"1:{digest[:32]}" for name, digest in (*named, *functions)}


def is_definition(name: str) -> bool:
    """Return whether a fingerprint is one of `definitions`."""
    return name.startswith(_DEFINITION)


def _begin(connection: Connection[Any], through_policies: bool) -> bool:
    """Begin the reading transaction; returns whether policies stand between this role and the rows.

    With *through_policies* (the playbook's connection has settings under which every row is seen) that is accepted,
    else refused: a dump that lacks rows in silence is no backup. Errors: RefusedError.
    """
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    connection.execute(_PLAIN)
    hidden = [display_name(schema, name) for schema, name in connection.execute(_HIDDEN).fetchall()]
    if hidden and not through_policies:
        raise RefusedError(
            reason=f"row-level security may hide rows of {', '.join(hidden[:5])} from this role.",
            remedy="Connect as a role with BYPASSRLS, or name one in `connections.postgres.role`.",
        )
    return bool(hidden)


def _sum(connection: Connection[Any], hashes: sql.Composable) -> str:
    half = "pg_catalog.sum(('x' || pg_catalog.substr(hash, {}, 16))::bit(64)::bigint::numeric)"
    statement = sql.SQL("SELECT pg_catalog.count(*), {}, {} FROM ({}) AS h").format(
        sql.SQL(half.format(1)), sql.SQL(half.format(17)), hashes
    )
    row = connection.execute(statement).fetchone()
    assert row is not None
    low, high = (int(part or 0) % _MODULUS for part in row[1:])
    return f"{row[0]}:{low:016x}{high:016x}"


def _value(connection: Connection[Any], statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return None if row is None else row[0]
