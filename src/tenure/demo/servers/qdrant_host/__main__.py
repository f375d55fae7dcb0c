"""``python -m tenure.demo.servers.qdrant_host --port PORT --directory DIRECTORY``."""

from __future__ import annotations

import argparse
from pathlib import Path

import uvicorn

from tenure.demo.servers.qdrant_host.app import create_app
from tenure.demo.servers.qdrant_host.store import Store


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    options = parser.parse_args()
    uvicorn.run(
        create_app(Store(options.directory)),
        host="127.0.0.1",
        port=options.port,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
