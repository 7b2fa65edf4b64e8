"""The families: one folder each, one file for each paper's model."""

from lit_gen.families.autoregressive import MADE, GatedPixelCNN, PixelCNN, PixelCNNpp, Transformer, WaveNet
from lit_gen.families.diffusion import DDPM, EDM, VDM, FlowMatching, ImprovedDDPM, ImprovedDDPMVLB
from lit_gen.families.flow import MAF, Glow, MLPRealNVP, MLPSplineFlow, RealNVP, SplineFlow
from lit_gen.families.gan import GAN
from lit_gen.families.vae import VAE

__all__ = [
    "DDPM",
    "EDM",
    "GAN",
    "MADE",
    "MAF",
    "VAE",
    "VDM",
    "FlowMatching",
    "GatedPixelCNN",
    "Glow",
    "ImprovedDDPM",
    "ImprovedDDPMVLB",
    "MLPRealNVP",
    "MLPSplineFlow",
    "PixelCNN",
    "PixelCNNpp",
    "RealNVP",
    "SplineFlow",
    "Transformer",
    "WaveNet",
]
