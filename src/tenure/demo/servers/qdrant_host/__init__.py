"""Qdrant's REST interface on top of its own engine, for machines that have no Qdrant server.

The server is in no package registry, its engine is (``qdrant-edge-py``: shards with payload indexes, filters, facets
and a write-ahead log). This package adds what a server has around shards: collections, aliases, HTTP. What it does not
have it refuses with Qdrant's error envelope; it never answers with something else than was asked.
"""
