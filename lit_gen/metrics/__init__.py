"""Feature extractors with a name and a checksum, and the scores measured in their spaces.

torch-fidelity is imported when its net is first built, and not before.
"""

from lit_gen.metrics.quality import SampleScores, score_samples
from lit_gen.metrics.reference import reference_sums
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, sha256_of_file
from lit_gen.metrics.spaces.inception import Inception
from lit_gen.metrics.spaces.logmel import LogMel
from lit_gen.metrics.spaces.mnist_cnn import MnistCNN
from lit_gen.metrics.spaces.ngrams import NGrams
from lit_gen.metrics.statistics.frechet import FrechetSums, frechet_distance, frechet_jackknife
from lit_gen.metrics.statistics.inception_score import InceptionScore, InceptionScoreSums
from lit_gen.metrics.statistics.jensen_shannon import NGramCounts, jensen_shannon
from lit_gen.metrics.sums import Estimate, Sums

__all__ = [
    "Estimate",
    "FeatureSpace",
    "Features",
    "FrechetSums",
    "Inception",
    "InceptionScore",
    "InceptionScoreSums",
    "LogMel",
    "MnistCNN",
    "NGramCounts",
    "NGrams",
    "SampleScores",
    "Sums",
    "frechet_distance",
    "frechet_jackknife",
    "jensen_shannon",
    "reference_sums",
    "score_samples",
    "sha256_of_file",
]
