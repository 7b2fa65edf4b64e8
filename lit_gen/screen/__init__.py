"""What a command shows while it works: bars on a terminal, plain lines in a log file, nothing if it is to be quiet."""
