"""Samples as files: pictures, texts and recordings."""
