"""A model, a data module, a feature space and a statistic that are not part of lit_gen, a file each."""

from litgen_example.array_file import ArrayFile
from litgen_example.mean_distance import MeanDistance
from litgen_example.pixel_marginals import PixelMarginals
from litgen_example.pooled_pixels import PooledPixels

__all__ = ["ArrayFile", "MeanDistance", "PixelMarginals", "PooledPixels"]
