"""`plan(playbook, catalog)`: pure, so that what a run will do can be read, compared and hashed before it does it."""

from tenure.planner.plan import Plan
from tenure.planner.planner import plan

__all__ = ["Plan", "plan"]
