"""Whether readers have left a collection for its re-keyed copy: the ledger knows, whatever the store looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenure.ledger import Ledger
    from tenure.operations.rekey_points import RekeyPoints


def switch_of(ledger: Ledger, collection: str) -> RekeyPoints | None:
    """Return the switch that took readers away from a collection, or None while they use it."""
    from tenure.operations.rekey_points import RekeyPoints

    try:
        row = ledger.operation(f"qdrant.{RekeyPoints.kind}.{collection}")
    except KeyError:
        return None
    if row.state != "done":
        return None
    return RekeyPoints.model_validate({name: row.body[name] for name in RekeyPoints.model_fields if name in row.body})


def copy_of(ledger: Ledger, collection: str) -> str | None:
    """Return the name of the re-keyed copy of a collection that a plan has, whether readers use it or not, or None."""
    from tenure.operations.rekey_points import RekeyPoints

    try:
        return str(ledger.operation(f"qdrant.{RekeyPoints.kind}.{collection}").body["target"])
    except KeyError:
        return None
