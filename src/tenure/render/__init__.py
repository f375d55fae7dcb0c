"""Turns a plan into files that people read and run by hand."""

from tenure.render.files import render

__all__ = ["render"]
