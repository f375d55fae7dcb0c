"""Proposes a playbook for any schema: evidence is gathered from the stores, decided in memory, written as YAML."""

from __future__ import annotations

from tenure.propose.compose import propose
from tenure.propose.evidence import Evidence
from tenure.propose.gathering import Wish, gather
from tenure.propose.proposal import Alias, Entry, Proposal

__all__ = ["Alias", "Entry", "Evidence", "Proposal", "Wish", "gather", "propose"]
