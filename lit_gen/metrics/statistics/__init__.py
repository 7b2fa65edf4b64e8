"""Statistics of features, a file each."""
