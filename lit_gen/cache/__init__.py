"""Lists and clears the cache of reference statistics."""
