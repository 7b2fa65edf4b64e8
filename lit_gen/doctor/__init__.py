"""``lit-gen doctor``: what this machine has for training and scoring, and what to do where something is missing."""
