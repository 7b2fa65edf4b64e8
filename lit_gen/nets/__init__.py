"""Networks without probability: tensors in, tensors out."""

from lit_gen.nets.actnorm import ActNorm
from lit_gen.nets.adm import ADMNets, ADMUNet, ImprovedNets, ImprovedUNet
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
from lit_gen.nets.denoising_mlp import DenoisingMLP, MLPDenoiser
from lit_gen.nets.gated_pixelcnn import GatedPixelCNNNet
from lit_gen.nets.made import MaskedAutoencoder
from lit_gen.nets.one_by_one import OneByOne
from lit_gen.nets.pixelcnn import PixelCNNNet
from lit_gen.nets.pixelcnnpp import PixelCNNppNet
from lit_gen.nets.pixelcnnpp_cache import PixelCNNppCache
from lit_gen.nets.transformer import CausalTransformer, KeyValueCache, Positions
from lit_gen.nets.unet import DenoisingNets, UNet, UNetNets
from lit_gen.nets.wavenet import DilatedConvNet, WaveNetQueues

__all__ = [
    "DCGAN",
    "ADMNets",
    "ADMUNet",
    "ActNorm",
    "AdversarialNets",
    "AutoencoderNets",
    "CausalTransformer",
    "ConvNets",
    "CouplingNets",
    "DenoisingMLP",
    "DenoisingNets",
    "DilatedConvNet",
    "GatedCouplings",
    "GatedPixelCNNNet",
    "GlowCouplings",
    "ImageCouplingNets",
    "ImprovedNets",
    "ImprovedUNet",
    "KeyValueCache",
    "MLPCouplings",
    "MLPDenoiser",
    "MLPNets",
    "MLPPlayers",
    "MaskedAutoencoder",
    "OneByOne",
    "PixelCNNNet",
    "PixelCNNppCache",
    "PixelCNNppNet",
    "Positions",
    "ResidualCouplings",
    "ScaledConv2d",
    "UNet",
    "UNetNets",
    "WaveNetQueues",
]
