"""Autoregressive models: the chain rule over integers, so that likelihoods are exact."""

from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals, Naive, draw

__all__ = ["Autoregressive", "Conditionals", "Naive", "draw"]
