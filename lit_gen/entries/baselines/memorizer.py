"""Training examples, repeated."""

from __future__ import annotations

import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.entries.baselines.baseline import Baseline
from lit_gen.noise import Noise

SHARE = 0.1
_SEED = 0


class Memorizer(Baseline):
    """Draws with repetition from a tenth of the training examples, which were chosen at random.

    It copies, and knows little of the data: scores by which it is good do not notice copies.
    """

    name = "memorizer"

    @override
    def fit(self, x: Tensor) -> None:
        number = max(1, round(SHARE * len(x)))
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(_SEED))[:number]
        self._known = x[rows.sort().values]

    @property
    @override
    def row(self) -> str:
        return f"{self.name} of {len(self._known):,} training examples"

    @override
    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        chosen = (noise.uniform(1)[:, 0].double().cpu() * len(self._known)).long()
        return self._known[chosen]
