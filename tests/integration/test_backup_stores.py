"""Three stores backed up through a session: gone on with after a kill, checked, restored, and wanted by apply."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from backup_kit import NODES, POINTS, RELATIONSHIPS, World, killed_backup

from tenure.backup import files, gate
from tenure.backup.check import check
from tenure.backup.manifest import load_manifest
from tenure.backup.restore import restore
from tenure.backup.take import take
from tenure.cli.main import run
from tenure.demo.fingerprint import differences, fingerprint
from tenure.demo.servers import EmbeddedNeo4j, EmbeddedPostgres, EmbeddedQdrant
from tenure.errors import (
    BackupDamagedError,
    BackupError,
    BackupInterruptedError,
    BackupSpaceError,
    RefusedError,
    RestoreMismatchError,
    UsageError,
)
from tenure.runner.context import SilentReporter, StopSignal
from tenure.values import Hazard


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
    world = World(tmp_path, postgres_server, str(database), neo4j_server, qdrant_server)
    world.fill()
    return world


def content(world: World) -> dict[str, dict[str, str]]:
    """All three stores by another code's fingerprints."""
    return fingerprint(world.postgres.dsn_of(world.database), world.neo4j.url, world.qdrant.url)


def inodes(directory: Path) -> dict[str, int]:
    """Which file is which: one that is written again is another."""
    return {str(p.relative_to(directory)): p.stat().st_ino for p in directory.rglob("*") if p.is_file()}


def test_backup_destroy_restore_compare(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = content(world)
    target = tmp_path / "backup"
    assert run(["backup", "-f", str(world.playbook), "--to", str(target), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    assert document["finished"]
    assert document["plan_hash"]
    assert {entry["object"]: entry["items"] for entry in document["entries"]} == {
        "database": 302,
        "nodes Caso": NODES,
        "nodes (no label)": 0,
        "relationships SIGUE": RELATIONSHIPS,
        "schema": 3,
        "collection casos": POINTS,
        "aliases": 0,
    }
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in target.rglob("*"))
    assert not list(target.rglob("*.partial"))
    assert not (target / files.WORK).exists()
    # Not into what it came from.
    assert run(["restore", str(target), "-f", str(world.playbook)]) == 3
    assert "is not empty" in capsys.readouterr().err
    world.destroy()
    assert run(["restore", str(target), "-f", str(world.playbook)]) == 0
    # Restored without the ledger, which was installed by the check after the dump.
    assert differences(before, content(world)) == []
    assert "Restored and compared: neo4j, postgres, qdrant" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("operation", "after", "kept"),
    [
        ("fingerprint postgres", 2, ()),
        ("neo4j nodes", 3, ("postgres/toc.dat",)),
        ("neo4j relationships", 2, ("postgres/toc.dat", "neo4j/nodes.jsonl.gz")),
        ("qdrant", 2, ("postgres/toc.dat", "neo4j/nodes.jsonl.gz", "neo4j/relationships")),
    ],
)
def test_a_killed_backup_is_gone_on_with(
    world: World, tmp_path: Path, operation: str, after: int, kept: tuple[str, ...]
) -> None:
    target = tmp_path / "backup"
    assert killed_backup(world, target, operation, after) == -signal.SIGKILL
    with pytest.raises(BackupError, match="holds the beginning of one"):
        check(target)
    done = {file.path for file in load_manifest(target).files}
    before = inodes(target)
    assert all(any(path.startswith(start) for path in done) for start in kept)
    with world.session() as session:
        take(session, target, jobs=1)
    after_all = inodes(target)
    assert {path: after_all[path] for path in done if "schema" not in path and "alias" not in path} == {
        path: before[path] for path in done if "schema" not in path and "alias" not in path
    }
    check(target)
    assert not [name for name in os.listdir(target) if name.endswith(".partial")]
    world.destroy()
    with world.session() as session:
        restore(session, target)


def test_nodes_that_changed_since_are_exported_again(world: World, tmp_path: Path) -> None:
    """Ids of what was deleted between two attempts may be others' by now: then nothing of the graph is kept."""
    target = tmp_path / "backup"
    with world.session() as session:
        assert session.neo4j is not None
        session.neo4j.write("MERGE (:Solo)")
    assert killed_backup(world, target, "neo4j relationships", 2) == -signal.SIGKILL
    before = inodes(target)
    with world.session() as session:
        assert session.neo4j is not None
        session.neo4j.write("MATCH (c:Caso {id: 7}) DETACH DELETE c")
        session.neo4j.write("MATCH (s:Solo) DETACH DELETE s")
        session.neo4j.write("MERGE (c:Caso {id: 7000}) WITH c MATCH (o:Caso {id: 8}) MERGE (c)-[:SIGUE]->(o)")
        manifest = take(session, target, jobs=1)
    nodes = manifest.entry("neo4j", "nodes Caso")
    assert nodes is not None
    assert nodes.items == NODES
    assert manifest.entry("neo4j", "nodes Solo") is None
    assert inodes(target)[nodes.files[0].path] != before[nodes.files[0].path]
    world.destroy()
    with world.session() as session:
        restore(session, target)
        assert session.neo4j is not None
        found = session.neo4j.read("MATCH (c:Caso {id: 7000})-[:SIGUE]->(o) RETURN o.id AS id")
        assert [row["id"] for row in found] == [8]


def test_a_stop_keeps_what_is_done(world: World, tmp_path: Path) -> None:
    stop = StopSignal()

    class Stopping(SilentReporter):
        def finish(self, operation: str, text: str) -> None:
            if operation.startswith("neo4j nodes"):
                stop.set("asked to")

    with world.session() as session, pytest.raises(BackupInterruptedError, match=r"tenure backup --to .* goes on"):
        take(session, tmp_path / "backup", jobs=1, reporter=Stopping(), signal=stop)
    assert load_manifest(tmp_path / "backup").of("postgres")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_check_names_what_is_damaged(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "backup"
    with world.session() as session:
        manifest = take(session, target, jobs=1)
    places = [manifest.of("postgres")[0].files[-1], manifest.of("neo4j")[0].files[0], manifest.of("qdrant")[0].files[1]]
    harms: list[tuple[Callable[[Path], None], str]] = [
        (_cut, "truncated"),
        (_flip, "altered"),
        (Path.unlink, "missing"),
    ]
    for file in places:
        whole = (target / file.path).read_bytes()
        for harm, word in harms:
            harm(target / file.path)
            assert run(["backup", "check", str(target), "--no-record"]) == 1
            assert f"{file.path} is {word}" in capsys.readouterr().err
            with world.session() as session, pytest.raises(BackupDamagedError):
                restore(session, target)
            (target / file.path).write_bytes(whole)
    assert run(["backup", "check", str(target), "--no-record"]) == 0
    manifest_file = target / "manifest.json"
    manifest_file.write_text(manifest_file.read_text().replace('"items": 302', '"items": 303'))
    assert run(["backup", "check", str(target), "--no-record"]) == 1
    assert "manifest.json is altered" in capsys.readouterr().err
    _cut(manifest_file)
    assert run(["backup", "check", str(target), "--no-record"]) == 1
    manifest_file.unlink()
    assert run(["backup", "check", str(target), "--no-record"]) == 2


def test_a_rehearsal_restores_into_scratch_servers(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backup"
    with world.session() as session:
        manifest = take(session, target, jobs=1, qdrant="export")
    before = content(world)
    # The address of the server that was backed up: a rehearsal must not go there.
    monkeypatch.setenv("TENURE_QDRANT", world.qdrant.url)
    world.neo4j.stop()  # two of them are much for a small machine
    try:
        assert run(["backup", "check", str(target), "--rehearse", "-f", str(world.playbook)]) == 0
        out = capsys.readouterr().out
        assert f"Rehearsed: {sum(len(manifest.fingerprints(store)) for store in manifest.stores)} objects" in out
        wrong = [
            entry.model_copy(update={"fingerprints": {**entry.fingerprints, "casos": "300:00"}})
            if entry.store == "postgres"
            else entry
            for entry in manifest.entries
        ]
        only = manifest.model_copy(
            update={"entries": tuple(wrong), "sources": {"postgres": manifest.sources["postgres"]}}
        )
        only.save(target)
        assert run(["backup", "check", str(target), "--rehearse", "--no-record"]) == 1
        assert "postgres casos: 300 items, with other content" in capsys.readouterr().err
    finally:
        world.neo4j.start()
    assert os.environ["TENURE_QDRANT"] == world.qdrant.url
    assert content(world) == before
    with world.session() as session:
        checked = gate.latest_checked_backup(session)
        assert checked is not None
        assert checked.rehearsed


def test_restore_refuses_before_it_writes(world: World, tmp_path: Path) -> None:
    """One store that is not empty keeps all three as they are."""
    target = tmp_path / "backup"
    with world.session() as session:
        take(session, target, jobs=1)
    world.destroy()
    with world.session() as session:
        assert session.neo4j is not None
        session.neo4j.write("MERGE (:Otro)")
        before = content(world)
        with pytest.raises(RefusedError, match="1 nodes"):
            restore(session, target)
        assert content(world) == before


def test_what_came_out_is_compared(world: World, tmp_path: Path) -> None:
    """A restore that went wrong in silence is noticed: here the fingerprints are made to be others."""
    target = tmp_path / "backup"
    with world.session() as session:
        manifest = take(session, target, jobs=1)
        wrong = [
            entry.model_copy(update={"fingerprints": dict.fromkeys(entry.fingerprints, "1:00")})
            if entry.object in ("nodes Caso", "collection casos")
            else entry
            for entry in manifest.entries
        ]
        manifest.model_copy(update={"entries": tuple(wrong)}).save(target)
    world.destroy()
    with world.session() as session, pytest.raises(RestoreMismatchError) as raised:
        restore(session, target)
    assert raised.value.fields["lines"] == (
        f"neo4j Caso: {NODES} items instead of 1",
        f"qdrant casos: {POINTS} items instead of 1",
    )


def test_room_is_looked_at_first(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with world.session() as session, pytest.raises(BackupSpaceError, match=r"needs about .* free"):
        take(session, tmp_path / "backup")
    assert [path.name for path in (tmp_path / "backup").iterdir()] == [files.WORK]


def test_a_disk_that_fills_up_is_said_and_gone_on_with(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(small)], check=False)
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    try:
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**12))
            with world.session() as session, pytest.raises(BackupError, match="goes on with what is not done"):
                take(session, small / "backup", jobs=1)
        assert not load_manifest(small / "backup").finished
        subprocess.run(["mount", "-o", "remount,size=50m", str(small)], check=True)
        with world.session() as session:
            take(session, small / "backup", jobs=1)
        check(small / "backup")
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_directory_of_something_else_is_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with world.session() as session, pytest.raises(RefusedError, match="holds no backup"):
        take(session, tmp_path / "other")


def test_the_gate(world: World, tmp_path: Path) -> None:
    target = tmp_path / "backup"

    def age(hours: int) -> None:
        """Make the backup older, as the ledger knows it."""
        backup = gate.latest_checked_backup(session)
        assert backup is not None
        older = backup.model_copy(update={"started": backup.started - timedelta(hours=hours)})
        with session.postgres.connection() as connection:
            connection.execute("UPDATE tenure.event SET detail = %s", (older.model_dump_json(),))

    with world.session() as session:
        with pytest.raises(RefusedError, match=r"knows of no checked backup.*--allow NO_BACKUP"):
            gate.require_backup(session, ())
        assert not session.ledger.installed()
        manifest = take(session, target, jobs=1)
        gate.record(session, target, check(target))
        found = gate.require_backup(session, ())
        assert found is not None
        assert found.digest == manifest.digest
        assert found.directory == str(target)
        age(23)
        assert gate.require_backup(session, ()) is not None
        age(2)
        with pytest.raises(RefusedError, match="more than a day ago"):
            gate.require_backup(session, ())
        assert gate.require_backup(session, [Hazard.NO_BACKUP]) is None
        with session.postgres.connection() as connection:
            kinds = connection.execute("SELECT kind FROM tenure.event ORDER BY id").fetchall()
        assert kinds == [(gate.CHECKED,), (gate.WAIVED,)]
        other = manifest.sources["postgres"].model_copy(update={"identity": "1/other"})
        foreign = manifest.model_copy(update={"sources": {**manifest.sources, "postgres": other}})
        with pytest.raises(UsageError, match="of another database"):
            gate.record(session, target, foreign)


def test_the_password_is_in_no_file_message_or_process_list(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    role, password = f"keeper_{os.getpid()}", "secreto-muy-largo"
    seen: set[str] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(process.read_text(errors="replace"))

    path = world.playbook
    path.write_text(path.read_text().replace("postgres@", f"{role}:{password}@"))
    admin = psycopg.connect(world.postgres.dsn_of(world.database), autocommit=True)
    admin.execute(f"CREATE ROLE {role} SUPERUSER LOGIN PASSWORD '{password}'".encode())
    looking = threading.Thread(target=look)
    looking.start()
    try:
        assert run(["backup", "-f", str(path), "--to", str(tmp_path / "backup")]) == 0
    finally:
        done.set()
        looking.join()
        admin.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}".encode())
        admin.close()
    dumps = [line for line in seen if "pg_dump" in line and world.database in line]
    assert dumps
    assert not [line for line in dumps if password in line]
    assert password not in "".join(capsys.readouterr())
    for file in (tmp_path / "backup").rglob("*.json"):
        assert password not in file.read_text()
