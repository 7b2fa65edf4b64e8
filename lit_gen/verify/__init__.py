"""Takes the scores of a record again, under the recorded protocols, and compares them digit by digit."""
