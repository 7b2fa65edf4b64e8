"""lit_gen: train any family of generative model, and believe the comparison.

Importing the package costs nothing: each room is imported where it is used.
"""

__version__ = "0.1.0"
