"""Warnings of tenure and its drivers on stderr: one masked line each."""

from __future__ import annotations

import logging

import click

from tenure.masking import mask_secrets

# The server's hints on queries (a label that does not exist yet, say) are for whoever writes them, not who runs them.
_CHATTER = ("neo4j.notifications",)


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Through click, which asks for stderr each time: while bars are shown it is theirs.
        click.echo(f"{record.name.partition('.')[0]}: {mask_secrets(' '.join(record.getMessage().split()))}", err=True)


def log_to_stderr() -> None:
    """Send warnings there, once per process; whoever has configured logging already is left alone."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(_Lines(logging.WARNING))
    for name in _CHATTER:
        logging.getLogger(name).setLevel(logging.ERROR)
