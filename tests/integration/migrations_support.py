"""What the tests of the migrations runner share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tenure.migrations import MigrationRunner

MARK = "-- tenure: no-transaction\n"
WAIT_S = 20.0


@pytest.fixture(name="db")
def db_fixture(postgres_dsn: str) -> Iterator[psycopg.Connection]:
    """An observer's autocommit connection."""
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture(name="put")
def put_fixture(tmp_path: Path) -> Callable[..., Path]:
    """Write files (``a`` becomes ``a.sql``) and a manifest that names them in that order."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            (tmp_path / f"{name}.sql").write_bytes(text.encode())
        (tmp_path / "manifest").write_text("".join(f"{name}.sql\n" for name in files))
        return tmp_path

    return write


def values(connection: psycopg.Connection, query: str) -> list[Any]:
    """Return the first column of *query*."""
    return [row[0] for row in connection.execute(query.encode()).fetchall()]


def states(runner: MigrationRunner) -> dict[str, str]:
    """Return the state of every file by its name without the suffix."""
    return {status.file.removesuffix(".sql"): status.state.value for status in runner.status()}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Poll *condition* until it holds: the deadline is for failing only, no outcome depends on the pause."""
    deadline = time.monotonic() + WAIT_S
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)
    return result
