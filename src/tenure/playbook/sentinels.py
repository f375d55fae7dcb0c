"""Reserved tenants: what quarantined and shared items carry in place of a real tenant."""

from __future__ import annotations

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
