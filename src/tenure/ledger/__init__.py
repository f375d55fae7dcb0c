"""tenure's own tables, schema `tenure` in the user's Postgres: what was planned, what is done, what rollback needs."""

from tenure.ledger.ledger import Ledger, RangeRow, RunRow

__all__ = ["Ledger", "RangeRow", "RunRow"]
