"""`tenure worker`: takes ranges of a run on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from tenure.cli.common import open_session, playbook_option


@click.command()
@playbook_option
@click.option(
    "--threads",
    type=click.IntRange(1, 32),
    default=8,
    show_default=True,
    help="Ranges at once, at most; the run's limits hold over all workers.",
)
@click.option("--once", is_flag=True, help="End with the run, instead of waiting for the next one.")
def worker(playbook: Path, threads: int, once: bool) -> None:
    """Take ranges of a run that `tenure apply --fanout` started, on this machine.

    Start as many as there are machines, before or during the run, each with the run's playbook; the stores are reached
    from here, so give this machine's own addresses. Ctrl-C or SIGTERM ends it in order: the batches in hand are
    finished, and its ranges go to others. Exit code 0 then, 3 when playbook or version are not the run's, 2 without
    the extra `fanout`, 5 when a store could not be reached.
    """
    from tenure.cli.signals import stopping
    from tenure.fanout.queue import require
    from tenure.runner.context import StopSignal

    require()
    from tenure.fanout.worker import Worker

    stop = StopSignal()
    with open_session(playbook) as session, stopping(stop):
        Worker(session, threads=threads, once=once, signal=stop, say=_say).run()


def _say(text: str) -> None:
    click.echo(f"worker: {text}", err=True)
