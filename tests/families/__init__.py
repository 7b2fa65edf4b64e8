"""Laws of the families."""
