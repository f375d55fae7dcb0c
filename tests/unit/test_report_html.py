"""The evidence report as a document: self-contained, safe against hostile names, masked where asked, complete."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tenure.checks.base import MatrixRow, Report
from tenure.ledger.ledger import RunRow
from tenure.report import html as html_module
from tenure.report.charts import Bar, Line, progress, tenants_by_store, timeline
from tenure.report.evidence import Bin, Done, Evidence
from tenure.report.html import evidence_html
from tenure.report.html_found import said
from tenure.report.markup import joined, tag
from tenure.report.masked import masked_report, masked_text
from tenure.values import Finding

EVIL = "<script>alert(1)</script>\"'><img src=http://evil.example/x onerror=alert(2)>&lt;"
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
# Elements and attributes that make a browser fetch, run or leave something.
ACTIVE = {"script", "img", "iframe", "link", "object", "embed", "form", "base", "image", "use", "video", "audio"}


class Outline(HTMLParser):
    """The elements, attributes and visible text of a document."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.text = ""
        self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.text += data


def finding(id_: str, **fields: Any) -> Finding:
    return Finding.model_validate(
        {"id": id_, "severity": "info", "store": "postgres", "object": "files", "title": "said", **fields}
    )


def evidence(name: str = "files", value: str = "file 3", **changed: Any) -> Evidence:
    """Everything that a report can show, with *name* for what a schema names and *value* for what data hold."""
    document = {
        "phase": "backfill", "store": "postgres", "object": name, "kind": "backfill_rows", "state": "done",
        "description": f"write project_id on the rows of {name}", "hazards": ["TABLE_SCAN"], "note": value,
        "planned": 1500, "changed": 1499, "left": 1, "statements": [f"UPDATE {name} SET project_id = '{value}'"],
    }  # fmt: skip
    report = Report(
        findings=(
            finding("TEN501", severity="error", object=name, title=f"1 is wrong: source 1 says {value}", count=3,
                    sample=({"item": {"id": value}, "reason": f"source 1 says {value}, which is not a tenant"},),
                    remedy=f"INSERT INTO projects (id) VALUES ('{value}')"),
            finding("TEN505", store="cross", object=f"qdrant.{name}", title="2 points without a row", sample=(value,)),
            finding("TEN508", object=name, title="8 probes as a, b: nothing was seen"),
        ),
        matrix=(
            MatrixRow(tenant=value, postgres={name: 1234}, neo4j={name: 7}, qdrant={name: 9}),
            MatrixRow(tenant="(quarantine)", postgres={name: 1}, neo4j={name: 0}, qdrant={name: 0}),
        ),
    )  # fmt: skip
    given: dict[str, Any] = {
        "report": report,
        "generated": NOW,
        "version": "0.1.0",
        "addresses": {"postgres": f"host:5432/{name}"},
        "playbook_hash": "b" * 64,
        "plan_hash": "a" * 64,
        "run": RunRow(4, "a" * 64, "b" * 64, {}, "done", value, "constrain", ["NEEDS_FENCE"], NOW, NOW),
        "operations": [
            Done(document, NOW, NOW + timedelta(seconds=12)),
            Done({**document, "phase": "cutover", "state": "waiting", "planned": None}, None, None),
        ],
        "progress": [("postgres", NOW + timedelta(seconds=s), 500) for s in (2, 5, 12)],
        "bins": [Bin("postgres", name, 11, 1, [({"id": value}, f"source 1 says {value}", None)])],
        "drift": [(f"qdrant.{name}", 4, 2)],
        "events": [("start", name, value, NOW)],
        **changed,
    }
    return Evidence(**given)


def test_it_loads_nothing_and_runs_nothing() -> None:
    found = Outline(evidence_html(evidence()))
    assert not ACTIVE & set(found.tags)
    assert not found.open
    loading = ("src", "srcset", "style", "action")
    assert not [name for name, _ in found.attributes if name.startswith("on") or name in loading]
    assert all((value or "").startswith("#") for name, value in found.attributes if name in ("href", "xlink:href"))
    assert "url(" not in found.style
    assert "@import" not in found.style
    policy = next(value for _, value in found.attributes if value and "default-src" in value)
    assert policy.startswith("default-src 'none'")


def test_names_and_values_stay_text_wherever_they_turn_up() -> None:
    text = evidence_html(evidence(EVIL, EVIL))
    found = Outline(text)
    plain = Outline(evidence_html(evidence()))
    assert found.tags == plain.tags
    assert [name for name, _ in found.attributes] == [name for name, _ in plain.attributes]
    assert found.text.count("<script>alert(1)</script>") > 15
    assert "<script>" not in text


def test_what_would_steer_a_reader_is_spelled_out() -> None:
    text = evidence_html(evidence("a\u202eb\x00c\x1b[31m", "x"))
    assert "\u202e" not in text
    assert "\\u202e" in text
    assert "\\x00" in text
    assert "\x1b" not in text


def test_secrets_are_masked_everywhere() -> None:
    assert "hunter2" not in evidence_html(evidence("postgresql://app:hunter2@host/db", "password=hunter2"))


def test_it_says_what_was_found_done_and_proven() -> None:
    text = Outline(evidence_html(evidence())).text
    for said_ in (
        "Not verified: 1 error, 0 warnings, 2 notices", "host:5432/files", "a" * 64, "b" * 64, "NEEDS_FENCE",
        "2026-03-04 05:06:07", "1,234", "write project_id on the rows of files", "UPDATE files SET", "12.0 s", "1,499",
        "8 probes as a, b", "held", "4", "11", "TEN501", "INSERT INTO projects", "No item of neo4j is (quarantine).",
    ):  # fmt: skip
        assert said_ in text, said_
    green = evidence(report=Report(matrix=evidence().report.matrix))
    assert "Verified: every item has its tenant (0 warnings, 0 notices)" in Outline(evidence_html(green)).text
    assert "The playbook has changed" in Outline(evidence_html(evidence(same_playbook=False))).text


def test_it_is_the_same_for_the_same_evidence_and_needs_no_run() -> None:
    assert evidence_html(evidence()) == evidence_html(evidence())
    bare = replace(evidence(), run=None, operations=(), progress=(), bins=(), drift=(), events=())
    assert "What was done" not in Outline(evidence_html(bare)).text


def test_masking_leaves_counts_and_objects_and_takes_values() -> None:
    report = masked_report(evidence(value="Ana Maria").report)
    text = str([finding.model_dump() for finding in report.findings])
    assert "Ana Maria" not in text
    assert report.findings[0].sample == ({"item": {"id": "***"}, "reason": "source 1 says ***, which is not a tenant"},)
    assert report.findings[0].remedy == "INSERT INTO projects (id) VALUES ('***')"
    assert (report.findings[0].object, report.findings[0].count) == ("files", 3)
    assert masked_report(report) == report


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("source 1 says a, source 2 says b (4); no source has a value (2)",
         "source 1 says ***, source 2 says *** (4); no source has a value (2)"),
        ("the existing key x, y is not a tenant", "the existing key *** is not a tenant"),
        ("the existing key is x, the sources say y", "the existing key is ***, the sources say ***"),
        ("the existing key x is kept", "the existing key *** is kept"),
        ("3 items have a key that differs", "3 items have a key that differs"),
        ("nearest to others' points, the tenant's own", "nearest to others' points, the tenant's own"),
    ],
)  # fmt: skip
def test_masked_sentences_still_say_what_happened(text: str, masked: str) -> None:
    assert masked_text(text) == masked


def test_bars_are_as_long_as_their_share_and_small_tenants_are_folded() -> None:
    drawn = Outline(tenants_by_store({"postgres": {"a": 30, "b": 10}, "qdrant": {"a": 1, "b": 1}, "neo4j": {}}))
    widths = [float(value or 0) for name, value in drawn.attributes if name == "width"]
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.01)
    assert widths[2] == pytest.approx(widths[3], rel=0.01)
    assert len(widths) == 4
    many = {f"t{number}": 100 - number for number in range(40)}
    drawn = Outline(tenants_by_store({"postgres": {**many, "(quarantine)": 2}}))
    assert len([name for name, _ in drawn.attributes if name == "width"]) == 9
    assert "(others)" in drawn.text
    assert "(quarantine)" in drawn.text


def test_charts_of_nothing_are_nothing_and_of_an_instant_are_drawn() -> None:
    assert tenants_by_store({}) == progress([]) == timeline([]) == ""
    assert "path" in Outline(progress([Line("postgres", "postgres", [(0.0, 0.0), (0.0, 1.0)])])).tags
    assert "rect" in Outline(timeline([Bar("x", "postgres", 0.0, 0.0, "")])).tags


def test_samples_read_as_words() -> None:
    ends = {"start": {"label": "Code", "property": "name", "value": "x"}, "end": None}
    assert said({"item": ends, "key": "a", "reason": ""}) == "(Code x) → ? — key: a"
    assert said({"item": {"id": 3, "n": None}, "reason": "no source"}) == "id: 3 — no source"
    assert said("plain") == "plain"
    assert said({"item": "x", "tenants": ["a", "b"]}) == "x — tenants: a, b"


def test_markup_escapes_children_and_attributes_and_keeps_markup() -> None:
    inner = tag("b", "<&>", title='"<')
    assert inner == '<b title="&quot;&lt;">&lt;&amp;&gt;</b>'
    assert tag("p", inner, None, 3, hidden=True, lang=None, class_="c") == f'<p hidden class="c">{inner}3</p>'
    assert joined("<", inner) == f"&lt;{inner}"


def test_the_style_sheet_is_in_the_package() -> None:
    assert (Path(html_module.__file__).parent / "evidence.css").is_file()
