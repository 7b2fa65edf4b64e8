"""The families: one folder each, one file for each paper's model."""

from lit_gen.families.autoregressive import MADE
from lit_gen.families.flow import MAF, Glow, MLPRealNVP, MLPSplineFlow, RealNVP, SplineFlow
from lit_gen.families.gan import GAN
from lit_gen.families.vae import VAE

__all__ = ["GAN", "MADE", "MAF", "VAE", "Glow", "MLPRealNVP", "MLPSplineFlow", "RealNVP", "SplineFlow"]
