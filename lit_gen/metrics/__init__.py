"""Feature spaces with a name and a checksum, and statistics of the features, a file each.

``spaces`` turn examples into features: :class:`Inception`, :class:`EfficientNetLite0`,
:class:`DINOv2`, :class:`CLIP`, :class:`MnistCNN`, :class:`NGrams`, :class:`LogMel`.
``statistics`` are torchmetrics Metrics of features: :class:`FrechetDistance`, :class:`InceptionScore`,
:class:`JensenShannon`, and all others in that folder, which are attributes of this package by the names of their
classes. See :class:`Statistic` for their use in a LightningModule.

torch-fidelity is imported when its network is first built, and not before.
"""

from typing import Any

from lit_gen.metrics.factory import build, chosen, score_specs, statistic_class
from lit_gen.metrics.quality import SampleScore, score_samples
from lit_gen.metrics.reference import Summary, reference_summaries
from lit_gen.metrics.score_spec import ScoreSpec
from lit_gen.metrics.spaces.clip import CLIP
from lit_gen.metrics.spaces.dinov2 import DINOv2
from lit_gen.metrics.spaces.efficientnet_lite0 import EfficientNetLite0
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, sha256_of_file
from lit_gen.metrics.spaces.inception import Inception
from lit_gen.metrics.spaces.logmel import LogMel
from lit_gen.metrics.spaces.mnist_cnn import MnistCNN
from lit_gen.metrics.spaces.ngrams import NGrams
from lit_gen.metrics.statistics import STATISTICS
from lit_gen.metrics.statistics.frechet import FrechetDistance, Moments, frechet_distance
from lit_gen.metrics.statistics.inception_score import InceptionScore
from lit_gen.metrics.statistics.jensen_shannon import JensenShannon, jensen_shannon
from lit_gen.metrics.statistics.statistic import Pairs, Statistic, StatisticFactory

__all__ = [
    "CLIP",
    "DINOv2",
    "EfficientNetLite0",
    "FeatureSpace",
    "Features",
    "FrechetDistance",
    "Inception",
    "InceptionScore",
    "JensenShannon",
    "LogMel",
    "MnistCNN",
    "Moments",
    "NGrams",
    "Pairs",
    "SampleScore",
    "ScoreSpec",
    "Statistic",
    "StatisticFactory",
    "Summary",
    "build",
    "chosen",
    "frechet_distance",
    "jensen_shannon",
    "reference_summaries",
    "score_samples",
    "score_specs",
    "sha256_of_file",
    "statistic_class",
]


def __getattr__(name: str) -> Any:
    if name in STATISTICS:
        return STATISTICS[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
