"""How the scalars of a statistic are called, printed and ranked."""

from __future__ import annotations

from typing import NamedTuple


class ScoreSpec(NamedTuple):
    """How one scalar of a statistic is called, printed and ranked.

    >>> spec = ScoreSpec("fd", "FD", standard=("fid", "FID"))
    >>> spec.name("mnist_cnn"), spec.label_in("mnist_cnn")
    ('fd_mnist_cnn', 'FD-mnist_cnn')
    >>> spec.name(None), spec.label_in(None)
    ('fid', 'FID')
    """

    key: str
    """Key of the scalar in what ``compute`` returns; its standard error is at ``key + "_se"``."""
    label: str
    """Printed name."""
    unit: str = ""
    higher_is_better: bool = False
    decimals: int = 2
    standard: tuple[str, str] | None = None
    """Name and label under the published Inception weights, where they are not ``key`` and ``label``."""

    def name(self, network: str | None) -> str:
        """Name of the score in records and logs.

        Args:
            network: Name of the feature space; None for Inception with torch-fidelity's weights.
        """
        return f"{self.key}_{network}" if network else self.standard[0] if self.standard else self.key

    def label_in(self, network: str | None) -> str:
        """Printed name of the score, with that of its feature space."""
        return f"{self.label}-{network}" if network else self.standard[1] if self.standard else self.label
