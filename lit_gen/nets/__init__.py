"""Networks without probability: tensors in, tensors out."""

from lit_gen.nets.autoencoder import AutoencoderNets, ConvNets, MLPNets
from lit_gen.nets.dcgan import DCGAN, AdversarialNets, MLPPlayers

__all__ = ["DCGAN", "AdversarialNets", "AutoencoderNets", "ConvNets", "MLPNets", "MLPPlayers"]
