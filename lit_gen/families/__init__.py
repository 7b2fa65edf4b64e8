"""The families: one folder each, one file for each paper's model."""

from lit_gen.families.autoregressive import MADE, GatedPixelCNN, PixelCNN, PixelCNNpp, Transformer, WaveNet
from lit_gen.families.flow import MAF, Glow, MLPRealNVP, MLPSplineFlow, RealNVP, SplineFlow
from lit_gen.families.gan import GAN
from lit_gen.families.vae import VAE

__all__ = [
    "GAN",
    "MADE",
    "MAF",
    "VAE",
    "GatedPixelCNN",
    "Glow",
    "MLPRealNVP",
    "MLPSplineFlow",
    "PixelCNN",
    "PixelCNNpp",
    "RealNVP",
    "SplineFlow",
    "Transformer",
    "WaveNet",
]
