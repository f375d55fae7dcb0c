"""Gives quarantined items to a tenant, in all stores: what people decided, and what follows from it."""

from tenure.release.release import release
from tenure.release.values import Released, Request

__all__ = ["Released", "Request", "release"]
