"""Takes the application's data out of findings: what a report says stays, whose item it names does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tenure.masking import MASK

if TYPE_CHECKING:
    from tenure.checks import Report
    from tenure.values import Finding

# Titles and reasons quote what a source says or what a key is; remedies quote it once more, as SQL.
_SAID = re.compile(
    r"(\bsays |\bsources say |\bexisting key is )(.+?)(?=, which |, source \d|, the sources say |; | \(\d|$)", re.DOTALL
)
_KEPT = re.compile(r"(\bexisting key )(?!is )(.+?)(?= is (?:not|kept)\b)", re.DOTALL)
_QUOTED = re.compile(r"(?<!\w)'(?:[^']|'')*'(?!\w)")
# What a sample says about an item in tenure's own words stays: masked, nobody could tell findings apart.
_OWN_WORDS = frozenset({"bin", "kind", "store", "object", "label", "property", "table", "column", "count"})


def masked_report(report: Report) -> Report:
    """Return *report* with every sample, and every value that titles and remedies quote, replaced by ``***``."""
    return report.model_copy(update={"findings": tuple(masked_finding(finding) for finding in report.findings)})


def masked_finding(finding: Finding) -> Finding:
    """Return a finding without the application's values; counts, objects and tenants' counts stay."""
    return finding.model_copy(
        update={
            "title": masked_text(finding.title),
            "remedy": masked_text(finding.remedy),
            "sample": tuple(masked_value(item) for item in finding.sample),
        }
    )


def masked_text(text: str) -> str:
    """Return a sentence of tenure's without the values that it quotes."""
    for pattern in (_KEPT, _SAID):
        text = pattern.sub(rf"\g<1>{MASK}", text)
    return _QUOTED.sub(f"'{MASK}'", text)


def masked_value(value: Any, name: str = "") -> Any:
    """Return a sample in its shape, with every value in it replaced."""
    if isinstance(value, Mapping):
        return {key: masked_value(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked_value(inner, name) for inner in value]
    if value is None or isinstance(value, bool) or name in _OWN_WORDS:
        return value
    return masked_text(value) if name == "reason" and isinstance(value, str) else MASK
