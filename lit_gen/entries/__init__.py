"""Entries of the leaderboard that lit_gen did not train: samples and likelihoods of other programs, and baselines."""
