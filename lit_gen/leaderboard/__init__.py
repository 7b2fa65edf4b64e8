"""Tables and a page made from the records of runs. Imports `lit_gen.records` and the standard library alone."""
