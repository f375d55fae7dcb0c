"""The evidence report: one HTML file that opens offline and prints, made of what `evidence` gathered."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tenure.report.evidence import Evidence, gather
from tenure.report.html_done import done_section, events_section, progress_section
from tenure.report.html_found import bins_section, drift_section, findings_section, matrix_section, probes_section
from tenure.report.markup import Markup, joined, raw, tag

if TYPE_CHECKING:
    from tenure.checks import Report
    from tenure.session import Session

# Nothing may be loaded from anywhere: the file says so to the browser too.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def write_evidence(session: Session, report: Report, path: Path, *, mask: bool = False) -> None:
    """Write the evidence for *report*, which *session* has just given, to *path*.

    With *mask* samples and quoted values are left out. Errors: OSError when the file cannot be written, and what the
    stores raise.
    """
    text = evidence_html(gather(session, report, mask=mask))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def evidence_html(evidence: Evidence) -> str:
    """Return the report as one self-contained document. Pure: the same evidence gives the same text."""
    sections = [section for section in _sections(evidence) if section[2]]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{evidence.title}: {evidence.addresses.get('postgres', '')}"),
        tag("style", raw(files("tenure.report").joinpath("evidence.css").read_text(encoding="utf-8"))),
    )
    body = tag(
        "body",
        _header(evidence),
        tag("nav", *(tag("a", title, href=f"#{anchor}") for anchor, title, _ in sections)),
        tag("main", *(tag("section", tag("h2", title), content, id=anchor) for anchor, title, content in sections)),
        _footer(evidence),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _sections(evidence: Evidence) -> Iterator[tuple[str, str, Markup]]:
    """Yield anchor, title and content of each section; an empty one is left out."""
    yield "matrix", "Tenants and stores", matrix_section(evidence)
    yield "findings", "Findings", findings_section(evidence)
    yield "probes", "Probes of isolation", probes_section(evidence)
    yield "drift", "Drift before and after", drift_section(evidence)
    yield "bins", "Put aside and released", bins_section(evidence)
    yield "progress", "Progress", progress_section(evidence)
    yield "done", "What was done", done_section(evidence)
    yield "events", "Events of the run", events_section(evidence)


def _header(evidence: Evidence) -> Markup:
    counts = {
        kind: sum(finding.severity == kind for finding in evidence.report.findings)
        for kind in ("error", "warning", "info")
    }
    words = ", ".join(
        f"{counts[kind]} {word}{'' if counts[kind] == 1 else 's'}"
        for kind, word in (("warning", "warning"), ("info", "notice"))
    )
    verdict = (
        tag("p", f"Verified: every item has its tenant ({words})", class_="verdict good")
        if evidence.report.ok
        else tag(
            "p",
            f"Not verified: {counts['error']} error{'' if counts['error'] == 1 else 's'}, {words}",
            class_="verdict bad",
        )
    )
    facts: list[tuple[str, str | Markup]] = [
        *((name, tag("span", address, class_="mono")) for name, address in evidence.addresses.items()),
        ("verified at", f"{evidence.generated:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    run = evidence.run
    if run is not None:
        facts.append(
            (
                "run",
                f"{run.id}, {run.state}, through {run.through or '?'}, begun {run.created_at:%Y-%m-%d %H:%M:%S} UTC",
            )
        )
        if run.allowed:
            facts.append(("hazards allowed", ", ".join(run.allowed)))
    facts += [
        ("plan", tag("span", evidence.plan_hash, class_="mono")),
        ("playbook", tag("span", evidence.playbook_hash, class_="mono")),
        ("tenure", evidence.version),
    ]
    changed = (
        None if evidence.same_playbook else tag("p", "The playbook has changed since this plan was made.", class_="bad")
    )
    return tag(
        "header",
        tag("h1", evidence.title),
        tag("p", "What was decided, done and proven in all stores.", class_="soft"),
        verdict,
        changed,
        tag("dl", *(joined(tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts"),
    )


def _footer(evidence: Evidence) -> Markup:
    masked = " Values of the application are masked." if evidence.masked else ""
    return tag(
        "footer",
        f"Written by tenure {evidence.version} from its ledger and from reads of the stores at "
        f"{evidence.generated:%Y-%m-%d %H:%M:%S} UTC.{masked} This file loads nothing from anywhere.",
    )
