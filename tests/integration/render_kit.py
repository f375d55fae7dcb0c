"""Runs rendered files as a person would: psql, a Bolt session, Python; and the library, to compare with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from neo4j import GraphDatabase

from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres
from tenure.playbook import Playbook
from tenure.render import render
from tenure.render.text import CYPHER_FILE, SCRIPT_FILE, SQL_FILE, cypher_statements
from tenure.session import Session

MOMENTS = ("created_at", "updated_at", "applied_at")


def rendered(playbook: Playbook, directory: Path, neo4j_version: str | None = None) -> dict[str, str]:
    """Write the files of *playbook*'s plan into *directory* and return them."""
    with Session(playbook) as session:
        files = render(session.plan(), playbook, session.planning_catalog(), neo4j_version=neo4j_version)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return files


def run_sql(server: EmbeddedPostgres, dsn: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the SQL file with psql, in its folder."""
    command = [str(server.bin_dir / "psql"), "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn, "-f", SQL_FILE]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def run_cypher(server: EmbeddedNeo4j, directory: Path) -> list[dict[str, Any]]:
    """Run the Cypher file statement by statement over Bolt and return what its last counts gave."""
    for exported in directory.glob("*.csv"):
        shutil.copy(exported, server.directory / "import")
    counts = []
    with (
        GraphDatabase.driver(server.url, notifications_min_severity="OFF") as driver,
        driver.session() as session,
    ):
        for statement in cypher_statements((directory / CYPHER_FILE).read_text(encoding="utf-8")):
            rows = session.run(statement).data()
            counts += [row for row in rows if "without a key" in row]
    return counts


def run_script(url: str, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script for Qdrant, in its folder."""
    command = [sys.executable, SCRIPT_FILE, "--url", url, *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
