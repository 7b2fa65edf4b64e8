"""From the command line to objects."""
