"""Samples of a scored model, written beside its record."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import torch

from lit_gen.errors import file_error, print_warning
from lit_gen.media.nearest_pairs import write_pairs_page
from lit_gen.media.sample_files import can_show, write_samples
from lit_gen.quantization import to_uint8
from lit_gen.runs.record_files import FINAL, PAIRS, final_samples
from lit_gen.runs.run import Run
from lit_gen.scoring.scorer import Scorer

MOST_PAIRS = 48
"""Pairs on the page of samples and their nearest training images."""


def write_final_samples(run: Run, trainer: L.Trainer, folder: Path) -> None:
    """Draws samples with the scored weights and precision; previous samples are removed.

    Samples that cannot be written are a warning: the scores, which took longer, are still to be written.
    """
    data, grid, x = run.data, run.grid, None
    n = grid.count(data)
    if run.model.most_samples is not None:
        n = min(n, run.model.most_samples)
    if n and can_show(run.model.shape, data):
        with trainer.precision_plugin.forward_context():
            x = run.model.sample(n, seed=grid.seed)
    try:
        for old in final_samples(folder).values():
            old.unlink()
        if x is not None:
            write_samples(x, run.model.num_levels, data, folder / FINAL)
    except (OSError, RuntimeError) as error:
        if (reason := file_error(error)) is None:
            raise
        print_warning(f"no samples: {reason}")


def write_nearest_pairs(run: Run, trainer: L.Trainer, scorer: Scorer, folder: Path) -> None:
    """Draws the samples that are nearest to training images once more, and writes them beside those.

    A page that cannot be written is a warning, as are samples.
    """
    if scorer.pairs is None or scorer.extractor is None or scorer.extractor.modality != "image":
        return
    pairs, levels = scorer.pairs.first(MOST_PAIRS), run.model.num_levels
    run.model.eval()
    with torch.no_grad(), trainer.precision_plugin.forward_context():
        x = run.model.draw(run.scoring.seed, pairs.sample.tolist()).cpu()
    near = run.data.split("train").x[pairs.reference]
    try:
        write_pairs_page(
            to_uint8(x, levels), to_uint8(near, levels), pairs, folder / PAIRS, space=scorer.extractor.name,
            total=len(scorer.pairs.sample),
        )
    except OSError as error:
        print_warning(f"no page of nearest training images: {error.strerror}")
