"""Autoregressive models: the chain rule over integers, so that likelihoods are exact."""

from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals, Naive, draw
from lit_gen.families.autoregressive.made import MADE

__all__ = ["MADE", "Autoregressive", "Conditionals", "Naive", "draw"]
