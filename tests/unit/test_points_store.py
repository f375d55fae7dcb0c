"""The Qdrant store against a server that answers badly: retries, Retry-After, unfinished updates, clear messages."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tenure.errors import StoreError, StoreUnreachableError
from tenure.stores.qdrant import Bounds, QdrantStore, path, set_tenant

UPDATE = set_tenant("project_id", "acme", [1, 2], {"must": [{"is_empty": {"key": "project_id"}}]})


@dataclass
class Answers:
    """What the server says, in order (the last for ever), and what it was asked."""

    script: list[tuple[int, Any, dict[str, str]]] = field(default_factory=list)
    asked: list[tuple[str, Any]] = field(default_factory=list)
    url: str = ""
    strict: dict[str, Any] | None = None
    waits: list[float] = field(default_factory=list)

    def will(self, status: int, body: Any, **headers: str) -> Answers:
        """Add an answer."""
        self.script.append((status, body, headers))
        return self

    def store(self, **options: Any) -> QdrantStore:
        """Return a store on this server that notes its pauses in place of sleeping."""
        return QdrantStore(self.url, wait=self.waits.append, **options)


def updated(*statuses: str) -> dict[str, Any]:
    """Return the answer to a batch of updates."""
    return {"result": [{"operation_id": 1, "status": status} for status in statuses], "status": "ok", "time": 0.1}


def error(text: str) -> dict[str, Any]:
    """Return an error as Qdrant writes it."""
    return {"status": {"error": text}, "time": 0.1}


def info(strict: dict[str, Any] | None) -> dict[str, Any]:
    """Return a collection's description."""
    config: dict[str, Any] = {
        "params": {"vectors": {"size": 4, "distance": "Cosine"}},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    }
    if strict is not None:
        config["strict_mode_config"] = strict
    body = {"status": "green", "optimizer_status": "ok", "segments_count": 1, "config": config, "payload_schema": {}}
    return {"result": body, "status": "ok", "time": 0.1}


@pytest.fixture
def server() -> Iterator[Answers]:
    """Yield a scripted server; GET of a collection always describes it."""
    answers = Answers()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            headers: dict[str, str]
            if self.command == "GET" and self.path == "/collections/c":
                status, said, headers = 200, info(answers.strict), {}
            else:
                answers.asked.append((f"{self.command} {self.path}", body))
                status, said, headers = answers.script.pop(0) if len(answers.script) > 1 else answers.script[0]
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _answer

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    answers.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield answers
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_wait_timeout_is_no_success(server: Answers) -> None:
    """The same update is sent again until the server says that it is applied."""
    server.will(200, updated("wait_timeout")).will(200, updated("acknowledged")).will(200, updated("completed"))
    server.store().update("c", [UPDATE])
    assert len(server.asked) == 3
    assert server.asked[0] == server.asked[2]
    assert "wait=true" in server.asked[0][0]
    assert len(server.waits) == 2


def test_one_unfinished_operation_of_many_is_none(server: Answers) -> None:
    """Every operation of a batch must be completed, and each must have an answer."""
    server.will(200, updated("completed", "wait_timeout")).will(200, updated("completed"))
    server.will(200, updated("completed", "completed"))
    server.store().update("c", [UPDATE, UPDATE])
    assert len(server.asked) == 3


def test_updates_that_never_complete_end_in_an_error(server: Answers) -> None:
    """After the last attempt it is said which collection, what it answered and what to do."""
    server.will(200, updated("wait_timeout"))
    with pytest.raises(StoreError, match=r"collection c answered 'wait_timeout' to 3 identical updates") as raised:
        server.store(attempts=3).update("c", [UPDATE])
    assert "resumes" in str(raised.value)
    assert len(server.asked) == 3


def test_retry_after_is_honoured(server: Answers) -> None:
    """A 429 waits as long as the server asks for."""
    server.will(429, error("rate limit"), Retry_After="7").will(200, updated("completed"))
    server.store().update("c", [UPDATE])
    assert server.waits == [7.0]


@pytest.mark.parametrize(
    ("status", "text"),
    [(429, "slow down"), (500, "internal"), (503, "starting"), (502, "bad gateway"), (400, "Please retry")],
)
def test_what_passes_is_tried_again(server: Answers, status: int, text: str) -> None:
    """Overload, a restart behind a proxy and replicas that disagree for a moment are waited for."""
    told: list[str] = []
    server.will(status, error(text)).will(200, updated("completed"))
    server.store(notify=told.append).update("c", [UPDATE])
    assert len(server.asked) == 2
    assert text in told[0]


def test_pauses_grow_and_end(server: Answers) -> None:
    """Each pause is longer than the last, none endless, and in the end the server's own words are shown."""
    server.will(503, error("no disk"))
    with pytest.raises(StoreError, match="no disk"):
        server.store(attempts=8).update("c", [UPDATE])
    assert len(server.waits) == 7
    assert server.waits[:4] == sorted(server.waits[:4])
    assert max(server.waits) <= 15


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (401, "Must provide an API key", "refused access.*Check the API key"),
        (403, "Global access is required", "refused access.*rw"),
        (404, "Collection `c` doesn't exist!", "not found: Collection `c`.*Check the name"),
        (400, "Wrong input", "answered 400: Wrong input"),
    ],
)
def test_what_does_not_pass_is_said_at_once(server: Answers, status: int, text: str, expected: str) -> None:
    """One request, one message, no traceback of the driver's."""
    server.will(status, error(text))
    with pytest.raises(StoreError, match=expected):
        server.store().count("c")
    assert len(server.asked) == 1


def test_a_page_that_is_no_qdrant_is_said(server: Answers) -> None:
    """Another web server at the address answers with something else."""
    server.will(200, b"<html>hello</html>")
    with pytest.raises(StoreError, match="qdrant"):
        server.store().open()


def test_an_unreachable_server_is_said_at_once_and_without_secrets() -> None:
    """A wrong address is not retried for a minute, and the key is not in the message."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    waits: list[float] = []
    store = QdrantStore(f"http://user:geheim99@127.0.0.1:{port}", "schluessel42", wait=waits.append)
    with pytest.raises(StoreUnreachableError) as raised:
        store.open()
    assert waits == []
    assert "geheim99" not in str(raised.value)
    assert "schluessel42" not in str(raised.value)


def test_a_server_that_answered_before_is_waited_for(server: Answers) -> None:
    """A restart in the middle of a run costs a pause, not the run."""
    server.will(200, {"result": {"count": 3}, "status": "ok", "time": 0.1})
    waits: list[float] = []
    store = QdrantStore(server.url, wait=waits.append, attempts=3)
    assert store.count("c") == 3
    store.close()
    store._url = "http://127.0.0.1:1"  # the same server, gone
    with pytest.raises(StoreUnreachableError):
        store.count("c")
    assert len(waits) == 2


def test_strict_mode_bounds_every_request(server: Answers) -> None:
    """Pages and id lists shrink to what the collection allows; a strict mode that is off bounds nothing."""
    server.strict = {
        "enabled": True,
        "max_query_limit": 100,
        "condition_max_size": 50,
        "unindexed_filtering_update": False,
    }
    server.will(200, {"result": {"points": [], "next_page_offset": None}, "status": "ok", "time": 0.1})
    store = server.store()
    assert store.bounds("c") == Bounds(page=100, ids=50, unindexed_updates=False)
    store.scroll("c", limit=5000, fields=("project_id",))
    assert server.asked[0][1]["limit"] == 100
    assert server.asked[0][1]["with_vector"] is False
    assert server.asked[0][1]["with_payload"] == ["project_id"]
    server.strict = {"enabled": False, "max_query_limit": 100}
    assert server.store().bounds("c") == Bounds()


def test_a_directory_that_is_not_there_or_taken_is_said(tmp_path: Path) -> None:
    """Local mode: a wrong path does not become a new, empty store; a second opener gets a sentence."""
    with pytest.raises(StoreError, match="no local-mode directory"):
        QdrantStore(str(tmp_path / "nowhere")).open()
    assert not (tmp_path / "nowhere").exists()
    with QdrantStore(str(tmp_path)) as store:
        with pytest.raises(StoreError, match="not found"):
            store.count("nothing")
        with pytest.raises(StoreError, match="stop the one that has it open"):
            QdrantStore(str(tmp_path)).open()


@pytest.mark.parametrize(
    ("field_name", "expected"),
    [("project_id", "project_id"), ("a.b", "a.b"), ("project id", '"project id"'), ("año", '"año"'), ("x-y", "x-y")],
)
def test_paths_are_quoted_where_they_must(field_name: str, expected: str) -> None:
    """Dots go into objects; other characters than letters, digits, hyphen and underscore need quotes."""
    assert path(field_name) == expected
