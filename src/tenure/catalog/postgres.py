"""What introspection found in Postgres, as frozen values.

Texts that Postgres made (definitions, types, defaults, expressions) were made with an empty search path: every name
in them that is not of pg_catalog is qualified, so they mean the same in any session.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, Literal

from tenure.catalog.value import Value, display_name


class Column(Value):
    """One column of a table.

    `nullable` is False only where a *validated* NOT NULL proves it (from Postgres 18 on one may be NOT VALID).
    `base_type` is what a domain stands for, and `type` itself otherwise; `generation` the expression of a generated
    column; `sequence` says that values come from one, by identity or by default; `collation` None is the type's own.
    `id_versions` are, for a primary key of one uuid or text column, the UUID versions among a thousand of its values
    ("" stands for what is no UUID): name-based ones (3 and 5) repeat when their names do.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"id_versions"})

    name: str
    type: str
    nullable: bool = True
    default: str | None = None
    identity: bool = False
    generated: Literal["", "stored", "virtual"] = ""
    generation: str | None = None
    text_like: bool = False
    uuid_like: bool = False
    integer_like: bool = False
    sequence: bool = False
    base_type: str = ""
    collation: str | None = None
    id_versions: tuple[str, ...] = ()


class Index(Value):
    """One index of a table, a partitioned table or a materialized view.

    `columns` are the key columns (None stands for an expression), `include` the others; `parts` is one text per key
    column as CREATE INDEX takes it, with collation, operator class and order where they are not the default;
    `expressions` are the texts of the key columns that are expressions; `options` are storage parameters
    (`fillfactor=70`). `constraint` is the name of the constraint that owns the index, `parent` the index of the
    partitioned table it is attached to; `operators` are an exclusion constraint's, one per key column.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"size_bytes"})

    name: str
    schema_name: str = "public"
    definition: str = ""
    columns: tuple[str | None, ...] = ()
    include: tuple[str, ...] = ()
    unique: bool = False
    primary: bool = False
    valid: bool = True
    ready: bool = True
    method: str = "btree"
    predicate: str | None = None
    expressions: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    nulls_not_distinct: bool = False
    constraint: str | None = None
    constraint_definition: str | None = None
    deferrable: bool = False
    initially_deferred: bool = False
    exclusion: bool = False
    operators: tuple[str, ...] = ()
    on_partitioned: bool = False
    parent: str | None = None
    replica_identity: bool = False
    size_bytes: int = 0


class ForeignKey(Value):
    """One foreign key. `ref_table` is the display name; `inherited` ones belong to the partitioned table's own key."""

    name: str
    columns: tuple[str, ...]
    ref_table: str
    ref_columns: tuple[str, ...]
    on_delete: str = "NO ACTION"
    on_update: str = "NO ACTION"
    match: Literal["SIMPLE", "FULL", "PARTIAL"] = "SIMPLE"
    set_columns: tuple[str, ...] = ()
    deferrable: bool = False
    initially_deferred: bool = False
    validated: bool = True
    enforced: bool = True
    inherited: bool = False
    ref_index: str | None = None
    definition: str = ""


class Check(Value):
    """One check constraint; `not_null_column` is the column when all it says is `column IS NOT NULL`."""

    name: str
    definition: str = ""
    validated: bool = True
    enforced: bool = True
    inherited: bool = False
    not_null_column: str | None = None


class Trigger(Value):
    """One trigger that a user made.

    `timing` is BEFORE, AFTER or INSTEAD OF; `events` INSERT, UPDATE, DELETE, TRUNCATE; `enabled` origin, disabled,
    replica or always; `function` a display name; `inherited` ones are copies of the partitioned table's own.
    """

    name: str
    function: str
    timing: str = "BEFORE"
    events: tuple[str, ...] = ()
    per_row: bool = True
    enabled: str = "origin"
    when: str | None = None
    definition: str = ""
    update_columns: tuple[str, ...] = ()
    constraint: bool = False
    inherited: bool = False


class Policy(Value):
    """One row-level security policy; `command` is ALL, SELECT, INSERT, UPDATE or DELETE, `roles` may hold `public`."""

    name: str
    permissive: bool = True
    command: str = "ALL"
    roles: tuple[str, ...] = ()
    using: str | None = None
    with_check: str | None = None


class Table(Value):
    """One table. Partitions are tables of their own that name their parent in `partition_of`.

    `row_security_active` says whether policies bind the role that looked; `owned` whether that role may alter the
    table. `estimated_rows` comes from statistics, of a partitioned table as the sum over its leaves; `pages` is the
    heap now.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"estimated_rows", "pages", "size_bytes"})

    schema_name: str = "public"
    name: str
    kind: Literal["table", "partitioned", "foreign"] = "table"
    owner: str = ""
    columns: tuple[Column, ...] = ()
    primary_key: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    policies: tuple[Policy, ...] = ()
    row_security: bool = False
    force_row_security: bool = False
    row_security_active: bool = False
    owned: bool = True
    partition_of: str | None = None
    partition_bound: str | None = None
    partition_key: str | None = None
    partition_columns: tuple[str, ...] = ()
    partitions: tuple[str, ...] = ()
    inherits: tuple[str, ...] = ()
    unlogged: bool = False
    estimated_rows: int = 0
    pages: int = 0
    size_bytes: int = 0
    replica_identity: str = "default"
    publications: tuple[str, ...] = ()
    fillfactor: int = 100

    @property
    def display(self) -> str:
        """The name as playbooks write it."""
        return display_name(self.schema_name, self.name)

    def column(self, name: str) -> Column | None:
        """The column called *name*, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def index(self, name: str) -> Index | None:
        """The index called *name*, or None."""
        return next((index for index in self.indexes if index.name == name), None)

    def unique_on(self, columns: Iterable[str]) -> bool:
        """Whether at most one row (nulls aside) has given values in *columns*.

        That is so when a valid unique index without predicate and expressions has key columns that are all among them.
        """
        wanted = set(columns)
        return any(
            index.unique and index.valid and index.predicate is None and wanted.issuperset(index.columns)
            for index in self.indexes
        )

    def has_index_on(self, columns: Iterable[str]) -> bool:
        """Whether a valid btree index without predicate leads with exactly *columns*, in any order."""
        wanted = set(columns)
        return any(
            index.valid
            and index.method == "btree"
            and index.predicate is None
            and set(index.columns[: len(wanted)]) == wanted
            for index in self.indexes
        )


class View(Value):
    """One view or materialized view. `depends_on` are display names of the tables and views it reads directly."""

    schema_name: str = "public"
    name: str
    materialized: bool = False
    definition: str = ""
    depends_on: tuple[str, ...] = ()
    indexes: tuple[Index, ...] = ()

    @property
    def display(self) -> str:
        """The name as playbooks write it."""
        return display_name(self.schema_name, self.name)


class Function(Value):
    """One function or procedure that no extension owns; `source` is its body."""

    schema_name: str = "public"
    name: str
    identity_arguments: str = ""
    language: str = ""
    source: str = ""
    security_definer: bool = False

    @property
    def display(self) -> str:
        """The name as reports write it."""
        return display_name(self.schema_name, self.name)


class Role(Value):
    """The role that looked, and what it may do."""

    name: str
    superuser: bool = False
    bypasses_rls: bool = False
    can_set_replication_role: bool = False
    can_create_schema: bool = False
    can_create_temp: bool = False


class Slot(Value):
    """One replication slot; `plugin` decodes for a logical one; `retained_bytes` of WAL are kept for it."""

    measured: ClassVar[frozenset[str]] = frozenset({"active", "retained_bytes"})

    name: str
    kind: str
    plugin: str = ""
    active: bool = False
    retained_bytes: int = 0


class PostgresCatalog(Value):
    """Everything that introspection found in one database, but for system schemas, extensions and schema `tenure`.

    `server_version` is the number that the server gives, such as 180006. `btree_gist` says whether that extension,
    without which no GiST index holds a tenant key, is installed, available to the role, or neither.
    """

    measured: ClassVar[frozenset[str]] = frozenset({"slots", "server_version", "btree_gist"})

    server_version: int
    database: str
    role: Role
    tables: tuple[Table, ...] = ()
    views: tuple[View, ...] = ()
    functions: tuple[Function, ...] = ()
    slots: tuple[Slot, ...] = ()
    publications: tuple[str, ...] = ()
    in_recovery: bool = False
    btree_gist: Literal["", "available", "installed"] = ""

    def table(self, display: str) -> Table | None:
        """The table that playbooks call *display* (`name`, or `schema.name` outside public), or None."""
        return next((table for table in self.tables if table.display == display), None)

    def view(self, display: str) -> View | None:
        """The view that reports call *display*, or None."""
        return next((view for view in self.views if view.display == display), None)

    def referencing(self, display: str) -> tuple[tuple[Table, ForeignKey], ...]:
        """Every foreign key that points at the table *display*, with the table that has it."""
        return tuple((table, key) for table in self.tables for key in table.foreign_keys if key.ref_table == display)
