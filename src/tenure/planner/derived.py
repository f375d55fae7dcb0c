"""What is derived from keyed rows and stored: materialized views that show the key are stale after the backfill."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import TopologicalSorter

from tenure.attribution.build import RowRules
from tenure.catalog.postgres import PostgresCatalog, View
from tenure.operations.refresh_view import RefreshView
from tenure.values import TableName


def refreshes(catalog: PostgresCatalog, built: RowRules) -> Iterator[RefreshView]:
    """Yield a refresh for each materialized view that shows the key and that readers need not stop for."""
    for view in stale(catalog, built):
        if refreshable(view):
            name = TableName(schema_name=view.schema_name, name=view.name)
            yield RefreshView(object=view.display, view=name, planned=1)


def stale(catalog: PostgresCatalog, built: RowRules) -> list[View]:
    """Return the materialized views whose contents the backfill changes, those that others read first.

    They read the key of a keyed table, directly or through other views; where they do not, a new value of the key
    changes nothing in them, whatever they mix.
    """
    views = {view.display: view for view in catalog.views}
    reads = {name: [other for other in view.depends_on if other in views] for name, view in sorted(views.items())}
    shows: dict[str, View] = {}
    for name in TopologicalSorter(reads).static_order():
        view = views[name]
        keyed = any(other in built.rules or other in shows for other in view.depends_on)
        if keyed and built.key.name in view.definition:
            shows[name] = view
    return [view for view in shows.values() if view.materialized]


def refreshable(view: View) -> bool:
    """Return whether it can be refreshed beside its readers: a valid unique index on columns, without a predicate."""
    return any(
        index.unique and index.valid and index.predicate is None and None not in index.columns for index in view.indexes
    )
