"""Networks without probability: tensors in, tensors out."""

from lit_gen.nets.actnorm import ActNorm
from lit_gen.nets.autoencoder import AutoencoderNets, ConvNets, MLPNets
from lit_gen.nets.coupling import (
    CouplingNets,
    GatedCouplings,
    GlowCouplings,
    ImageCouplingNets,
    MLPCouplings,
    ResidualCouplings,
    ScaledConv2d,
)
from lit_gen.nets.dcgan import DCGAN, AdversarialNets, MLPPlayers
from lit_gen.nets.made import MaskedAutoencoder, OneByOne

__all__ = [
    "DCGAN",
    "ActNorm",
    "AdversarialNets",
    "AutoencoderNets",
    "ConvNets",
    "CouplingNets",
    "GatedCouplings",
    "GlowCouplings",
    "ImageCouplingNets",
    "MLPCouplings",
    "MLPNets",
    "MLPPlayers",
    "MaskedAutoencoder",
    "OneByOne",
    "ResidualCouplings",
    "ScaledConv2d",
]
