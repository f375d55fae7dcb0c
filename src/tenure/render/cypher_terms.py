"""The words of the Cypher file: names, values, comparisons, and what differs between servers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tenure.attribution.graph_read import untagged_values
from tenure.catalog.neo4j import cypher_prefix, version_numbers
from tenure.operations.graph_text import literal
from tenure.render.exports import DECODED
from tenure.stores.cypher import quote
from tenure.values import TenantKey

# Temporary, gone at the end of the file: nodes that say which value means which tenant, and properties with answers.
VALUE_LABEL = "tenure_value"
SAYS, VALUE, SEVERAL = "tenure_says", "tenure_value", "tenure_several"
OWNED, MORE = "tenure_owned", "tenure_more"
BATCH = 5000


def name(identifier: str) -> str:
    """Return a quoted name on one line: Cypher 5 reads \\uXXXX before anything else, a splitter at lines does not."""
    return on_one_line(quote(identifier))


def text(value: object) -> str:
    """Return a literal on one line."""
    return on_one_line(literal(value))


def on_one_line(written: str) -> str:
    """Return Cypher of one line whose names and literals may hold line breaks, with these escaped."""
    return "".join(f"\\u{ord(c):04X}" if c in "\n\r\x85\u2028\u2029\x0b\x0c\x1c\x1d\x1e" else c for c in written)


def as_text(value: str) -> str:
    """Return the expression for *value* (an expression) as text, whole numbers without a point; null for a list."""
    return (
        f"CASE WHEN {value} = toStringOrNull({value}) THEN {value} WHEN toStringOrNull({value}) ENDS WITH '.0' "
        f"THEN toString(toInteger({value})) ELSE toStringOrNull({value}) END"
    )


def decoded(value: str) -> str:
    """Return the expression for a value of a CSV file as it was before it was encoded."""
    for code, character in DECODED:
        value = f"replace({value}, '{code}', {text(character)})"
    return value


def distinct(items: str) -> str:
    """Return the expression for a list without repetitions."""
    return f"reduce(seen = [], t IN {items} | CASE WHEN t IN seen THEN seen ELSE seen + t END)"


def flattened(lists: str) -> str:
    """Return the expression for the concatenation of a list of lists."""
    return f"reduce(joined = [], part IN {lists} | joined + part)"


def most(scored: str, key: TenantKey) -> str:
    """Return the expression for the tenant with the highest score of a list of [tenant, score]; ties: the smaller."""
    smaller = "toInteger(one[0]) < toInteger(best[0])" if key.type == "bigint" else "one[0] < best[0]"
    better = f"one[1] > best[1] OR (one[1] = best[1] AND {smaller})"
    return f"reduce(best = head({scored}), one IN {scored} | CASE WHEN {better} THEN one ELSE best END)[0]"


def untagged(key: TenantKey, variable: str) -> str:
    """Return the condition that a node or relationship has no tenant yet."""
    present = f"{variable}.{name(key.name)}"
    return f"({present} IS NULL OR {present} IN {text(untagged_values(key))})"


def written(key: TenantKey, tenant: str) -> str:
    """Return the expression for a tenant as the graph holds it."""
    return f"toInteger({tenant})" if key.type == "bigint" else tenant


@dataclass(frozen=True)
class Dialect:
    """What one server version reads; `version` is such as ``5.26.30``."""

    version: str

    @property
    def prefix(self) -> str:
        """Return what every statement starts with."""
        return cypher_prefix(self.version)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the version as numbers."""
        return version_numbers(self.version)

    def subquery(self, variables: str, body: Iterable[str], *, batched: bool = True) -> str:
        """Return a CALL of *body* for every row, which sees *variables*; *batched* commits every 5000 rows."""
        scoped = self.numbers >= (5, 23)
        lines = [f"CALL ({variables}) {{" if scoped else "CALL {"]
        lines += [f"  {line}" for line in (() if scoped else (f"WITH {variables}",))]
        lines += [f"  {line}" for part in body for line in part.split("\n")]
        lines.append(f"}} IN TRANSACTIONS OF {BATCH} ROWS" if batched else "}")
        return "\n".join(lines)

    def schema(self, statement: str) -> str:
        """Return a schema statement in this dialect: range indexes have a name of their own since 5."""
        if self.numbers and self.numbers < (5,):
            return statement.replace("CREATE RANGE INDEX", "CREATE INDEX", 1)
        return statement
