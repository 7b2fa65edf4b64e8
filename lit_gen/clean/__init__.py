"""Finds and removes files of runs that are needed neither for scoring nor for training further."""
