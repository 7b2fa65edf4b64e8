"""Data modules: integers in {0..num_levels-1}, one uint8 tensor per split, sliced into batches.

Images, text and audio alike. Importing this room loads neither ``datasets`` nor scikit-learn nor Pillow: each is
imported where it is used.
"""

from lit_gen.data.audio import HubAudio
from lit_gen.data.digits import Digits
from lit_gen.data.folder import FolderImages
from lit_gen.data.hub import HubImages
from lit_gen.data.hub_text import HubText
from lit_gen.data.known_entropy import KnownEntropy
from lit_gen.data.loader import Batch, SliceLoader
from lit_gen.data.module import DiscreteDataModule, Modality, Split
from lit_gen.data.text import TextFile

__all__ = [
    "Batch",
    "Digits",
    "DiscreteDataModule",
    "FolderImages",
    "HubAudio",
    "HubImages",
    "HubText",
    "KnownEntropy",
    "Modality",
    "SliceLoader",
    "Split",
    "TextFile",
]
