"""Feature spaces, a file each: what turns examples into features, with a name and a checksum."""
