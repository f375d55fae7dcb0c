"""The one place where a name becomes Cypher text."""

from __future__ import annotations


def quote(identifier: str) -> str:
    r"""Return *identifier* (a label, type, property key, variable or schema name) as one back-quoted Cypher token.

    Back-quotes are doubled. Cypher 5 replaces ``\uXXXX`` anywhere in the query text before it parses, quoted names
    included, so a name that contains the six characters ``\u0060`` would close the quotes; every backslash is therefore
    written as its own escape, which is replaced once and yields the backslash that the name really has.

    Raises ValueError for an empty name, which Neo4j has no way to write.
    """
    if not identifier:
        raise ValueError("an empty name cannot be written in Cypher")
    return "`" + identifier.replace("\\", "\\u005C").replace("`", "``") + "`"
