"""The parts of the script that `tenure render` writes for Qdrant: they need the standard library and qdrant-client."""
