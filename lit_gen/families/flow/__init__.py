"""Normalizing flows: bijections from dequantized data to simple latents, trained by maximum likelihood."""

from lit_gen.families.flow.dequantization import Dequantization, UniformDequantization, VariationalDequantization
from lit_gen.families.flow.flow import Flow
from lit_gen.families.flow.glow import Glow
from lit_gen.families.flow.maf import MAF
from lit_gen.families.flow.mlp_couplings import MLPRealNVP, MLPSplineFlow
from lit_gen.families.flow.realnvp import RealNVP
from lit_gen.families.flow.spline_flow import SplineFlow

__all__ = [
    "MAF",
    "Dequantization",
    "Flow",
    "Glow",
    "MLPRealNVP",
    "MLPSplineFlow",
    "RealNVP",
    "SplineFlow",
    "UniformDequantization",
    "VariationalDequantization",
]
