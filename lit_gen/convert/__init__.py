"""Weights published by others, brought in: a folder of diffusers becomes a run that ``evaluate`` scores."""
