"""Runs a plan: claims ranges, sizes batches, throttles, keeps the lease."""
