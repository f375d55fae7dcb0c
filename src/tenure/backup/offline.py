"""The commands for a Neo4j dump with the server stopped: the only one of a single moment that Community has."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from tenure.catalog.neo4j import version_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from tenure.stores.neo4j import Neo4jStore


def offline_commands(store: Neo4jStore, directory: Path) -> tuple[str, ...]:
    """Return the shell commands that dump the database of *store* into *directory* on the server's machine, and those
    that load it again."""
    assert store.driver is not None
    database, folder = quote(store.database or "neo4j"), quote(str(directory))
    if version_numbers(store.version) >= (5,):
        dump = f"neo4j-admin database dump {database} --to-path={folder}"
        load = f"neo4j-admin database load {database} --from-path={folder} --overwrite-destination=true"
        check = f"neo4j-admin database check {database} --from-path={folder}"
    else:
        file = quote(f"{directory}/{store.database}.dump")
        dump = f"neo4j-admin dump --database={database} --to={file}"
        load = f"neo4j-admin load --database={database} --from={file} --force"
        check = f"# neo4j-admin check-consistency --database={database}, after a load into a scratch server"
    return (
        f"# Neo4j {store.version} at {store.address}. Run as the account that Neo4j runs as, on its machine.",
        "# 1. Stop the application's writers, then the server: the dump needs the database for itself.",
        "neo4j stop",
        f"mkdir -p -m 700 {folder}",
        dump,
        check,
        "neo4j start",
        "# 2. The way back, which replaces the whole database:",
        "# neo4j stop",
        f"# {load}",
        "# neo4j start",
    )
