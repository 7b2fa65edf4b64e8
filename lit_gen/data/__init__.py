"""Data modules: integers in {0..num_levels-1}, one uint8 tensor per split, sliced into batches.

Images, text and audio alike. Importing this package loads neither ``datasets`` nor scikit-learn, Pillow nor soundfile:
each is imported where it is used.
"""

from lit_gen.data.audio import HubAudio
from lit_gen.data.audio_folder import AudioFolder
from lit_gen.data.codes import Codes
from lit_gen.data.decode import Transform
from lit_gen.data.digits import Digits
from lit_gen.data.epoch_loader import Batch, EpochLoader
from lit_gen.data.folder import FolderImages
from lit_gen.data.hub import HubImages
from lit_gen.data.hub_columns import AudioColumns, ImageColumns, TextColumns
from lit_gen.data.hub_source import HubSource
from lit_gen.data.hub_text import HubText
from lit_gen.data.images import ImageLoader
from lit_gen.data.known_entropy import KnownEntropy, SampleSizes
from lit_gen.data.loader import Loader, SliceLoader
from lit_gen.data.module import DiscreteDataModule, Modality, Split
from lit_gen.data.plane import Mixture, Moons, PlaneDensity, Rings
from lit_gen.data.splits import HeldOut, NamedSplits, RandomHeldOut, Splits
from lit_gen.data.streaming import StreamedImages, Streaming
from lit_gen.data.text import TextFile
from lit_gen.data.toy2d import Toy2D

__all__ = [
    "AudioColumns",
    "AudioFolder",
    "Batch",
    "Codes",
    "Digits",
    "DiscreteDataModule",
    "EpochLoader",
    "FolderImages",
    "HeldOut",
    "HubAudio",
    "HubImages",
    "HubSource",
    "HubText",
    "ImageColumns",
    "ImageLoader",
    "KnownEntropy",
    "Loader",
    "Mixture",
    "Modality",
    "Moons",
    "NamedSplits",
    "PlaneDensity",
    "RandomHeldOut",
    "Rings",
    "SampleSizes",
    "SliceLoader",
    "Split",
    "Splits",
    "StreamedImages",
    "Streaming",
    "TextColumns",
    "TextFile",
    "Toy2D",
    "Transform",
]
