"""Samples to look at: a grid of images, a page of text, recordings to listen to."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from PIL import Image
from torch import Tensor

from lit_gen.callbacks.curves import images_seen
from lit_gen.callbacks.sample_audio import players, write_wavs
from lit_gen.callbacks.sample_text import excerpt, write_texts
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.likelihood import to_uint8


class SampleGrid(L.Callback):
    """Writes samples at each validation: always of the same noise, so that they compare.

    What is written depends on what the data say they are: ``samples/<images seen>.png`` for images, a grid;
    ``.txt`` for text, of which the first is printed too; ``-<i>.wav`` for audio, one a sample. W&B shows
    them as ``samples``, audio as ``samples/<i>``.

    Args:
        num_samples: Samples in the grid; 0 for none; null for 64 images, or 8 texts or recordings.
        seed: Names their noise.

    Attributes:
        latest: What was written last.
    """

    def __init__(self, num_samples: int | None = None, seed: int = 0) -> None:
        if num_samples is not None and num_samples < 0:
            raise UserError(f"grid.num_samples is {num_samples}; give 0 for no grid")
        self.num_samples = num_samples
        self.seed = seed
        self.latest: list[Path] = []

    def count(self, data: Any) -> int:
        """How many samples are drawn for these data."""
        usual = 64 if modality_of(data) == "image" else 8
        return usual if self.num_samples is None else self.num_samples

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws on the first process alone; the others have nothing to wait for."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        wanted = self.count(data) and trainer.is_global_zero and not trainer.sanity_checking
        if not wanted or not isinstance(pl_module, GenerativeModule) or not can_show(pl_module.shape, data):
            return
        with trainer.precision_plugin.forward_context():
            x = pl_module.sample(self.count(data), seed=self.seed)
        stem = Path(trainer.default_root_dir) / "samples" / f"{images_seen(trainer):010d}"
        self.latest = write_samples(x, pl_module.num_levels, data, stem)
        if modality_of(data) == "text":
            _say(trainer, f"a sample after {images_seen(trainer):,} windows:\n{excerpt(data.decode(x[0]))}")
        self._log(trainer, x, data)

    def _log(self, trainer: L.Trainer, x: Tensor, data: Any) -> None:
        """Gives W&B's logger a picture, a table of texts, or players; others take no media."""
        method, step = f"log_{modality_of(data)}", trainer.global_step
        loggers: list[Any] = [logger for logger in trainer.loggers if hasattr(logger, method)]
        for logger in loggers:
            # A medium's row cannot hold its axis; W&B fills in the last value it was told.
            logger.log_metrics({"images_seen": float(images_seen(trainer))}, step=step)
            if method == "log_text":
                logger.log_text("samples", columns=["sample"], data=[[data.decode(row)] for row in x], step=step)
            elif method == "log_audio":
                logger.log_metrics(players(self.latest), step=step)
            else:
                logger.log_image("samples", [str(path) for path in self.latest], step=step)


def modality_of(data: Any) -> str:
    """What a data module says its integers are; images where it says nothing, or there is none."""
    return str(getattr(data, "modality", "image"))


def can_show(shape: tuple[int, ...], data: Any) -> bool:
    """Whether samples of a shape can be written: all of text and audio, and images ``[1 or 3, H, W]``."""
    return modality_of(data) != "image" or (len(shape) == 3 and shape[0] in (1, 3))


def write_samples(x: Tensor, num_levels: int, data: Any, stem: Path) -> list[Path]:
    """Writes samples as what they are; the folder is made.

    Args:
        x: Levels ``[N, *shape]``, of a shape that :func:`can_show` admits.
        num_levels: How many levels there are.
        data: The data module, which decodes text and audio.
        stem: The files' path without their ends.

    Returns:
        The files: one ``.png``, one ``.txt``, or a ``-<i>.wav`` for each sample.
    """
    if modality_of(data) == "text":
        pieces = ((f"sample {i}", row) for i, row in enumerate(x))
        return [write_texts(pieces, data, stem.with_name(f"{stem.name}.txt"))]
    if modality_of(data) == "audio":
        return write_wavs(x, data, stem)
    return [write_grid(to_uint8(x, num_levels), stem.with_name(f"{stem.name}.png"))]


def _say(trainer: L.Trainer, text: str) -> None:
    """Prints, above the progress bar where there is one."""
    bar: Any = trainer.progress_bar_callback
    (print if bar is None else bar.print)(text)


def image_grid(x: Tensor, border: int = 2) -> Tensor:
    """Images uint8 ``[N, C, H, W]`` side by side in a square or wider: uint8 ``[H', W', C]``, gaps mid-grey."""
    n, channels, height, width = x.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    grid = x.new_full((rows * (height + border) + border, columns * (width + border) + border, channels), 128)
    for i, image in enumerate(x.permute(0, 2, 3, 1)):
        top = border + (i // columns) * (height + border)
        left = border + (i % columns) * (width + border)
        grid[top : top + height, left : left + width] = image
    return grid


def write_grid(x: Tensor, path: Path, least_pixels: int = 500) -> Path:
    """Writes a PNG of the grid; small images are enlarged by whole pixels until it is wide enough to see.

    Args:
        x: uint8 ``[N, C, H, W]``, C of 1 or 3, values 0..255.
        path: The file; its folder is made.
        least_pixels: The wanted width.
    """
    grid = image_grid(x)
    scale = max(1, least_pixels // grid.shape[1])
    pixels = np.ascontiguousarray(grid.repeat_interleave(scale, 0).repeat_interleave(scale, 1).numpy())
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(path)
    return path
