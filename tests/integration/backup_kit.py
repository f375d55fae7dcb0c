"""What the backup tests share: a playbook of the servers under test, and stores filled with every kind of value."""

from __future__ import annotations

from pathlib import Path

from tenure.session import Session

PLAYBOOK = """version: 1
tenant: {{key: project_id, type: text, registry: {{table: proyectos, column: id}}}}
connections:
  postgres: {{url: "{postgres}"}}
"""


def open_session(directory: Path, postgres: str, neo4j: str | None = None, qdrant: str | None = None) -> Session:
    """A session of a playbook in *directory* that names these stores."""
    text = PLAYBOOK.format(postgres=postgres)
    if neo4j is not None:
        text += f'  neo4j: {{url: "{neo4j}"}}\n'
    if qdrant is not None:
        text += f'  qdrant: {{url: "{qdrant}"}}\n'
    text += "postgres: {}\n" + "neo4j: {nodes: {}}\n" * (neo4j is not None) + "qdrant: {}\n" * (qdrant is not None)
    path = directory / "tenure.yaml"
    path.write_text(text)
    return Session.open(path)
