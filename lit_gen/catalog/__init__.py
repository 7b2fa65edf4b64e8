"""What there is to choose from, read from source text: neither torch nor a model is imported for it."""
