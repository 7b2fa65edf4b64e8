"""Samples as files: images, texts and recordings."""
