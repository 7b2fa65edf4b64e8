"""From indices of images in shards to a batch of integers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from lit_gen.data.decode import Transform
from lit_gen.data.epoch_loader import Batch
from lit_gen.data.image_source import Example
from lit_gen.data.picture import UnreadableImageError
from lit_gen.data.streaming.shards import Shards
from lit_gen.errors import UserError


@dataclass(frozen=True)
class Decoded:
    """A batch, and what happened to its images.

    Attributes:
        batch: The batch.
        unreadable: Images that cannot be read, with the reason.
        changes: Counts what was done to images, by the names in `picture.CHANGES`.
        error: Why there is no batch, in one line; an exception of a worker would become a traceback.
    """

    batch: Batch = field(default_factory=lambda: Batch(torch.empty(0), None, torch.empty(0)))
    unreadable: list[str] = field(default_factory=list)
    changes: Counter[str] = field(default_factory=Counter)
    error: str = ""

    def pin_memory(self) -> Decoded:
        """The same in page-locked memory; called by torch's DataLoader."""
        return replace(self, batch=self.batch.pin_memory())

    def checked(self) -> Decoded:
        """Itself.

        Raises:
            UserError: There is no batch.
        """
        if self.error:
            raise UserError(self.error)
        return self


@dataclass(frozen=True)
class Decoder:
    """Reads and decodes images of a split.

    Args:
        shards: The encoded images.
        transform: Crop, size and channels of the images.
        skip_unreadable: Whether damaged images are left out; an error if False.
    """

    shards: Shards
    transform: Transform
    skip_unreadable: bool = False

    def read(self, index: np.ndarray) -> list[Example]:
        """Encoded images, int64 ``[M]``; each piece is read once if its images follow each other."""
        ends = np.cumsum(self.shards.counts)
        piece = np.searchsorted(ends, index, side="right")
        cuts = np.flatnonzero(np.diff(piece)) + 1
        found: list[Example] = []
        for part in np.split(np.arange(len(index)), cuts):
            if len(part):
                number = int(piece[part[0]])
                found += self.shards.read(number, index[part] - (ends[number] - self.shards.counts[number]))
        return found

    def batch(self, examples: Sequence[Example], index: np.ndarray, refill: bool = False) -> Decoded:
        """Decodes a batch; an error is a part of what is returned.

        Args:
            examples: Encoded images.
            index: Their indices, int64 ``[M]``.
            refill: Whether an unreadable image is replaced by the next readable one of the batch, so that batches
                keep their size; it is left out if False.
        """
        changes: Counter[str] = Counter()
        unreadable: list[str] = []
        size = self.transform.size
        pixels = np.empty((len(examples), self.transform.channels, size, size), np.uint8)
        readable = []
        try:
            for row, example in enumerate(examples):
                try:
                    pixels[row] = self.transform(example.image, example.where, changes)
                    readable.append(row)
                except UnreadableImageError as error:
                    unreadable.append(f"{example.where} ({error})")
        except UserError as error:
            return Decoded(error=str(error))
        if unreadable and (not self.skip_unreadable or (refill and not readable)):
            more = f" (and {len(unreadable) - 1} more of its batch)" if len(unreadable) > 1 else ""
            remedy = "repair or remove it" if self.skip_unreadable else "repair it, or set skip_unreadable to true"
            return Decoded(error=f"an image cannot be read: {unreadable[0]}{more}; {remedy}")
        rows = np.array(readable, np.int64)
        if refill:
            rows = rows[np.searchsorted(rows, np.arange(len(examples))) % len(rows)]
        x = torch.from_numpy(pixels if len(rows) == len(pixels) and not unreadable else pixels[rows])
        labels = [examples[row].label for row in rows.tolist()]
        label = None if None in labels else torch.tensor(labels, dtype=torch.int64)
        return Decoded(Batch(x, label, torch.from_numpy(index[rows])), unreadable, changes)
