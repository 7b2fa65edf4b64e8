"""Autoregressive models: the chain rule over integers, so that likelihoods are exact."""

from lit_gen.families.autoregressive.autoregressive import Autoregressive
from lit_gen.families.autoregressive.conditionals import Conditionals, Naive, draw
from lit_gen.families.autoregressive.gated_pixelcnn import GatedPixelCNN
from lit_gen.families.autoregressive.made import MADE
from lit_gen.families.autoregressive.pixelcnn import PixelCNN
from lit_gen.families.autoregressive.pixelcnnpp import PixelCNNpp
from lit_gen.families.autoregressive.transformer import Transformer
from lit_gen.families.autoregressive.wavenet import WaveNet

__all__ = [
    "MADE",
    "Autoregressive",
    "Conditionals",
    "GatedPixelCNN",
    "Naive",
    "PixelCNN",
    "PixelCNNpp",
    "Transformer",
    "WaveNet",
    "draw",
]
