"""Connects to Qdrant: a REST server or a local-mode directory, behind verbs that retry, page and check their status.

Filters and operations are plain JSON as the REST interface writes them, so that callers need no driver and a plan can
show exactly what is sent. The client (0.9 s to import) is loaded when the first call is made.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tenure.errors import StoreError
from tenure.masking import mask_secrets, remember_secret
from tenure.stores.patience import Attendant, Verdict, patiently
from tenure.stores.qdrant_alone import Alone, Mark
from tenure.stores.qdrant_errors import heed_results, heed_state, judge
from tenure.stores.qdrant_json import Json, PointId, among, delete_key, path, set_tenant
from tenure.stores.qdrant_wire import Page, Point
from tenure.stores.qdrant_wire import page as wire_page

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

__all__ = ["IDS", "PAGE", "Bounds", "Index", "Page", "Point", "PointId", "QdrantStore"]
__all__ += ["among", "delete_key", "path", "set_tenant"]

T = TypeVar("T")

# Above the server's own 60 s, so that it is the server that says `wait_timeout` and not the socket.
TIMEOUT_S = 90
# How long (seconds) a server that has answered before is waited for: a restart, an overload, an update that lags.
PATIENCE = 300.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 15.0
# How often an update asks afterwards whether the collection is still well.
LOOK_SECONDS = 5.0
# What one request may carry where strict mode names no lower limit; both stay far below the 32 MB that REST takes.
PAGE = 5000
IDS = 5000
# To compress a page takes the server longer than to read it.
CLIENT: dict[str, Any] = {"check_compatibility": False, "metadata": {"Accept-Encoding": "identity"}}


@dataclass(frozen=True, slots=True)
class Index:
    """A payload index; `kind` as in the catalog (keyword, uuid, integer, ...)."""

    kind: str
    is_tenant: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What strict mode leaves of a request: points a page, ids a condition, updates by fields that have no index; and
    whether one shard numbers all updates."""

    page: int = PAGE
    ids: int = IDS
    unindexed_updates: bool = True
    one_shard: bool = True


class QdrantStore:
    """One Qdrant: a server when *url* has a scheme, else a local-mode directory."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: int = TIMEOUT_S,
        patience: float | None = None,
        attempts: int | None = None,
        wait: Callable[[float], object] = time.sleep,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """Keep the address; nothing is opened yet.

        *timeout* is seconds a request, *patience* for how many seconds one is tried again (PATIENCE when None) and
        *attempts* how often at most, *wait* what sleeps between two (seconds), and *notify* is told of each repetition.
        """
        remember_secret(api_key)
        self._url = url
        self._api_key = api_key or None
        self._timeout = timeout
        self._attempts = attempts
        self.patience = PATIENCE if patience is None else patience
        self.attendant = Attendant(wait) if notify is None else Attendant(wait, notify, notify)
        self._client: QdrantClient | None = None
        self._bounds: dict[str, Bounds] = {}
        self._answered = False
        self._looked: dict[str, float] = {}
        self.alone = Alone()
        # Local mode is one process's dictionaries: its calls must not interleave.
        self._lock = threading.RLock()

    @property
    def local(self) -> bool:
        """Return whether this is a local-mode directory, which has no payload indexes."""
        return "://" not in self._url

    @property
    def address(self) -> str:
        """Return where it is, without secrets."""
        return mask_secrets(self._url)

    @property
    def client(self) -> QdrantClient:
        """Return the driver's client, made on first use. Errors: StoreError when the directory cannot be opened."""
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def open(self) -> QdrantStore:
        """Reach the store. Errors: StoreUnreachableError, StoreError (refused key, no such directory)."""
        self.collections()
        return self

    def close(self) -> None:
        """Close the client."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def __enter__(self) -> QdrantStore:
        """Open on entry."""
        return self.open()

    def __exit__(self, *_: object) -> None:
        """Close on exit."""
        self.close()

    def call(self, what: str, verb: Callable[[QdrantClient], T]) -> T:
        """Return what *verb* gives, repeated with back-off while the cause passes by itself.

        Only for verbs that may be repeated. *what* names the object in messages. Errors: StoreUnreachableError,
        StoreError.
        """

        def attempt() -> T:
            if self.local:
                with self._lock:
                    return verb(self.client)
            answer = verb(self.client)
            self._answered = True
            return answer

        return self._patiently(what, attempt)

    def judge(self, error: Exception, what: str = "the server") -> Verdict:
        """Return what a driver's error means. Errors: *error* itself when it is none of the driver's."""
        return judge(error, self.address, what, self.patience, answered=self._answered)

    def _patiently(self, what: str, attempt: Callable[[], T]) -> T:
        """Return what *attempt* gives, repeated while the cause passes."""
        return patiently(
            attempt,
            lambda error: self.judge(error, what),
            self.attendant,
            attempts=self._attempts,
            first=FIRST_PAUSE_S,
            longest=LONGEST_PAUSE_S,
        )

    # Reading.

    def version(self) -> str:
        """Return the server's version, or the client's in local mode."""
        if self.local:
            from importlib.metadata import version

            return version("qdrant-client")
        return str(self.call("version", lambda client: client.info()).version)

    def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        found = self.call("collections", lambda client: client.get_collections())
        return sorted(collection.name for collection in found.collections)

    def collection(self, name: str) -> models.CollectionInfo:
        """Return what the store says of a collection or alias. Errors: StoreError when it does not exist."""
        return self.call(name, lambda client: client.get_collection(name))

    def bounds(self, name: str) -> Bounds:
        """Return what one request on a collection may carry; asked once."""
        if name not in self._bounds:
            config = self.collection(name).config
            strict = getattr(config, "strict_mode_config", None)
            one_shard = (config.params.shard_number or 1) == (config.params.replication_factor or 1) == 1
            if strict is None or not strict.enabled:
                self._bounds[name] = Bounds(one_shard=one_shard)
            else:
                self._bounds[name] = Bounds(
                    one_shard=one_shard,
                    page=min(PAGE, strict.max_query_limit or PAGE),
                    ids=min(IDS, strict.condition_max_size or IDS),
                    unindexed_updates=strict.unindexed_filtering_update is not False,
                )
        return self._bounds[name]

    def scroll(
        self,
        collection: str,
        *,
        filter: Json | None = None,
        offset: PointId | None = None,
        limit: int = PAGE,
        fields: Sequence[str] = (),
    ) -> Page:
        """Return a page of points by id from *offset* on (inclusive), without vectors and with only *fields*.

        *fields* are payload paths as `path` writes them; *limit* is cut to what strict mode allows.
        """
        limit = min(limit, self.bounds(collection).page)
        if not self.local:
            asked = partial(wire_page, filter=filter, offset=offset, limit=limit, fields=fields)
            return self.call(collection, lambda client: asked(client, collection))
        records, following = self.call(
            collection,
            lambda client: client.scroll(
                collection,
                scroll_filter=_filter(filter),
                limit=limit,
                offset=offset,
                with_payload=list(fields) if fields else False,
                with_vectors=False,
            ),
        )
        points = [Point(_plain(record.id), record.payload or {}) for record in records]
        return Page(points, _plain(following) if following is not None else None)

    def pages(
        self, collection: str, *, filter: Json | None = None, fields: Sequence[str] = (), limit: int = PAGE
    ) -> Iterator[Sequence[Point]]:
        """Yield all points page by page, by id; points written meanwhile are seen when their id is still to come."""
        offset: PointId | None = None
        while True:
            page = self.scroll(collection, filter=filter, offset=offset, limit=limit, fields=fields)
            if page.points:
                yield page.points
            if page.next is None:
                return
            offset = page.next

    def count(self, collection: str, filter: Json | None = None) -> int:
        """Return the exact number of points."""
        wanted = _filter(filter)
        return self.call(collection, lambda client: client.count(collection, count_filter=wanted, exact=True)).count

    def facet(self, collection: str, key: str, limit: int = 10_000) -> dict[str, int]:
        """Return exact counts per value of an indexed field; values of another type than the index are not in it."""
        limit = min(limit, self.bounds(collection).page) if not self.local else limit
        found = self.call(collection, lambda client: client.facet(collection, key=key, limit=limit, exact=True))
        return {str(hit.value): hit.count for hit in found.hits}

    def indexes(self, collection: str) -> dict[str, Index]:
        """Return the payload indexes by field; local mode has none."""
        found: dict[str, Index] = {}
        for field, schema in (self.collection(collection).payload_schema or {}).items():
            tenant = bool(getattr(schema.params, "is_tenant", False))
            found[field] = Index(kind=str(getattr(schema.data_type, "value", schema.data_type)), is_tenant=tenant)
        return found

    def status(self, collection: str) -> str:
        """Return green, yellow (optimising), grey (waiting for an update to optimise) or red."""
        status = self.collection(collection).status
        return str(getattr(status, "value", status))

    # Writing.

    def update(self, collection: str, operations: Sequence[Json]) -> None:
        """Run *operations* (`{"set_payload": {...}}`, `{"delete_payload": {...}}`, `{"upsert": {...}}` or
        `{"delete": {...}}`) in order, in one request, and wait until they are applied.

        `acknowledged` and `wait_timeout` are no success: the request, which must be one that may be repeated, is sent
        again; it queues behind the first, so its `completed` covers both. Errors: StoreError when none ever comes.
        """
        from qdrant_client import models

        kinds: dict[str, Any] = {
            "set_payload": models.SetPayloadOperation,
            "delete_payload": models.DeletePayloadOperation,
            "upsert": models.UpsertOperation,
            "delete": models.DeleteOperation,
        }
        parsed: list[Any] = [kinds[next(iter(operation))].model_validate(operation) for operation in operations]

        sent = 0

        def attempt() -> None:
            nonlocal sent
            sent += 1
            results = self.call(collection, lambda client: client.batch_update_points(collection, parsed, wait=True))
            heed_results(collection, [str(result.status.value) for result in results], len(parsed), sent)
            self.alone.note(collection, [result.operation_id for result in results])

        self._patiently(collection, attempt)
        self._heed(collection)

    def mark(self, collection: str) -> Mark | None:
        """Return the place of our last update among all of a collection, where one shard numbers them."""
        return None if self.local or not self.bounds(collection).one_shard else self.alone.mark(collection)

    def set_tenant(self, collection: str, key: str, tenant: str, ids: Sequence[PointId], condition: Json) -> None:
        """Write payload field *key* on those of the points *ids* that still meet *condition*; others are left alone."""
        self.update(collection, [set_tenant(key, tenant, ids, condition)])

    def create_index(self, collection: str, field: str, kind: str, *, is_tenant: bool) -> None:
        """Create a keyword or uuid payload index, or replace the one that is there, and wait until it shows."""
        from qdrant_client import models

        schema: Any = (
            models.UuidIndexParams(type=models.UuidIndexType.UUID, is_tenant=is_tenant)
            if kind == "uuid"
            else models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=is_tenant)
        )
        self.call(collection, lambda client: _quiet(client.create_payload_index, collection, field, schema, wait=True))
        if not self.local:
            self._until_index(collection, field, Index(kind, is_tenant))

    def drop_index(self, collection: str, field: str) -> None:
        """Drop a payload index, and wait until it is gone."""
        self.call(collection, lambda client: _quiet(client.delete_payload_index, collection, field, wait=True))
        if not self.local:
            self._until_index(collection, field, None)

    def _until_index(self, collection: str, field: str, wanted: Index | None) -> None:
        for attempt in range(1, 60):
            found = self.indexes(collection)
            # The schema writes a nested or quoted field as it was given.
            if found.get(field) == wanted:
                return
            self.attendant.wait(min(5.0, 0.05 * 1.5**attempt))
        raise StoreError(
            store="qdrant",
            problem=f"the payload index on {field} of collection {collection} is {found.get(field)}, not {wanted}.",
            remedy="Look at the server's log, and run `tenure apply` again.",
        )

    def _heed(self, collection: str) -> None:
        """Look from time to time whether the collection is red. Errors: StoreError when it stays so."""
        now = time.monotonic()
        if self.local or now - self._looked.get(collection, -LOOK_SECONDS) < LOOK_SECONDS:
            return
        self._looked[collection] = now
        self._patiently(collection, lambda: heed_state(collection, self.collection(collection)))

    def _connect(self) -> QdrantClient:
        from qdrant_client import QdrantClient

        if not self.local:
            with warnings.catch_warnings():
                # An API key over plain HTTP and a version skew are preflight's to report, once and in our words.
                warnings.simplefilter("ignore")
                return QdrantClient(url=self._url, api_key=self._api_key, timeout=self._timeout, **CLIENT)
        if not Path(self._url).is_dir():
            raise StoreError(
                store="qdrant",
                problem=f"there is no local-mode directory {self._url}.",
                remedy="Write the directory that the application opens, or the server's address with http://.",
            )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return QdrantClient(path=self._url, force_disable_check_same_thread=True)
        except (RuntimeError, OSError, ValueError) as error:
            raise StoreError(
                store="qdrant",
                problem=f"the local-mode directory {self._url} cannot be opened: {error}",
                remedy="One process at a time can hold it: stop the one that has it open.",
            ) from error


def _filter(filter: Json | None) -> models.Filter | None:
    if filter is None:
        return None
    from qdrant_client import models

    return models.Filter.model_validate(filter)


def _plain(identity: Any) -> PointId:
    return identity if isinstance(identity, int | str) else str(identity)


def _quiet(verb: Callable[..., T], *arguments: Any, **options: Any) -> T:
    # Local mode warns that it has no payload indexes; the operation says so in its own outcome.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return verb(*arguments, **options)
