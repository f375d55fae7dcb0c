"""The attribution of one object, resolved against the catalog: all that running it needs, and no connection."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tenure.values import Frozen, TableName, TenantKey

Bin = Literal["assigned", "unassigned", "conflict", "shared", "quarantine"]


class Policy(Frozen):
    """What is done with items that no source knows, that sources disagree on, or whose existing key differs.

    `assign` is the tenant of `unassigned == "assign"`.
    """

    unassigned: Literal["fail", "quarantine", "shared", "assign", "keep_null"] = "fail"
    conflict: Literal["fail", "quarantine", "first"] = "fail"
    existing: Literal["conflict", "keep", "rederive"] = "conflict"
    assign: str | None = None


class ConstantSource(Frozen):
    """One tenant for all."""

    form: Literal["constant"] = "constant"
    value: str


class ColumnSource(Frozen):
    """A column, property or payload field of the item itself; nested payload fields are written with dots."""

    form: Literal["field"] = "field"
    name: str


class SqlSource(Frozen):
    """An SQL expression over the row `t`."""

    form: Literal["sql"] = "sql"
    expression: str


class ParentSource(Frozen):
    """The key of another table's row. `unique`: at most one row matches; `indexed`: an index leads with its columns."""

    form: Literal["parent"] = "parent"
    table: TableName
    match: tuple[tuple[str, str], ...]
    unique: bool
    indexed: bool


class MappingSource(Frozen):
    """A lookup of the field `match` in the ledger's mapping `name` (from a CSV), or in a table of the user's."""

    form: Literal["mapping"] = "mapping"
    match: str
    name: str = ""
    table: TableName | None = None
    value_column: str = ""
    tenant_column: str = ""


class RowSource(Frozen):
    """The key of the Postgres row whose `column` equals the item's `match` (None: its identity, or point id)."""

    form: Literal["row"] = "row"
    table: TableName
    column: str
    column_type: str
    match: str | None = None
    unique: bool


class EndRowsSource(Frozen):
    """The key of the Postgres row whose two columns hold the identities of a relationship's ends."""

    form: Literal["end_rows"] = "end_rows"
    table: TableName
    start_column: str
    end_column: str


class NeighboursSource(Frozen):
    """The tenants of a node's relationships of these types, or of the nodes at their other ends."""

    form: Literal["neighbours"] = "neighbours"
    types: tuple[str, ...]


class EndsSource(Frozen):
    """The one tenant that both ends of a relationship have in common."""

    form: Literal["ends"] = "ends"


TableSource = Annotated[
    ConstantSource | ColumnSource | SqlSource | ParentSource | MappingSource, Field(discriminator="form")
]
ItemSource = Annotated[
    ConstantSource | ColumnSource | RowSource | EndRowsSource | NeighboursSource | EndsSource,
    Field(discriminator="form"),
]


class RowRule(Frozen):
    """How the tenant of the rows of one table is decided.

    `key_exists`: the table had the key column before tenure came, so what is in it takes part (`existing`).
    `primary_key` may be empty; rows are then journalled and listed by their whole content.
    """

    key: TenantKey
    table: TableName
    primary_key: tuple[str, ...]
    sources: tuple[TableSource, ...]
    policy: Policy
    key_exists: bool = False

    def constant(self) -> str | None:
        """Return the tenant of every row when nothing has to be looked at, else None."""
        first = self.sources[0]
        alone = len(self.sources) == 1 and not self.key_exists
        return first.value if alone and isinstance(first, ConstantSource) else None


class ItemRule(Frozen):
    """How the tenant of nodes, relationships or points is decided: the same order, run in the process."""

    key: TenantKey
    sources: tuple[ItemSource, ...]
    policy: Policy
