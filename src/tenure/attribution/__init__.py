"""Deciding the tenant of an item from its sources: one order of resolution, compiled to SQL or done in the process."""
