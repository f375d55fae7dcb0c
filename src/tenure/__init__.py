"""tenure moves a live application on Postgres, Neo4j and Qdrant from single-tenant to project-scoped multitenancy."""

__version__ = "0.1.0"
