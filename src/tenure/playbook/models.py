"""The playbook: what is keyed, where each key comes from, and how the stores are reached."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    field_validator,
    model_validator,
)

from tenure.playbook.base import (
    Frozen,
    PlaybookPath,
    Problems,
    Seconds,
    Text,
    Where,
    problem,
)
from tenure.playbook.connections import Connections
from tenure.playbook.limits import Limits
from tenure.playbook.policy import Assign, Defaults, Policy
from tenure.playbook.rules import CollectionRule, NodeRule, RelationshipRule, Rule, TableRule
from tenure.playbook.sentinels import Sentinels, TenantType, tenant_problem
from tenure.playbook.sources import Constant


class Registry(Frozen):
    """The table and column that list the tenants that exist."""

    table: Text
    column: Text


def _without_nulls(value: Any) -> Any:
    # Null always means "no tenant yet"; naming it is harmless.
    return [item for item in value if item is not None] if isinstance(value, list | tuple) else value


def _untagged(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise problem("this is neither text nor a whole number.", "Put the value in quotes.")
    return value


Untagged = Annotated[str | int, PlainValidator(_untagged, json_schema_input_type=str | int)]


class Tenant(Frozen):
    """The tenant key: its name in all stores, its type, and where the tenants are listed."""

    key: Annotated[Text, Field(max_length=63)] = "project_id"
    """Name of the column, property and payload field."""
    type: TenantType = "text"
    """Type of the key column; a bigint key is a string in Qdrant."""
    registry: Registry
    """The table that lists the tenants that exist."""
    aliases: PlaybookPath | None = None
    """CSV file with the header value,tenant; applied to what every source gives."""
    untagged: Annotated[
        tuple[Untagged, ...], BeforeValidator(_without_nulls, json_schema_input_type=list[str | int | None])
    ] = ()
    """Values of an existing key that mean "no tenant yet"; null always does."""

    @property
    def sentinels(self) -> Sentinels:
        """The reserved tenants of this key type."""
        return Sentinels.for_type(self.type)

    @field_validator("key")
    @classmethod
    def _plain_key(cls, value: str) -> str:
        if any(character in value for character in ".[]\"'`") or len(value.encode()) > 63:
            raise problem(
                f"{value!r} cannot be a key in all three stores.",
                "Use a name without dots, brackets and quotes, of at most 63 bytes, such as project_id.",
            )
        return value


class GraphRules(Frozen):
    """Rules by label and by relationship type."""

    nodes: dict[Text, NodeRule] = Field(default_factory=dict)
    """Rules by label."""
    relationships: dict[Text, RelationshipRule] = Field(default_factory=dict)
    """Rules by relationship type."""


class RowSecurity(Frozen):
    """Row-level security for the application's *role*, which names its tenant in *setting*."""

    role: Text
    """The application's role."""
    setting: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*\.[A-Za-z_]\w*$")] = "app.project_id"
    """The setting that holds the tenant of a session."""
    force: bool = True
    """Whether the tables' owner is bound too."""


def _words(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError as error:
        raise problem(f"the command cannot be read: {error}.", "Close its quotes, or write it as a list.") from None


Command = Annotated[
    tuple[Text, ...],
    Field(min_length=1),
    BeforeValidator(_words, json_schema_input_type=Annotated[str, Field(min_length=1)] | list[str]),
]


class Hooks(Frozen):
    """Commands that stop and restart the application's writers at cutover, run without a shell in the playbook's
    directory; each may take *timeout* seconds, and what lies between them *window*."""

    fence: Command
    """Stops the writers."""
    unfence: Command
    """Restarts them."""
    timeout: Seconds = 60.0
    """How long each may take: 500ms, 10s, 2min, or seconds."""
    window: Seconds = 900.0
    """How long the writers may stand still; what is not done by then is taken back: 10min, or seconds."""


class Playbook(Frozen):
    """The whole playbook; a store without a section is left alone."""

    version: Literal[1]
    """The version of the format."""
    tenant: Tenant
    """The tenant key."""
    connections: Connections
    """How the stores are reached."""
    defaults: Defaults = Defaults()
    """What holds for objects that do not say otherwise."""
    postgres: dict[Text, TableRule] | None = None
    """Rules by table; `schema.table` outside public."""
    neo4j: GraphRules | None = None
    """Rules by label and relationship type."""
    qdrant: dict[Text, CollectionRule] | None = None
    """Rules by collection."""
    row_security: RowSecurity | None = None
    """Row-level security, only where asked for."""
    hooks: Hooks | None = None
    """Commands that fence off the writers at cutover."""
    limits: Limits = Limits()
    """How hard the run may press."""

    # Where the file is: hooks run there, local-mode directories are relative to it. Not part of the playbook's meaning.
    _directory: Path = PrivateAttr(default=Path())

    @property
    def directory(self) -> Path:
        """The directory of the playbook's file; the current one for a playbook built in code."""
        return self._directory

    def policy(self, rule: Rule) -> Policy:
        """Return the policy of *rule* with the playbook's defaults filled in."""
        return Policy(
            unassigned=rule.unassigned or self.defaults.unassigned,
            conflict=rule.conflict or self.defaults.conflict,
            existing=rule.existing or self.defaults.existing,
        )

    def rules(self) -> Iterator[tuple[Where, Rule]]:
        """Yield every rule with the keys that lead to it, such as ``("neo4j", "nodes", "Codigo")``."""
        for name, table in (self.postgres or {}).items():
            yield ("postgres", name), table
        graph = self.neo4j or GraphRules()
        for name, node in graph.nodes.items():
            yield ("neo4j", "nodes", name), node
        for name, relationship in graph.relationships.items():
            yield ("neo4j", "relationships", name), relationship
        for name, collection in (self.qdrant or {}).items():
            yield ("qdrant", name), collection

    def digest(self) -> str:
        """Return the sha256 of what the playbook means: without connections and secrets, without how hard a run may
        press, with the content of the CSV files it names in place of their paths, so that it is the same on every
        machine."""
        meaning = self.model_dump(mode="python", by_alias=True, exclude={"connections", "limits"})

        def plain(value: Any) -> Any:
            if isinstance(value, Path):
                return {"sha256": hashlib.sha256(value.read_bytes()).hexdigest()}
            raise TypeError(f"{type(value).__name__} has no canonical form")

        text = json.dumps(meaning, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=plain)
        return hashlib.sha256(text.encode()).hexdigest()

    @model_validator(mode="after")
    def _consistent(self) -> Playbook:
        problems = Problems()
        for store in ("neo4j", "qdrant"):
            if getattr(self, store) is not None and getattr(self.connections, store) is None:
                problems.add(
                    (store,),
                    f"there are rules for {store}, but no connection.",
                    f"Add `connections: {store}: {{url: ...}}`.",
                )
        if self.defaults.unassigned is not None:
            self._check_assign(problems, ("defaults",), self.defaults)
        for where, rule in self.rules():
            self._check_assign(problems, where, rule)
            for index, source in enumerate(rule.sources):
                if isinstance(source, Constant):
                    self._check_tenant(problems, (*where, *rule.where_source(index), "constant"), source.constant)
        problems.raise_any()
        return self

    def _check_assign(self, problems: Problems, where: Where, owner: Rule | Defaults) -> None:
        if isinstance(owner.unassigned, Assign):
            self._check_tenant(problems, (*where, "unassigned", "assign"), owner.unassigned.tenant)

    def _check_tenant(self, problems: Problems, where: Where, tenant: str) -> None:
        found = tenant_problem(tenant, self.tenant.type)
        if found is not None:
            problems.add(where, *found)
