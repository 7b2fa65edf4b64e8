"""A run: its objects, its record, its weights and where its curves go."""
