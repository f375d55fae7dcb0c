"""Adds what is new to a playbook that somebody edited: text goes in between, and every byte of theirs stays."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tenure.errors import UsageError
from tenure.propose.proposal import Entry, Proposal
from tenure.propose.writer import entries_lines, section_lines, tenant_lines
from tenure.propose.yaml_text import flow, scalar


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of text: *text* takes the place of what stands from *start* to *end* (nothing, for an insertion)."""

    start: int
    end: int
    text: str


class Merge:
    """One playbook's text with the positions of its nodes, and the edits to be made."""

    def __init__(self, text: str, proposal: Proposal) -> None:
        """Take the text of a playbook that is known to load."""
        self.text, self.proposal = text, proposal
        self.newline = "\r\n" if "\r\n" in text else "\n"
        root = YAML(typ="rt").compose(StringIO(text))
        assert isinstance(root, MappingNode)
        self.root = root
        self.edits: list[Edit] = []
        self.added: list[Entry] = []
        self.tenant_changed = False

    def result(self, stores: Iterable[str], aliases: str | None, *, begun: bool = True) -> str:
        """Return the text with the new entries of *stores*, and with *aliases* and `untagged` where none are.

        Unless it has *begun* (it names some object), the key's type follows the registry where none is written.

        Errors: UsageError when the result would not say what the old text said, which is never written.
        """
        self._tenant(aliases, begun)
        for store in stores:
            if store == "neo4j":
                self._graph()
            else:
                self._section(self.root, store, store, 2)
        text = self.text
        # Later positions first; of two insertions at one place the one asked for first comes first.
        for _, edit in sorted(enumerate(self.edits), key=lambda item: (item[1].start, item[0]), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        self._verify(text)
        return text

    def _tenant(self, aliases: str | None, begun: bool) -> None:
        tenant = value_of(self.root, "tenant")
        registry = value_of(tenant, "registry") if isinstance(tenant, MappingNode) else None
        if not isinstance(tenant, MappingNode) or not isinstance(registry, MappingNode):
            return
        for name, value in zip(("table", "column"), self.proposal.registry, strict=True):
            node = value_of(registry, name)
            if isinstance(node, ScalarNode) and node.value == "?" and value != "?":
                self.edits.append(Edit(node.start_mark.index, node.end_mark.index, scalar(value)))
                self.tenant_changed = True
        if tenant.flow_style:
            return
        column, lines = tenant.value[0][0].start_mark.column, list[str]()
        if not begun and value_of(tenant, "type") is None and self.proposal.registry[0] != "?":
            lines.append(f"{' ' * column}type: {self.proposal.type}")
        if value_of(tenant, "aliases") is None and value_of(tenant, "untagged") is None:
            lines += tenant_lines(self.proposal, aliases, column)
        if lines:
            self._insert_after(tenant, lines)
            self.tenant_changed = True

    def _graph(self) -> None:
        graph = value_of(self.root, "neo4j")
        if not isinstance(graph, MappingNode) or not graph.value:
            if any(entry.store.startswith("neo4j") for entry in self.proposal.entries):
                self.added += [entry for entry in self.proposal.entries if entry.store.startswith("neo4j")]
                self._replace_section(self.root, "neo4j", [*section_lines("neo4j", self.proposal)][1:], 0)
            return
        for part in ("nodes", "relationships"):
            self._section(graph, part, f"neo4j.{part}", graph.value[0][0].start_mark.column + 2)

    def _section(self, parent: MappingNode, name: str, store: str, indent: int) -> None:
        section = value_of(parent, name)
        known = {key.value for key, _ in section.value} if isinstance(section, MappingNode) else set()
        new = [entry for entry in self.proposal.entries if entry.store == store and entry.name not in known]
        if not new:
            return
        self.added += new
        if not isinstance(section, MappingNode) or not section.value:
            own = parent.value[0][0].start_mark.column if parent is not self.root else 0
            self._replace_section(parent, name, [*entries_lines(new, max(indent, own + 2))], own)
        elif section.flow_style:
            at = self._end(section.value[-1][1])
            margin = self.newline + " " * (section.start_mark.column if section.start_mark.line else 2)
            body = "".join(f",{margin}{scalar(entry.name)}: {flow(entry.rule)}" for entry in new)
            self.edits.append(Edit(at, at, body))
        else:
            self._insert_after(section, [*entries_lines(new, section.value[0][0].start_mark.column)])

    def _replace_section(self, parent: MappingNode, name: str, lines: list[str], indent: int) -> None:
        """Put *lines* under the key *name*, which is absent or has no content, as a block."""
        pair = next(((key, value) for key, value in parent.value if key.value == name), None)
        if pair is None:
            if parent.flow_style:
                raise UsageError(
                    detail=f"the playbook's mapping around {name!r} is written in braces, where nothing can be added "
                    f"with comments: write it as a block, or add `{name}: {{}}` to it."
                )
            head = [""] if parent is self.root else []
            self._insert_after(parent, [*head, f"{' ' * indent}{name}:", *lines])
            return
        key, value = pair
        if value.end_mark.index > value.start_mark.index:
            self.edits.append(Edit(value.start_mark.index, value.end_mark.index, ""))
        at = self._line_end(max(key.end_mark.index, value.end_mark.index))
        self._insert(at, lines)

    def _insert_after(self, section: MappingNode, lines: list[str]) -> None:
        """Insert *lines* behind the last entry of a block, and behind comments that are indented like its entries."""
        column = section.value[0][0].start_mark.column
        at = self._line_end(self._end(section.value[-1][1]))
        while at < len(self.text) and column:
            end = self.text.find("\n", at)
            line = self.text[at : end if end >= 0 else len(self.text)]
            if not line.lstrip().startswith("#") or len(line) - len(line.lstrip()) < column:
                break
            at = end + 1 if end >= 0 else len(self.text)
        self._insert(at, lines)

    def _insert(self, at: int, lines: list[str]) -> None:
        text = "".join(line + self.newline for line in lines)
        if at > 0 and self.text[at - 1] != "\n":
            text = self.newline + text
        self.edits.append(Edit(at, at, text))

    def _line_end(self, index: int) -> int:
        """Return where the next line starts, or *index* when it is the start of one."""
        if index > 0 and self.text[index - 1] == "\n":
            return index
        end = self.text.find("\n", index)
        return end + 1 if end >= 0 else len(self.text)

    def _end(self, node: Node) -> int:
        """Return where the text of a node ends: a block ends with its last entry, not where the next thing starts."""
        if isinstance(node, MappingNode) and not node.flow_style and node.value:
            return self._end(node.value[-1][1])
        if isinstance(node, SequenceNode) and not node.flow_style and node.value:
            return self._end(node.value[-1])
        index = node.end_mark.index
        # A block scalar ends where the next line starts; an empty value where its colon was.
        return int(index)

    def _verify(self, text: str) -> None:
        """Refuse a text that says anything but what the old one said and the new entries."""
        before, after = (_plain(YAML(typ="safe", pure=True).load(each)) for each in (self.text, text))
        for entry in self.added:
            _put(before, (*entry.store.split("."), entry.name), after)
        for name in ("registry", "type", "aliases", "untagged"):
            if self.tenant_changed:
                _put(before, ("tenant", name), after)
        if before != after:
            raise UsageError(
                detail="the playbook is written in a way that nothing can be added to safely (an anchor that two "
                "sections share); write its sections out and run `tenure init` again."
            )


def value_of(node: Any, name: str) -> Node | None:
    """Return the value under the key *name* of a mapping node, or None."""
    if not isinstance(node, MappingNode):
        return None
    return next((value for key, value in node.value if key.value == name), None)


def _plain(document: Any) -> Any:
    """Return a document without shared parts, and with empty sections left out."""
    copied = json.loads(json.dumps(document, default=str))
    for name in ("postgres", "neo4j", "qdrant"):
        if name in copied and not copied[name]:
            del copied[name]
    for name in ("nodes", "relationships"):
        if isinstance(copied.get("neo4j"), dict) and not copied["neo4j"].get(name, True):
            del copied["neo4j"][name]
    return copied


def _put(target: Any, path: tuple[str, ...], source: Any) -> None:
    """Give *target* at *path* what *source* has there; nothing where it has nothing."""
    for name in path[:-1]:
        if name not in source:
            return
        target, source = target.setdefault(name, {}), source[name]
    if path[-1] in source:
        target[path[-1]] = source[path[-1]]
