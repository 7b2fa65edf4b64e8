"""Feature extractors with a name and a checksum, and the scores measured in their spaces.

torch-fidelity is imported when its net is first built, and not before.
"""

from lit_gen.metrics.extractor import Extractor, Features, sha256_of_file
from lit_gen.metrics.frechet import FrechetSums, frechet_distance, frechet_jackknife
from lit_gen.metrics.inception import Inception
from lit_gen.metrics.inception_score import InceptionScore, InceptionScoreSums
from lit_gen.metrics.logmel import LogMel
from lit_gen.metrics.mnist_cnn import MnistCNN
from lit_gen.metrics.ngrams import NGramCounts, NGrams, jensen_shannon
from lit_gen.metrics.quality import SampleScores, score_samples
from lit_gen.metrics.reference import reference_sums
from lit_gen.metrics.sums import Estimate, Sums

__all__ = [
    "Estimate",
    "Extractor",
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
