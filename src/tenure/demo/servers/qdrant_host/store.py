"""Collections and aliases: one shard of the engine each, described by one JSON file beside them."""

from __future__ import annotations

import json
import os
import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import qdrant_edge as edge
from qdrant_client.http import models

from tenure.demo.servers.qdrant_host import schema
from tenure.demo.servers.qdrant_host.errors import ApiError, bad_request, from_engine, not_found, unsupported

T = TypeVar("T")
HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0}
OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 1,
    "flush_interval_sec": 5,
}
WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0}


class Collection:
    """One collection. Its lock makes updates one sequence, as the server's update worker does."""

    def __init__(self, directory: Path, description: dict[str, Any], shard: Any) -> None:
        """Wrap an open *shard* in *directory*; *description* is what the JSON file keeps of it."""
        self.directory = directory
        self.description = description
        self._shard = shard
        self._lock = threading.Lock()
        self._closed = False
        self._operations = 0

    def read(self, action: Callable[[Any], T]) -> T:
        """Return ``action(shard)``; raises ApiError for what the engine refuses."""
        with self._lock:
            if self._closed:
                raise not_found("Collection doesn't exist!")
            try:
                return action(self._shard)
            except ApiError:
                raise
            except Exception as error:  # the engine raises nothing more precise
                raise from_engine(error) from error

    def update(self, operation: Callable[[], Any]) -> int:
        """Build an operation, apply it, and return its number."""
        self.read(lambda shard: shard.update(operation()))
        self._operations += 1
        return self._operations

    def close(self) -> None:
        """Flush and close the shard."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._shard.flush()
                self._shard.close()

    def info(self) -> dict[str, Any]:
        """Return the collection's description as the server gives it."""
        engine = self.read(lambda shard: shard.info())
        indexed = engine.payload_schema
        request = self.description["request"]
        params = {
            name: request[name]
            for name in ("vectors", "sparse_vectors", "on_disk_payload", "sharding_method")
            if request.get(name) is not None
        }
        return {
            "status": "green",
            "optimizer_status": "ok",
            "indexed_vectors_count": engine.indexed_vectors_count,
            "points_count": engine.points_count,
            "segments_count": engine.segments_count,
            "config": {
                "params": {
                    "shard_number": 1,
                    "replication_factor": 1,
                    "write_consistency_factor": 1,
                    "on_disk_payload": True,
                    **params,
                },
                "hnsw_config": {**HNSW, **(request.get("hnsw_config") or {})},
                "optimizer_config": {**OPTIMIZERS, **(request.get("optimizers_config") or {})},
                "wal_config": {**WAL, **(request.get("wal_config") or {})},
                "quantization_config": request.get("quantization_config"),
                "strict_mode_config": request.get("strict_mode_config") or {"enabled": False},
                "metadata": request.get("metadata"),
            },
            "payload_schema": {
                field: {
                    "data_type": index["data_type"],
                    **({"params": index["params"]} if index["params"] else {}),
                    "points": indexed[field].points if field in indexed else 0,
                }
                for field, index in self.description["indexes"].items()
            },
        }


class Store:
    """All collections and aliases under one directory."""

    def __init__(self, directory: Path) -> None:
        """Open *directory*, made when missing, with everything an earlier host left in it."""
        self._directory = directory
        self._file = directory / "collections.json"
        self._lock = threading.RLock()
        self.collections: dict[str, Collection] = {}
        self.aliases: dict[str, str] = {}
        directory.mkdir(parents=True, exist_ok=True)
        if self._file.exists():
            state = json.loads(self._file.read_text())
            self.aliases = state["aliases"]
            for name, description in state["collections"].items():
                path = directory / description["folder"]
                self.collections[name] = Collection(path, description, edge.EdgeShard.load(str(path)))
        known = {collection.directory for collection in self.collections.values()}
        for path in directory.iterdir():
            if path.is_dir() and path not in known:  # a creation or deletion that was killed half way
                shutil.rmtree(path)

    def get(self, name: str) -> Collection:
        """Return the collection called *name*, directly or by alias; raises ApiError 404."""
        collection = self.collections.get(self.aliases.get(name, name))
        if collection is None:
            raise not_found(f"Collection `{name}` doesn't exist!")
        return collection

    def create(self, name: str, body: dict[str, Any]) -> None:
        """Create a collection; raises ApiError 409 when the name is taken."""
        request = schema.parse_create(body)
        with self._lock:
            if name in self.collections:
                raise ApiError(409, f"Wrong input: Collection `{name}` already exists!")
            if name in self.aliases:
                raise bad_request(f"Can't create collection with name {name}. Alias with the same name already exists")
            folder = uuid.uuid4().hex
            path = self._directory / folder
            try:
                shard = edge.EdgeShard.create(str(path), schema.engine_config(request))
            except ApiError:
                raise
            except Exception as error:  # the engine raises nothing more precise
                raise from_engine(error) from error
            kept = request.model_dump(mode="json", exclude_none=True)
            description: dict[str, Any] = {"folder": folder, "request": kept, "indexes": {}}
            self.collections[name] = Collection(path, description, shard)
            self._save()

    def change(self, name: str, body: dict[str, Any]) -> None:
        """Change the parts of a collection's configuration that only describe it; raises ApiError for the others."""
        collection = self.get(name)
        try:
            models.UpdateCollection.model_validate(body)
        except ValueError as error:
            raise bad_request(str(error)) from error
        schema.check_strict_mode(body.get("strict_mode_config"))
        if body.get("vectors") or body.get("sparse_vectors"):
            raise unsupported("a change of vector parameters")
        with self._lock:
            request = collection.description["request"]
            for part, value in body.items():
                if part == "params":
                    request.update({key: item for key, item in value.items() if item is not None})
                elif isinstance(value, dict):
                    request[part] = {**(request.get(part) or {}), **value}
            self._save()

    def delete(self, name: str) -> bool:
        """Delete a collection with its aliases; returns whether there was one."""
        with self._lock:
            collection = self.collections.pop(name, None)
            if collection is None:
                return False
            self.aliases = {alias: target for alias, target in self.aliases.items() if target != name}
            self._save()
        collection.close()
        shutil.rmtree(collection.directory)
        return True

    def create_index(self, name: str, field: str, field_schema: Any) -> int:
        """Create a payload index; the same again is no error, another type replaces it, as on the server."""
        if field_schema is None:
            raise bad_request("field_schema is required")
        kind, given, params = schema.parse_index(field_schema)
        collection = self.get(name)
        with self._lock:
            number = collection.update(lambda: edge.UpdateOperation.create_field_index(field, params))
            collection.description["indexes"][field] = {"data_type": kind, "params": given}
            self._save()
        return number

    def delete_index(self, name: str, field: str) -> int:
        """Delete a payload index; none is no error, as on the server."""
        collection = self.get(name)
        with self._lock:
            number = collection.update(lambda: edge.UpdateOperation.delete_field_index(field))
            collection.description["indexes"].pop(field, None)
            self._save()
        return number

    def change_aliases(self, actions: list[dict[str, Any]]) -> None:
        """Apply alias actions, all or none."""
        with self._lock:
            aliases = dict(self.aliases)
            for action in actions:
                self._apply_alias(aliases, action)
            self.aliases = aliases
            self._save()

    def _apply_alias(self, aliases: dict[str, str], action: dict[str, Any]) -> None:
        match action:
            case {"create_alias": {"collection_name": str(target), "alias_name": str(alias)}}:
                if target not in self.collections:
                    raise not_found(f"Collection `{target}` doesn't exist!")
                if alias in self.collections:
                    raise ApiError(409, f"Wrong input: Collection `{alias}` already exists!")
                aliases[alias] = target
            case {"delete_alias": {"alias_name": str(alias)}}:
                aliases.pop(alias, None)
            case {"rename_alias": {"old_alias_name": str(old), "new_alias_name": str(new)}}:
                if old not in aliases:
                    raise not_found(f"Alias {old} does not exists!")
                aliases[new] = aliases.pop(old)
            case _:
                raise bad_request("unknown alias operation")

    def close(self) -> None:
        """Flush and close every shard."""
        for collection in self.collections.values():
            collection.close()

    def _save(self) -> None:
        state = {
            "aliases": self.aliases,
            "collections": {name: collection.description for name, collection in self.collections.items()},
        }
        temporary = self._file.with_suffix(".new")
        with temporary.open("w") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._file)
