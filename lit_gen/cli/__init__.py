"""Builds data, model and Trainer from the command line."""
