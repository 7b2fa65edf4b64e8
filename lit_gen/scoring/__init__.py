"""Scores of a checkpoint under a protocol."""
