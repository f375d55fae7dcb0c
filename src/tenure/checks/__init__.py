"""Checks: one file each, a stable id each; inspect and verify are lists of them."""

from tenure.checks.base import Check, MatrixRow, Report, View
from tenure.checks.drift import drift_baseline
from tenure.checks.inspect import inspect
from tenure.checks.verify import verify
from tenure.checks.view import bare_view

__all__ = ["Check", "MatrixRow", "Report", "View", "bare_view", "drift_baseline", "inspect", "verify"]
