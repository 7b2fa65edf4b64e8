"""Invertible transformations with log-determinants, for normalizing flows."""

from lit_gen.bijections.bijection import Bijection, Chain, sum_dims
from lit_gen.bijections.conv1x1 import InvertibleConv1x1
from lit_gen.bijections.coupling import CheckerboardCoupling, Coupling, halves
from lit_gen.bijections.elementwise import Centre, Logit, Sigmoid
from lit_gen.bijections.factor import Factor
from lit_gen.bijections.masked_affine import MaskedAffine
from lit_gen.bijections.normalize import Normalize
from lit_gen.bijections.reshape import EvenOdd, Flatten, Reverse, Squeeze
from lit_gen.bijections.spline import RationalQuadraticSpline
from lit_gen.bijections.transform import Affine, SigmoidAffine, Transform

__all__ = [
    "Affine",
    "Bijection",
    "Centre",
    "Chain",
    "CheckerboardCoupling",
    "Coupling",
    "EvenOdd",
    "Factor",
    "Flatten",
    "InvertibleConv1x1",
    "Logit",
    "MaskedAffine",
    "Normalize",
    "RationalQuadraticSpline",
    "Reverse",
    "Sigmoid",
    "SigmoidAffine",
    "Squeeze",
    "Transform",
    "halves",
    "sum_dims",
]
