"""A grid of samples, to look at."""

from __future__ import annotations

import math
from pathlib import Path

import lightning as L
import numpy as np
from PIL import Image
from torch import Tensor

from lit_gen.callbacks.curves import images_seen
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.likelihood import to_uint8


class SampleGrid(L.Callback):
    """Writes ``samples/<images seen>.png`` at each validation: always the same latents, so that they compare.

    Args:
        num_samples: Samples in the grid; 0 for none.
        seed: Names their noise.
    """

    def __init__(self, num_samples: int = 64, seed: int = 0) -> None:
        if num_samples < 0:
            raise UserError(f"grid.num_samples is {num_samples}; give 0 for no grid")
        self.num_samples = num_samples
        self.seed = seed
        self.latest: Path | None = None

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws on the first process alone; the others have nothing to wait for."""
        wanted = self.num_samples and trainer.is_global_zero and not trainer.sanity_checking
        if not wanted or not isinstance(pl_module, GenerativeModule) or len(pl_module.shape) != 3:
            return
        with trainer.precision_plugin.forward_context():
            x = pl_module.sample(self.num_samples, seed=self.seed)
        path = Path(trainer.default_root_dir) / "samples" / f"{images_seen(trainer):010d}.png"
        self.latest = write_grid(to_uint8(x, pl_module.num_levels), path)
        for logger in trainer.loggers:
            if hasattr(logger, "log_image"):
                # A picture's row cannot hold its axis; W&B fills in the last value it was told.
                logger.log_metrics({"images_seen": float(images_seen(trainer))}, step=trainer.global_step)
                logger.log_image("samples", [str(path)], step=trainer.global_step)


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
