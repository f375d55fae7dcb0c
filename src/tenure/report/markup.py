"""HTML and SVG as values: what is not markup already is escaped, so a hostile name stays text wherever it turns up."""

from __future__ import annotations

from html import escape

from tenure.masking import mask_secrets

_VOID = frozenset({"meta", "br", "hr", "link"})


class Markup(str):
    """Text that is HTML already; only `tag`, `raw` and `joined` make it."""

    __slots__ = ()


Child = Markup | str | int | float | None


def raw(text: str) -> Markup:
    """Return markup of our own making (a style sheet); never of anything that a store or a playbook says."""
    return Markup(text)


def tag(element: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """Return an element.

    Children that are not markup are escaped, without secrets and control characters; None is left out. Attributes are
    escaped too; one that is None or False is left out, ``class_`` is written ``class``, other underscores as hyphens.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None)
    if element in _VOID:
        return Markup(f"<{element}{written}>")
    return Markup(f"<{element}{written}>{joined(*children)}</{element}>")


def joined(*children: Child) -> Markup:
    """Return children side by side."""
    return Markup("".join(_child(child) for child in children if child is not None))


def visible(text: str) -> str:
    """Return *text* without secrets, with control characters (but line breaks) and bidirectional ones spelled out."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape", "backslashreplace").decode()
        for char in mask_secrets(text)
    )


def _child(child: Child) -> str:
    return child if isinstance(child, Markup) else escape(visible(str(child)), quote=False)


def _attribute(name: str, value: str | int | float | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{escape(visible(str(value)))}"'
