"""Optimizers that a model can be given by class path, and the parameter groups that models give to them.

A model has an argument ``optimizer: OptimizerCallable = AdamW`` and calls it once, with
:func:`parameter_groups`. Any other optimizer class, such as ``torch.optim.SGD``, can be given in its place.
"""

from lit_gen.optim.adamw import AdamW, AdversarialAdamW
from lit_gen.optim.decays import Constant, CosineDecay, Decay, InverseSquareRoot, LinearDecay
from lit_gen.optim.groups import parameter_groups
from lit_gen.optim.muon import Muon
from lit_gen.optim.rmsprop import RMSprop

__all__ = [
    "AdamW",
    "AdversarialAdamW",
    "Constant",
    "CosineDecay",
    "Decay",
    "InverseSquareRoot",
    "LinearDecay",
    "Muon",
    "RMSprop",
    "parameter_groups",
]
