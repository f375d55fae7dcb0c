"""`tenure demo`: everything, on real embedded servers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tenure.cli.apply import PHASES
from tenure.cli.common import json_option
from tenure.cli.failures import FAILED, print_json
from tenure.cli.reports import report_option
from tenure.values import Phase

if TYPE_CHECKING:
    from tenure.checks import Report
    from tenure.demo.run import Addresses, DemoResult
    from tenure.planner.plan import Plan
    from tenure.runner.context import Reporter, StopSignal

KEPT = "tenure-demo"


@click.command()
@click.option(
    "--scale", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="1 is 2,000 fragments."
)
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed gives other data of the same shape.")
@click.option("--neo4j-version", metavar="VERSION", help="Such as 5.26.30 or 2026.09.0.")
@click.option(
    "--keep",
    is_flag=False,
    flag_value=KEPT,
    default=None,
    metavar="[DIR]",
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Keep the servers running to look at, and their data in DIR [{KEPT}].",
)
@click.option(
    "--through", type=click.Choice(PHASES), default=str(Phase.CONSTRAIN), show_default=True, help="The last phase."
)
@report_option
@json_option
def demo(
    scale: float,
    seed: int,
    neo4j_version: str | None,
    keep: Path | None,
    through: str,
    evidence: Path | None,
    as_json: bool,
) -> None:
    """Start Postgres, Neo4j and Qdrant, load an example application, and make it project-scoped.

    The first time downloads Neo4j's jars. Exit code 0 only when verify is green, no item is left without its project
    and every item that was loaded is still there.
    """
    from tenure.cli.logs import log_to_stderr
    from tenure.demo.run import DemoOptions, demo_servers, run_demo

    log_to_stderr()
    options = DemoOptions(scale=scale, seed=seed, neo4j_version=neo4j_version, directory=keep, through=Phase(through))
    with demo_servers(options) as (_, addresses):
        result = run_demo(options, addresses, Narrator())
        if evidence is not None or keep is not None:
            _write_report(result, addresses, evidence or Path(f"{keep}", "report.html"))
        if as_json:
            print_json(demo_document(result, addresses))
        else:
            _show(result)
        if keep is not None:
            _hold(keep, addresses)
    if not result.ok:
        raise click.exceptions.Exit(FAILED)


class Narrator:
    """Tells a person at a terminal what happens, on stderr."""

    def say(self, text: str) -> None:
        """Print a sentence, with room above it."""
        from rich.console import Console

        Console(stderr=True, highlight=False, markup=False).print(f"\n{text}")

    def inspected(self, report: Report) -> None:
        """Print how many findings there are, and the errors."""
        from rich.console import Console

        from tenure.report.text import findings_table

        counts = {kind: sum(f.severity == kind for f in report.findings) for kind in ("error", "warning", "info")}
        self._line(f"{counts['error']} errors, {counts['warning']} warnings, {counts['info']} notices")
        errors = [finding for finding in report.findings if finding.severity == "error"]
        Console(stderr=True, highlight=False, markup=False).print(findings_table(errors or report.findings, 2))

    def planned(self, plan: Plan) -> None:
        """Print how many operations each phase has."""
        for phase in Phase:
            operations = plan.of_phase(phase)
            waiting = sum(1 for operation in operations if operation.waiting)
            if operations:
                late = f", {waiting} of them for later" if waiting else ""
                self._line(f"{phase}: {len(operations)} operations{late}")
        self._line(f"plan {plan.hash[:16]}")

    @contextmanager
    def progress(self) -> Iterator[tuple[Reporter, StopSignal]]:
        """Lend bars or lines on stderr, and a signal that Ctrl-C and SIGTERM set."""
        from tenure.cli.progress import reporter
        from tenure.cli.signals import stopping
        from tenure.runner.context import StopSignal

        stop = StopSignal()
        with reporter() as shown, stopping(stop):
            yield shown, stop

    def _line(self, text: str) -> None:
        click.echo(f"  {text}", err=True)


def demo_document(result: DemoResult, addresses: Addresses) -> dict[str, Any]:
    """Return the demo's outcome as JSON data."""
    from tenure.cli.apply import applied_document

    return {
        **applied_document(result.applied, decides=True),
        "ok": result.ok,
        "untagged": result.untagged,
        "lost": {name: list(counts) for name, counts in result.lost.items()},
        "seconds": result.seconds,
        "peak_mb": result.peak_mb,
        "addresses": addresses.environment(),
    }


def _show(result: DemoResult) -> None:
    from tenure.cli.apply import show_applied
    from tenure.report.text import clean, stdout_console

    show_applied(result.applied, decides=True)
    console = stdout_console()
    steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in result.seconds.items())
    peak = "" if result.peak_mb is None else f"; tenure's own memory peaked at {result.peak_mb:.0f} MB"
    console.print(f"\n{steps}{peak}.")
    for name, (loaded, found) in result.lost.items():
        console.print(f"{clean(name)}: {loaded:,} items were loaded and {found:,} are there.")
    if result.ok:
        console.print("No item is without its project, and every item that was loaded is still there.")
    elif result.untagged:
        console.print(f"{result.untagged:,} items are without their project.")


def _write_report(result: DemoResult, addresses: Addresses, path: Path) -> None:
    from tenure.cli.reports import write_report
    from tenure.demo.example import directory as example
    from tenure.demo.run import PLAYBOOK
    from tenure.playbook import load_playbook
    from tenure.session import Session

    with Session(load_playbook(example() / PLAYBOOK, environment=addresses.environment())) as session:
        write_report(session, result.applied.report, path)


def _hold(directory: Path, addresses: Addresses) -> None:
    """Keep the servers until Ctrl-C or SIGTERM, which end the demo in order."""
    import threading

    click.echo("\nThe servers keep running until Ctrl-C. To look at them with tenure in another terminal:", err=True)
    for name, value in addresses.environment().items():
        click.echo(f"  export {name}='{value}'", err=True)
    from tenure.demo.example import directory as example

    click.echo(f"  tenure status -f {example() / 'tenure.yaml'}", err=True)
    click.echo(f"Their data stay in {directory.absolute()}.", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        click.echo("Stopping the servers.", err=True)
