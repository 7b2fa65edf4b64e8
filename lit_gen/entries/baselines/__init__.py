"""Simple models and compressors that every model should beat, scored under the same protocols."""
