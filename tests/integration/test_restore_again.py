"""A restore that failed is run again: what is whole is kept, what is half filled is named with what empties it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from backup_kit import World

from tenure.backup import neo4j_restore, postgres_restore, qdrant_restore
from tenure.backup.restore import restore
from tenure.backup.take import take
from tenure.demo.fingerprint import Fingerprint, differences, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.errors import RestoreTargetError, StoreError
from tenure.stores.qdrant import QdrantStore


@pytest.fixture
def world(
    tmp_path: Path,
    postgres_server: EmbeddedPostgres,
    postgres_dsn: str,
    neo4j_server: EmbeddedNeo4j,
    neo4j_url: str,
    qdrant_server: EmbeddedQdrant,
    qdrant_url: str,
) -> World:
    """Three stores with something in each."""
    database = psycopg.conninfo.conninfo_to_dict(postgres_dsn)["dbname"]
    found = World(tmp_path, postgres_server, str(database), neo4j_server, qdrant_server)
    found.fill()
    return found


def content(world: World) -> Fingerprint:
    """All three stores."""
    return fingerprint(world.postgres.dsn_of(world.database), world.neo4j.url, world.qdrant.url)


def test_a_failed_restore_is_run_again(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It breaks in the graph, then in a collection; each time the next attempt says what to empty, and goes on."""
    target = tmp_path / "backup"
    with world.session() as session:
        take(session, target, jobs=1)
    before = content(world)
    world.destroy()
    filled: list[str] = []
    for module in (postgres_restore, neo4j_restore, qdrant_restore):
        verb = module.restore

        def noted(*arguments: Any, verb: Any = verb, name: str = module.__name__, **options: Any) -> Any:
            filled.append(name.rpartition(".")[2].removesuffix("_restore"))
            return verb(*arguments, **options)

        monkeypatch.setattr(module, "restore", noted)

    def breaks(*_: Any) -> None:
        raise StoreError(store="neo4j", problem="the server went away.", remedy=neo4j_restore._AGAIN)

    with monkeypatch.context() as patched, world.session() as session:
        patched.setattr(neo4j_restore._Load, "relationships", breaks)
        with pytest.raises(StoreError, match="run the same command again"):
            restore(session, target)
    with world.session() as session, pytest.raises(RestoreTargetError, match="Neo4j") as refused:
        restore(session, target)
    assert filled == ["postgres", "neo4j"], "nothing was written the second time"
    emptying = re.search(r"\((MATCH .*? IN TRANSACTIONS);", str(refused.value))
    assert emptying is not None, refused.value
    with world.session() as session:
        assert session.neo4j is not None
        with session.neo4j.driver.session() as graph:
            graph.run("CYPHER 5 " + emptying.group(1)).consume()

    call = QdrantStore.call

    def half(self: QdrantStore, what: str, verb: Any) -> Any:
        if verb.__qualname__.startswith("_import.<locals>.send"):
            half.calls += 1  # type: ignore[attr-defined]
            if half.calls == 2:  # type: ignore[attr-defined]
                raise StoreError(store="qdrant", problem="the server went away.", remedy="")
        return call(self, what, verb)

    half.calls = 0  # type: ignore[attr-defined]
    filled.clear()
    with monkeypatch.context() as patched, world.session() as session:
        patched.setattr(QdrantStore, "call", half)
        patched.setattr(qdrant_restore, "page_size", lambda *_: 5)
        with pytest.raises(StoreError, match="the server went away"):
            restore(session, target)
    assert filled == ["neo4j", "qdrant"], "Postgres was whole"
    filled.clear()
    with world.session() as session, pytest.raises(RestoreTargetError, match="Qdrant") as refused:
        restore(session, target)
    assert filled == []
    (name,) = re.findall(r"DELETE /collections/([^;)]+)", str(refused.value))
    with world.session() as session:
        assert session.qdrant is not None
        session.qdrant.call(name, lambda client: client.delete_collection(name))
        restore(session, target)
    assert filled == ["qdrant"], "Postgres and the graph were whole"
    found = differences(before, content(world))
    assert not found, found

    filled.clear()
    with world.session() as session:
        restore(session, target)
    assert filled == ["qdrant"], "whose collections are whole too: only the aliases are made sure of"
    assert not differences(before, content(world))


def test_a_store_that_was_written_to_since_is_not_the_backup(world: World, tmp_path: Path) -> None:
    """One row more, and it is refused as any other that is not empty."""
    target = tmp_path / "backup"
    with world.session() as session:
        take(session, target, jobs=1)
        restore(session, target)
        with session.postgres.connection() as connection:
            connection.execute("CREATE TABLE nueva (id int)")
        with pytest.raises(RestoreTargetError, match="not what was backed up"):
            restore(session, target)
