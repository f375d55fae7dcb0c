"""From keys to lines and columns of the YAML text."""

from __future__ import annotations

from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq

Position = tuple[int, int]
Steps = list[tuple[CommentedMap | CommentedSeq, Any]]


def is_tag(part: Any) -> bool:
    """Tell whether *part* of a pydantic location names a member of a union (see `base.tag_by_key`)."""
    return isinstance(part, str) and part.startswith("<") and part.endswith(">")


def _walk(document: Any, where: tuple[Any, ...]) -> tuple[Steps, bool]:
    """Return the (container, key) pairs along *where*, and whether all of it was there; tags are passed over."""
    steps: Steps = []
    node = document
    for part in where:
        is_key = isinstance(node, CommentedMap) and part in node
        is_index = isinstance(node, CommentedSeq) and isinstance(part, int) and 0 <= part < len(node)
        if is_key or is_index:
            steps.append((node, part))
            node = node[part]
        elif not is_tag(part):
            return steps, False
    return steps, True


def _place(container: CommentedMap | CommentedSeq, part: Any, *, key: bool) -> Position | None:
    try:
        if isinstance(container, CommentedSeq):
            line, column = container.lc.item(part)
        else:
            line, column = container.lc.key(part) if key else container.lc.value(part)
    except (AttributeError, KeyError, IndexError, TypeError):
        return None  # a key that came in through a merge (`<<`) has no place of its own
    return line + 1, column + 1


def locate(document: Any, where: tuple[Any, ...], *, key: bool = False) -> Position:
    """Return line and column (from 1) of the value that the keys *where* lead to in *document*; with *key*, of the last
    key itself. Where *document* ends before *where* does, the last key that is there is meant."""
    steps, complete = _walk(document, where)
    wants_key = key or not complete
    for container, part in reversed(steps):
        # An empty value has no place: the parser puts it on the next line.
        found = _place(container, part, key=wants_key or container[part] is None)
        if found is not None:
            return found
        wants_key = True
    return 1, 1
