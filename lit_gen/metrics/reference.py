"""Summaries of real examples' features, computed once and kept on disk under a key of everything they depend on."""

from __future__ import annotations

import hashlib
import io
import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from lit_gen.errors import print_warning
from lit_gen.metrics.factory import build, statistic_class
from lit_gen.metrics.spaces.feature_space import FeatureSpace
from lit_gen.metrics.statistics.statistic import Statistic, StatisticFactory
from lit_gen.records.atomic import atomic_file
from lit_gen.screen.bars import open_bar

TRANSFORM_VERSION = 1
"""Raise it with every change to what a feature space does to its examples: the old files are then not found."""

Summary = Mapping[str, Tensor]


def reference_key(x: Tensor, space: FeatureSpace, statistic: Statistic, key: str) -> str:
    """A SHA-256, in hex, over the examples, their name, the feature space, and the statistic and its settings."""
    net = (space.name, space.sha256, TRANSFORM_VERSION)
    digest = hashlib.sha256(repr((key, tuple(x.shape), net, statistic.summary_key())).encode())
    # In parts: the examples need not fit into memory.
    for part in x.split(max(1, 2**26 // max(1, math.prod(x.shape[1:])))):
        digest.update(part.contiguous().cpu().numpy().data)
    return digest.hexdigest()


def reference_summaries(
    x: Tensor,
    space: FeatureSpace,
    factories: Sequence[StatisticFactory],
    key: str,
    cache_dir: str | Path,
    *,
    rank: int = 0,
    world_size: int = 1,
    all_reduce: Callable[[Tensor], Tensor] | None = None,
    block: int = 250,
) -> list[Summary | None]:
    """Summaries of all examples' features, from disk if they were computed before.

    A file's name hashes the examples' bytes, count and shape, the key, the space's name and checksum, the version of
    its transform, and the statistic's name and settings. Statistics with the same ``summary_key`` share a file.
    Processes share the work by blocks; they compute unless all of them found the file. Features are computed once for
    all statistics.

    Args:
        x: uint8 [N, ...] as the space takes them, the whole split, unshuffled and without augmentation.
        space: The feature space.
        factories: The statistics.
        key: Name of the data and split, for instance the data's fingerprint and "train".
        cache_dir: Folder of the files, made when missing.
        rank: Number of this process.
        world_size: Number of processes that share the work.
        all_reduce: Function that sums a tensor over all processes and returns it; needed when there are several.
        block: Examples taken at a time.

    Returns:
        A summary for each statistic; None for one that compares with no reference.

    Raises:
        ValueError: There are too few examples, features that are not finite, or several processes without
            ``all_reduce``.
    """
    if world_size > 1 and all_reduce is None:
        raise ValueError(f"{world_size} ranks need an all_reduce")
    reduce = all_reduce or (lambda tensor: tensor)
    add = all_reduce if world_size > 1 else None
    built = [
        build(factory, space, len(x), num_groups=1, all_reduce=add) if statistic_class(factory).uses_reference else None
        for factory in factories
    ]
    statistics = {s.summary_key(): s for s in built if s is not None}
    folder = Path(cache_dir)
    paths = {k: folder / f"{space.name}-{reference_key(x, space, s, key)[:32]}.pt" for k, s in statistics.items()}
    missing = []
    stored = {name: _stored(path) for name, path in paths.items()}
    for name, summary in stored.items():
        found = reduce(torch.tensor(float(summary is not None), dtype=torch.float64, device=space.sums_device))
        if int(found) < world_size:
            missing.append(name)
    if missing:
        blocks = range(rank * block, len(x), world_size * block)
        _update(x, space, [statistics[name] for name in missing], blocks, block, f"statistics of {key}", rank == 0)
    summaries: dict[str, Summary] = {}
    for name, path in paths.items():
        if name not in missing and (kept := stored[name]) is not None:
            summaries[name] = kept
            continue
        summaries[name] = statistics[name].summary()
        if not statistics[name].is_usable(summaries[name]):
            what = f"{len(x)} {'images' if space.modality == 'image' else 'windows'} of {key}"
            raise ValueError(f"{what} have no statistics: too few, or features that are not finite")
        _store(summaries[name], path)
    return [None if s is None else summaries[s.summary_key()] for s in built]


def _stored(path: Path) -> Summary | None:
    """Reads a summary; None if there is none, which another process may have removed meanwhile, or it is damaged."""
    try:
        summary: Summary = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None
    return summary


def _store(summary: Summary, path: Path) -> None:
    """Writes a summary; one that cannot be written is computed again by the next run."""
    content = io.BytesIO()  # torch's writer raises errors of its own, without the reason
    torch.save(dict(summary), content)
    try:
        with atomic_file(path) as temporary:
            temporary.write_bytes(content.getbuffer())
    except OSError as error:
        print_warning(f"the statistics of the data are not kept in {path.parent}: {error.strerror}")


def _update(
    x: Tensor, space: FeatureSpace, statistics: Sequence[Statistic], starts: range, block: int, what: str, shown: bool
) -> None:
    """Updates the statistics with the blocks of examples that begin at these places, with a bar if it takes long."""
    collection = MetricCollection({str(i): s for i, s in enumerate(statistics)}, compute_groups=False)
    bar = open_bar(what, len(starts) * block, "examples", shown=shown, brief=True)
    for first in starts:
        features, logits = space(x[first : first + block])
        index = torch.arange(first, first + len(features), device=features.device)
        collection.update(features=features, logits=logits, index=index)
        bar.update(block)
    bar.close()
