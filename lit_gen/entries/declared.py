"""Samples and likelihoods of another program, as their author declares them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.contract import Batch, Estimation
from lit_gen.entries.entry import Entry
from lit_gen.entries.foreign_samples import SampleFile, sample_file
from lit_gen.entries.nats_file import read_nats
from lit_gen.errors import UserError
from lit_gen.likelihood import Likelihood


class Declared(Entry):
    """Samples and likelihoods of another program.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values; linked from the data.
        samples: A folder of images, or a .npy or .npz file; see :func:`~lit_gen.entries.foreign_samples.sample_file`.
        value_range: Values that stand for the lowest and the highest of the data's; null if samples are the data's
            integers.
        nats: File of negative log-likelihoods of the scored split; see :func:`~lit_gen.entries.nats_file.read_nats`.
        kind: What these are, as their author declares: ``exact``, ``bound`` or ``estimate``.

    Raises:
        UserError: If there is neither, a file does not fit the data, or likelihoods have no kind.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        samples: Path | None = None,
        value_range: Sequence[float] | None = None,
        nats: Path | None = None,
        kind: Literal["exact", "bound", "estimate"] | None = None,
    ) -> None:
        super().__init__(shape, num_levels)
        if samples is None and nats is None:
            raise UserError("nothing to score: give --samples or --nats")
        if nats is not None and kind is None:
            raise UserError(
                "--nats: say what the likelihoods are by --kind exact, --kind bound (an ELBO, or dequantized data),"
                " or --kind estimate"
            )
        if nats is None and kind is not None:
            raise UserError(f"--kind={kind}: there are no likelihoods; give --nats, or leave it out")
        if value_range is not None and (samples is None or len(value_range) != 2):
            raise UserError("--range: give two numbers, the values of black and white in --samples")
        self.path, self.kind = samples, kind
        bounds = None if value_range is None else (float(value_range[0]), float(value_range[1]))
        self.file: SampleFile | None = None
        if samples is not None:
            self.file = sample_file(samples, self.shape, num_levels, bounds)
        self.most_samples = 0 if self.file is None else len(self.file)
        self._nats = None if nats is None else read_nats(nats)
        self.estimators = ("declared",) if nats is not None else ()  # type: ignore[misc]

    @override
    def draw(self, seed: int, indices: Iterable[int], label: Tensor | None = None) -> Tensor:
        chosen = list(indices)
        if self.file is None:
            raise UserError("there are no samples; give --samples")
        if max(chosen) >= len(self.file):
            raise UserError(f"{self.path}: {len(self.file):,} samples, and {max(chosen) + 1:,} are asked for")
        return torch.from_numpy(self.file.rows(chosen))

    @override
    def estimate(self, batch: Batch, how: Estimation) -> list[Likelihood]:
        if self._nats is None or self.kind is None:
            return []
        return [Likelihood(self._nats[batch[2].cpu()].to(self.device), self.kind, "declared")]

    def check_split(self, name: str, length: int) -> None:
        """Validates that there is a likelihood for each example of a split.

        Raises:
            UserError: If there are more or fewer.
        """
        if self._nats is not None and len(self._nats) != length:
            raise UserError(
                f"--nats: {len(self._nats):,} values, and the split '{name}' has {length:,} examples; give one for"
                " each, in the split's order"
            )

    @override
    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        return {"name": "declared" if self.path is None else self.path.name}

    @property
    @override
    def entry_notes(self) -> dict[str, Any]:
        parts = {"samples": self.file is not None, "likelihoods": self._nats is not None}
        found: dict[str, Any] = {"declared": " and ".join(name for name, given in parts.items() if given)}
        if self.file is not None and self.file.note:
            found["samples_lossy"] = self.file.note
        clamped, values = getattr(self.file, "counted", (0, 0))
        if clamped:
            found["samples_clamped"] = clamped / values
        return found
