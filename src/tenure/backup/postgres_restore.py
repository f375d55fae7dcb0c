"""Restores a dump into an empty Postgres database, and compares what came out with what the manifest says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from psycopg import sql

from tenure.backup.manifest import Manifest
from tenure.backup.postgres import FOLDER, OBJECT, definitions, is_definition, reading, row_fingerprints
from tenure.backup.tools import find_tool, reaching, run_tool
from tenure.backup.work import Work
from tenure.errors import RefusedError, RestoreTargetError

if TYPE_CHECKING:
    from psycopg import Connection

    from tenure.stores.postgres import PostgresStore

# What somebody made: neither the system's nor an extension's. Types of tables and of arrays come with their owners.
_MADE = """SELECT what, name FROM (
  SELECT 'schema' AS what, nspname::text AS name, 'pg_catalog.pg_namespace'::pg_catalog.regclass AS class, oid
    FROM pg_catalog.pg_namespace WHERE nspname <> 'public'
  UNION ALL SELECT 'relation', relname, 'pg_catalog.pg_class'::pg_catalog.regclass, oid FROM pg_catalog.pg_class
    WHERE relnamespace = pg_catalog.to_regnamespace('public')
  UNION ALL SELECT 'function', proname, 'pg_catalog.pg_proc'::pg_catalog.regclass, oid FROM pg_catalog.pg_proc
    WHERE pronamespace = pg_catalog.to_regnamespace('public')
  UNION ALL SELECT 'type', typname, 'pg_catalog.pg_type'::pg_catalog.regclass, oid FROM pg_catalog.pg_type
    WHERE typnamespace = pg_catalog.to_regnamespace('public') AND typrelid = 0 AND typelem = 0
  UNION ALL SELECT 'large object', oid::text, 'pg_catalog.pg_largeobject'::pg_catalog.regclass, oid
    FROM pg_catalog.pg_largeobject_metadata
) AS made
WHERE name <> 'information_schema' AND (what <> 'schema' OR name !~ '^pg_')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = made.class AND d.objid = made.oid AND d.deptype = 'e')
ORDER BY what, name LIMIT 4"""


def refuse_unfit(store: PostgresStore, manifest: Manifest) -> None:
    """Errors: RestoreTargetError when the database holds something, RefusedError when it lacks a role or extension."""
    with store.connection() as connection:
        made = connection.execute(_MADE).fetchall()
        detail = manifest.sources["postgres"].detail
        roles = _absent(connection, "SELECT rolname FROM pg_catalog.pg_roles", detail.get("roles", ()))
        extensions = _absent(
            connection, "SELECT name FROM pg_catalog.pg_available_extensions", detail.get("extensions", ())
        )
        create = [sql.SQL("CREATE ROLE {};").format(sql.Identifier(role)).as_string(connection) for role in roles]
    if made:
        found = ", ".join(f"{what} {name}" for what, name in made[:3]) + (" and more" if made[3:] else "")
        raise RestoreTargetError(
            store="Postgres",
            address=store.address,
            found=found,
            remedy="It is not what was backed up: drop it and create it again, or name a new database in the playbook. "
            "Nothing was changed.",
        )
    if create:
        raise RefusedError(
            reason=f"the dump names roles that the server at {store.address} does not have.",
            remedy="Create them first: " + " ".join(create),
        )
    if extensions:
        raise RefusedError(
            reason=f"the dump needs extensions that the server at {store.address} does not have: "
            f"{', '.join(extensions)}.",
            remedy="Install them on the server first.",
        )


def create_roles(store: PostgresStore, manifest: Manifest) -> None:
    """Create the roles that a dump names, without a login: for a scratch server."""
    with store.connection() as connection:
        wanted = manifest.sources["postgres"].detail.get("roles", ())
        for role in _absent(connection, "SELECT rolname FROM pg_catalog.pg_roles", wanted):
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))


def restore(
    store: PostgresStore,
    url: str,
    manifest: Manifest,
    work: Work,
    *,
    role: str | None = None,
    settings: Mapping[str, str] | None = None,
    jobs: int = 1,
) -> None:
    """Restore the dump; with one job in a single transaction, so that a failure leaves the database empty.

    Errors: BackupToolError, BackupError.
    """
    entry = manifest.entry("postgres", OBJECT)
    assert entry is not None
    with store.connection() as connection:
        major = connection.info.server_version // 10000
    tool = find_tool("pg_restore", max(major, int(entry.detail.get("pg_dump", major))))
    arguments = [tool.path, "--exit-on-error", "--no-password"]
    arguments += ["--single-transaction"] if jobs <= 1 else [f"--jobs={jobs}"]
    arguments += [f"--role={role}"] if role else []
    arguments += ["--enable-row-security"] if entry.detail.get("policies_applied") else []
    work.reporter.start("restore postgres", "Postgres: pg_restore", None)
    with reaching(url, settings or {}) as target:
        arguments += [f"--dbname={target.conninfo}", str(work.directory / FOLDER)]
        run_tool(arguments, target.environment, work.check, what="Postgres")
    work.reporter.finish("restore postgres", "restored")


def found(store: PostgresStore, manifest: Manifest, work: Work) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fingerprints that are expected, and those of the database as it is now.

    Definitions are compared where the server has the version that the backup came from: others write some differently.
    """
    entry = manifest.entry("postgres", OBJECT)
    assert entry is not None
    with reading(store, through_policies=bool(entry.detail.get("policies_applied"))) as connection:
        present = dict(row_fingerprints(connection, work))
        expected = dict(entry.fingerprints)
        if str(connection.info.server_version // 10000) == manifest.sources["postgres"].version:
            present |= definitions(connection)
        else:
            expected = {name: value for name, value in expected.items() if not is_definition(name)}
    return expected, present


def _absent(connection: Connection[Any], statement: str, wanted: Any) -> list[str]:
    there = {row[0] for row in connection.execute(statement.encode()).fetchall()}
    return [name for name in wanted if name not in there]
