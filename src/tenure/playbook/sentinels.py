"""Reserved tenants: what quarantined and shared items carry in place of a real tenant."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Literal

TenantType = Literal["text", "uuid", "bigint"]

BIGINT_MIN = -(2**63)
BIGINT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Sentinels:
    """The two reserved tenants of one key type, as text; no registry may contain them.

    For uuid they are the RFC 9562 Max and Nil values, for bigint the least value and 0.
    """

    quarantine: str
    shared: str

    @classmethod
    def for_type(cls, type: TenantType) -> Sentinels:
        """Return the sentinels of keys of *type* (``text``, ``uuid`` or ``bigint``)."""
        return _BY_TYPE[type]

    @property
    def reserved(self) -> frozenset[str]:
        """Both sentinels."""
        return frozenset((self.quarantine, self.shared))

    def __contains__(self, tenant: object) -> bool:
        """Tell whether *tenant* (text) is reserved."""
        return tenant in (self.quarantine, self.shared)


_BY_TYPE: dict[TenantType, Sentinels] = {
    "text": Sentinels("__quarantine__", "__shared__"),
    "uuid": Sentinels("ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-0000-0000-000000000000"),
    "bigint": Sentinels(str(BIGINT_MIN), "0"),
}


def tenant_problem(tenant: str, type: TenantType) -> tuple[str, str] | None:
    """Return problem and remedy if *tenant* cannot be a tenant of *type*: reserved, or not written as the database
    writes it; None if it can."""
    if tenant in Sentinels.for_type(type):
        return f"{tenant!r} is reserved by tenure.", "Name a tenant of the registry."
    if type == "uuid":
        try:
            canonical = str(uuid.UUID(tenant))
        except ValueError:
            return f"{tenant!r} is not a uuid, and `tenant.type` is uuid.", "Name a tenant of the registry."
        if canonical != tenant:
            return f"{tenant!r} is not how Postgres writes this uuid.", f"Write {canonical}."
    if type == "bigint":
        number = int(tenant) if tenant.removeprefix("-").isascii() and tenant.removeprefix("-").isdigit() else None
        if number is None or str(number) != tenant or not BIGINT_MIN <= number <= BIGINT_MAX:
            return f"{tenant!r} is not a bigint, and `tenant.type` is bigint.", "Name a tenant of the registry."
    return None
