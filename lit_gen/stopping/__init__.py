"""Stopping a run by a signal, or because another of its processes has ended, without losing work."""
