"""Statistics of real examples, computed once and kept on disk under a key of everything they depend on."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from lit_gen.metrics.spaces.feature_space import FeatureSpace
from lit_gen.metrics.sums import Sums

TRANSFORM_VERSION = 1
"""Raise it with every change to what an extractor does to its examples: the old files are then not found."""


def reference_key(x: Tensor, extractor: FeatureSpace, key: str) -> str:
    """A SHA-256, in hex, over the examples themselves, what they are called, and the extractor that sees them."""
    net = (extractor.name, extractor.sha256, TRANSFORM_VERSION)
    digest = hashlib.sha256(repr((key, tuple(x.shape), net)).encode())
    for part in x.split(4096):
        digest.update(part.contiguous().cpu().numpy().data)
    return digest.hexdigest()


def reference_sums(
    x: Tensor,
    extractor: FeatureSpace,
    key: str,
    cache_dir: str | Path,
    *,
    rank: int = 0,
    world_size: int = 1,
    all_reduce: Callable[[Tensor], Tensor] | None = None,
    block: int = 250,
) -> Sums:
    """Sums over the features of all examples, from disk if they were computed before.

    The file's name hashes the examples' bytes, count and shape, the key, the extractor's name and checksum and
    the version of its transform, so that no other data or net can be mistaken for these. Ranks share the work
    by blocks; they compute unless all of them found the file.

    Args:
        x: uint8 [N, ...] as the extractor takes them, the whole split, unshuffled and without augmentation.
        extractor: the feature space.
        key: which data and split these are, for instance the data's fingerprint and "train".
        cache_dir: folder of the files, made when missing.
        rank: this process.
        world_size: how many processes share the work.
        all_reduce: sums a tensor over all processes and returns it; needed when there are several.
        block: examples taken at a time.

    Raises:
        ValueError: for too few examples, for features that are not finite, or several ranks without
            all_reduce.
    """
    if world_size > 1 and all_reduce is None:
        raise ValueError(f"{world_size} ranks need an all_reduce")
    reduce = all_reduce or (lambda tensor: tensor)
    path = Path(cache_dir) / f"{extractor.name}-{reference_key(x, extractor, key)[:32]}.pt"
    device = extractor.sums_device
    sums = extractor.zero_sums()
    found = reduce(torch.tensor(float(path.is_file()), dtype=torch.float64, device=device))
    if int(found) == world_size:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        return type(sums)(**tensors)

    for first in range(rank * block, len(x), world_size * block):
        sums.update(extractor(x[first : first + block]).features)
    sums = sums.map(reduce).map(Tensor.cpu)
    if not sums.complete:
        noun = "images" if extractor.modality == "image" else "windows"
        raise ValueError(f"{len(x)} {noun} of {key} have no statistics: too few, or features that are not finite")
    write_atomically(path, sums)
    return sums


def write_atomically(path: Path, sums: Sums) -> None:
    """Writes beside the file and renames: a reader, or another rank, sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")
    try:
        torch.save(sums.tensors(), temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
