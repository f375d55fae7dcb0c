"""Decides the points that are plain: they have no key yet, and whatever their sources say is one and the same tenant.

Most points are like that, and a look at a few dictionaries tells. Everything else (a key that is there, a value that
means no tenant, sources that differ or are silent) is left to `decide_points`, by whose rules what is plain comes to
the same; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from tenure.attribution.items import Lookups
from tenure.attribution.points import PointSpec
from tenure.attribution.resolve import Answer, Says
from tenure.attribution.spec import ColumnSource, ConstantSource, ItemSource, RowSource
from tenure.stores.qdrant import Point, PointId

# What is neither a tenant (a text) nor nothing (None), and is left to be decided.
_MORE: Literal[False] = False
Said = str | Literal[False] | None


def plain_points(
    spec: PointSpec, points: Sequence[Point], lookups: Lookups
) -> tuple[dict[str, list[PointId]], Sequence[Point]]:
    """Return the ids of the plain ones of *points* by the tenant that each comes to, and the points that are left."""
    name = spec.key.name
    fresh = [point for point in points if point.payload.get(name) is None]
    merged: list[Said] = [None] * len(fresh)
    for place, source in enumerate(spec.rule.sources):
        said = _said(source, fresh, lookups)
        if said is None:
            return {}, points
        merged = list(map(_together, merged, said)) if place else said
    groups: dict[str, list[PointId]] = {}
    rest = [] if len(fresh) == len(points) else [point for point in points if point.payload.get(name) is not None]
    for point, tenant in zip(fresh, merged, strict=True):
        if not tenant:
            rest.append(point)
        elif tenant in groups:
            groups[tenant].append(point.id)
        else:
            groups[tenant] = [point.id]
    return groups, rest


def _said(source: ItemSource, points: Sequence[Point], lookups: Lookups) -> list[Said] | None:
    """Return what a source says of each point; None for a source that says nothing plain of points."""
    if isinstance(source, ConstantSource):
        return [_meaning(lookups.values([source.value])[source.value])] * len(points)
    if isinstance(source, ColumnSource):
        texts = _texts(points, source.name)
        answers = lookups.values({text for text in texts if text})
        return _meant(texts, answers, {"": None})
    if isinstance(source, RowSource):
        texts = [str(one.id) for one in points] if source.match is None else _texts(points, source.match)
        answers = lookups.rows(source, [text for text in texts if text is not None and text is not _MORE])
        return _meant(texts, answers, {})
    return None


def _texts(points: Sequence[Point], name: str) -> list[Said]:
    """Return a field of each point as text; one that may be nested is found by other means."""
    absent = _MORE if "." in name else None
    return [_text(point.payload.get(name, absent)) for point in points]


def _text(value: object) -> Said:
    if type(value) is str or value is None:
        return value
    return str(value) if type(value) is int else _MORE


def _meant(texts: Sequence[Said], answers: Mapping[str, Answer], known: dict[Said, Said]) -> list[Said]:
    """Return the meaning of each text, given what was answered."""
    meanings: dict[Said, Said] = {text: _meaning(answer) for text, answer in answers.items()}
    meanings.update({None: None, _MORE: _MORE, **known})
    return list(map(meanings.get, texts))


def _meaning(answer: Answer) -> Said:
    if answer.says is Says.TENANT:
        return answer.value
    return None if answer.says is Says.NOTHING else _MORE


def _together(one: Said, other: Said) -> Said:
    """Return what two sources say together."""
    if one is _MORE or other is _MORE:
        return _MORE
    if one is None or one == other:
        return other
    return one if other is None else _MORE
