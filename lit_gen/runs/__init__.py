"""A run: its objects, record, weights and loggers."""
