"""Checks: one file each, a stable id each; inspect and verify are lists of them."""

from tenure.checks.base import Check, MatrixRow, Report, View
from tenure.checks.inspect import inspect
from tenure.checks.verify import verify

__all__ = ["Check", "MatrixRow", "Report", "View", "inspect", "verify"]
