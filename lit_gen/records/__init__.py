"""Records of runs: their schema, reading and writing. Imports the standard library and `lit_gen.errors` alone."""
