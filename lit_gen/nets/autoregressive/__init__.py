"""Causal networks and their incremental decoding."""
