"""Records of runs, and the tables and page made from them. Imports nothing beyond the standard library."""
