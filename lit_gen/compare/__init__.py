"""One model of each family on the same data, at sizes that fit a budget of time."""
