"""`tenure init` as a library call: opens the stores, gathers, proposes, writes. Never overwrites an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from tenure.catalog import Catalog
from tenure.errors import StoreError, UsageError
from tenure.masking import remember_secret
from tenure.playbook import LoadedPlaybook, open_playbook, read_pairs
from tenure.playbook.environment import environment_for
from tenure.propose.compose import propose
from tenure.propose.gathering import Wish, gather
from tenure.propose.merge import Merge
from tenure.propose.proposal import Entry, Proposal
from tenure.propose.writer import ALIASES, aliases_csv, new_playbook, write_atomically

if TYPE_CHECKING:
    from tenure.stores.neo4j import Neo4jStore
    from tenure.stores.qdrant import QdrantStore

M = TypeVar("M", bound=BaseModel)
LOCK_MS = 10_000
VARIABLES = {"postgres": "TENURE_POSTGRES", "neo4j": "TENURE_NEO4J", "qdrant": "TENURE_QDRANT"}


@dataclass(frozen=True)
class Request:
    """What is asked of `init`; addresses that are not given come from the playbook, else from the environment."""

    path: Path
    key: str | None = None
    registry: str | None = None
    full: bool = False
    addresses: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What became of it: the proposal, what of it was new in the file, files written, what to know."""

    proposal: Proposal
    added: tuple[Entry, ...]
    written: tuple[Path, ...]
    notes: tuple[str, ...]


def initialise(request: Request, notify: Callable[[str], None] = lambda _: None) -> Result:
    """Propose a playbook and write it to `request.path`, or add what is new to the one that is there.

    Errors: UsageError, PlaybookError of an existing file, StoreError and StoreUnreachableError.
    """
    # What was given by hand also stands in for the references in a playbook that is there.
    given = {VARIABLES[store]: url for store, url in request.addresses.items()}
    environment = {**environment_for(request.path.absolute().parent), **given}
    existing = open_playbook(request.path, environment) if request.path.exists() else None
    wish = _wish(request, existing)
    with ExitStack() as stack:
        postgres, neo4j, qdrant = _stores(request, existing, environment, stack)
        notify("reading catalogs")
        from psycopg.errors import LockNotAvailable

        from tenure.stores.postgres_introspect import introspect_postgres

        connection = stack.enter_context(postgres.dedicated())
        connection.execute(f"SET lock_timeout = {LOCK_MS:d}".encode())
        try:
            tables = introspect_postgres(connection)
        except LockNotAvailable as error:
            raise StoreError(
                store="Postgres",
                problem=f"a table was locked by DDL for more than {LOCK_MS / 1000:g} s.",
                remedy="Try again when it is done (pg_stat_activity shows it); nothing was written.",
            ) from error
        catalog = Catalog(
            postgres=tables,
            neo4j=neo4j.introspect() if neo4j is not None else None,
            qdrant=_introspect_qdrant(qdrant),
        )
        evidence, notes = gather(connection, catalog, wish, neo4j=neo4j, qdrant=qdrant, notify=notify)
    notify("deciding")
    proposal = propose(catalog, evidence)
    if existing is None:
        return _write_new(request.path, proposal, notes)
    return _write_more(request.path, existing, proposal, notes)


def _wish(request: Request, existing: LoadedPlaybook | None) -> Wish:
    registry = _dotted(request.registry) if request.registry is not None else None
    if existing is None:
        aliases = request.path.parent / ALIASES
        known = dict(read_pairs(aliases)) if aliases.exists() else {}
        return Wish(request.key or "project_id", request.key is not None, registry, request.full, known)
    tenant = existing.playbook.tenant
    if request.key is not None and request.key != tenant.key:
        raise UsageError(detail=f"--key {request.key} differs from `tenant.key: {tenant.key}` in {request.path}.")
    answered = (tenant.registry.table, tenant.registry.column)
    if "?" not in answered:
        if registry is not None and registry != answered:
            named = ".".join(answered)
            raise UsageError(detail=f"--registry {request.registry} differs from the playbook's registry {named}.")
        registry = answered
    known = dict(read_pairs(tenant.aliases)) if tenant.aliases is not None else {}
    untagged = frozenset(str(value) for value in tenant.untagged)
    unkeyed = {n for n, rule in (existing.playbook.postgres or {}).items() if rule.kind != "keyed"}
    return Wish(tenant.key, request.key is not None, registry, request.full, known, untagged, frozenset(unkeyed))


def _dotted(text: str) -> tuple[str, str]:
    table, dot, column = text.rpartition(".")
    if not dot or not table or not column:
        raise UsageError(detail=f"--registry {text!r} is not TABLE.COLUMN.")
    return table, column


def _stores(
    request: Request, existing: LoadedPlaybook | None, environment: Mapping[str, str], stack: ExitStack
) -> tuple[Any, Neo4jStore | None, QdrantStore | None]:
    """Open the stores that have an address."""
    from tenure.playbook.connections import Neo4jConnection, PostgresConnection, QdrantConnection
    from tenure.stores.postgres import PostgresStore

    connections = existing.playbook.connections if existing is not None else None

    def address(store: str) -> str | None:
        given = request.addresses.get(store)
        return given or (environment.get(VARIABLES[store]) if connections is None else None) or None

    postgres = connections.postgres if connections is not None else None
    if (url := address("postgres")) is not None:
        postgres = _valid(PostgresConnection, "postgres", {"url": url})
    if postgres is None:
        raise UsageError(detail="no Postgres is named: set TENURE_POSTGRES, or give --postgres URL.")
    store = PostgresStore(postgres.url.get_secret_value(), role=postgres.role, settings=postgres.settings, pool_size=1)
    graph = connections.neo4j if connections is not None else None
    if (url := address("neo4j")) is not None:
        known = {
            "user": environment.get("TENURE_NEO4J_USER") or "neo4j",
            "password": environment.get("TENURE_NEO4J_PASSWORD") or "",
            "database": environment.get("TENURE_NEO4J_DATABASE") or "neo4j",
        }
        graph = _valid(Neo4jConnection, "neo4j", {"url": url, **known})
    vectors = connections.qdrant if connections is not None else None
    if (url := address("qdrant")) is not None:
        key = environment.get("TENURE_QDRANT_API_KEY") or None
        vectors = _valid(QdrantConnection, "qdrant", {"url": url, "api_key": key}, request.path.absolute().parent)
    neo4j: Neo4jStore | None = None
    qdrant: QdrantStore | None = None
    if graph is not None:
        from tenure.stores.neo4j import Neo4jStore as Graph

        remember_secret(graph.password.get_secret_value())
        neo4j = stack.enter_context(Graph(graph.url, graph.user, graph.password.get_secret_value(), graph.database))
    if vectors is not None:
        from tenure.stores.qdrant import QdrantStore as Vectors

        secret = vectors.api_key.get_secret_value() if vectors.api_key is not None else None
        qdrant = stack.enter_context(Vectors(vectors.url, secret))
    return store, neo4j, qdrant


def _valid(model: type[M], store: str, given: Mapping[str, Any], directory: Path | None = None) -> M:
    """Return a connection, or say in words what is wrong with its address. Errors: UsageError."""
    try:
        return model.model_validate(given, context={"directory": directory})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UsageError(detail=f"{VARIABLES[store]} or --{store}: {first['msg']}") from None


def _introspect_qdrant(qdrant: QdrantStore | None) -> Any:
    if qdrant is None:
        return None
    from tenure.stores.qdrant_introspect import introspect_qdrant

    return qdrant.call("introspection", introspect_qdrant)


def _write_new(path: Path, proposal: Proposal, notes: tuple[str, ...]) -> Result:
    csv = path.parent / ALIASES
    written = [path]
    exists = csv.exists()
    named = ALIASES if proposal.aliases or exists else None
    if exists and proposal.aliases:
        notes = (*notes, _spellings(proposal, f"{ALIASES} exists and was left alone"))
    elif named:
        write_atomically(csv, aliases_csv(proposal.aliases))
        written.append(csv)
    write_atomically(path, new_playbook(replace(proposal, aliases=() if exists else proposal.aliases), named))
    return Result(proposal, proposal.entries, tuple(written), notes)


def _write_more(path: Path, existing: LoadedPlaybook, proposal: Proposal, notes: tuple[str, ...]) -> Result:
    data = path.read_bytes()
    text = data.decode("utf-8-sig")
    mark = "\ufeff" if data.startswith(b"\xef\xbb\xbf") else ""
    playbook = existing.playbook
    begun = any(getattr(playbook, store) is not None for store in ("postgres", "neo4j", "qdrant"))
    empty = not any(True for _ in playbook.rules())
    stores = [s for s in proposal.stores if not begun or empty or getattr(playbook, s) is not None]
    for store in proposal.stores:
        if store not in stores:
            notes = (*notes, f"{store} has a connection and no section: left alone; `{store}: {{}}` has it proposed")
    csv, written, named = path.parent / ALIASES, [], None
    if empty and playbook.tenant.aliases is None and proposal.aliases and not csv.exists():
        named = ALIASES
    elif proposal.aliases:
        notes = (*notes, _spellings(proposal, "no file was changed"))
    if not empty:
        if proposal.untagged:
            notes = (*notes, f"words that seem to mean no tenant: {', '.join(map(repr, proposal.untagged))}")
        proposal = replace(proposal, untagged=())
    merge = Merge(text, proposal)
    merged = merge.result(stores, named, begun=not empty)
    if merged != text:
        if named is not None:
            write_atomically(csv, aliases_csv(proposal.aliases))
            written.append(csv)
        write_atomically(path, mark + merged)
        written.append(path)
    return Result(proposal, tuple(merge.added), tuple(written), notes)


def _spellings(proposal: Proposal, why: str) -> str:
    shown = "; ".join(f"{a.value!r} is {a.tenant!r} ({a.why})" for a in proposal.aliases[:5])
    more = f" and {len(proposal.aliases) - 5} more" if len(proposal.aliases) > 5 else ""
    return f"spellings of tenants that are not in the aliases ({why}): {shown}{more}"
