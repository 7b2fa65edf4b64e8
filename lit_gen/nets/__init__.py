"""Networks: modules without probability distributions."""

from lit_gen.nets.actnorm import ActNorm
from lit_gen.nets.autoregressive.causal_transformer import CausalTransformer, KeyValueCache, Positions
from lit_gen.nets.autoregressive.dilated_conv_net import DilatedConvNet, WaveNetQueues
from lit_gen.nets.autoregressive.gated_pixelcnn_net import GatedPixelCNNNet
from lit_gen.nets.autoregressive.pixelcnn_net import PixelCNNNet
from lit_gen.nets.autoregressive.pixelcnnpp_cache import PixelCNNppCache
from lit_gen.nets.autoregressive.pixelcnnpp_net import PixelCNNppNet
from lit_gen.nets.diffusion.adm import ADMNets, ADMUNet, ImprovedNets, ImprovedUNet
from lit_gen.nets.diffusion.denoising_mlp import DenoisingMLP, MLPDenoiser
from lit_gen.nets.diffusion.energy import EnergyNet, EnergyNets
from lit_gen.nets.diffusion.ncsnpp import DDPMpp, DDPMppNets, NCSNpp, NCSNppNets
from lit_gen.nets.diffusion.unet import DenoisingNets, UNet, UNetNets
from lit_gen.nets.flow.coupling_nets import (
    CouplingNets,
    GatedCouplings,
    GlowCouplings,
    ImageCouplingNets,
    MLPCouplings,
    ResidualCouplings,
    ScaledConv2d,
)
from lit_gen.nets.gan.adversarial_nets import AdversarialNets
from lit_gen.nets.gan.dcgan import DCGAN, MLPAdversarialNets
from lit_gen.nets.gan.r3gan_nets import R3GANNets
from lit_gen.nets.gan.sngan_nets import SNGANNets
from lit_gen.nets.incremental_autoencoder import IncrementalAutoencoder
from lit_gen.nets.masked_autoencoder import MaskedAutoencoder
from lit_gen.nets.vae.autoencoder import AutoencoderNets, ConvNets, MLPNets

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
    "DDPMpp",
    "DDPMppNets",
    "DenoisingMLP",
    "DenoisingNets",
    "DilatedConvNet",
    "EnergyNet",
    "EnergyNets",
    "GatedCouplings",
    "GatedPixelCNNNet",
    "GlowCouplings",
    "ImageCouplingNets",
    "ImprovedNets",
    "ImprovedUNet",
    "IncrementalAutoencoder",
    "KeyValueCache",
    "MLPAdversarialNets",
    "MLPCouplings",
    "MLPDenoiser",
    "MLPNets",
    "MaskedAutoencoder",
    "NCSNpp",
    "NCSNppNets",
    "PixelCNNNet",
    "PixelCNNppCache",
    "PixelCNNppNet",
    "Positions",
    "R3GANNets",
    "ResidualCouplings",
    "SNGANNets",
    "ScaledConv2d",
    "UNet",
    "UNetNets",
    "WaveNetQueues",
]
