"""Label classes, with label dropout in training."""

from __future__ import annotations

from dataclasses import dataclass

from lit_gen.errors import UserError


@dataclass(frozen=True)
class Labels:
    """Number of label classes, and the fraction of training labels that are dropped.

    Attributes:
        num_classes: Number of label classes; 0 means unconditional.
        dropout: Fraction of training examples whose label is dropped, so that the network also learns the
            unconditional distribution, which the likelihood and guidance need.

    Raises:
        UserError: If ``num_classes`` is negative, or ``dropout`` is not between 0 and 1.
    """

    num_classes: int = 0
    dropout: float = 0.1

    def __post_init__(self) -> None:
        """Validates the fields."""
        if self.num_classes < 0:
            raise UserError(f"labels: num_classes={self.num_classes} must not be negative")
        if self.num_classes and not 0 < self.dropout < 1:
            raise UserError(f"labels: dropout={self.dropout} must be between 0 and 1: the likelihood needs both")
