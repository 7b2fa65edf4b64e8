"""Interface of a model that is trained first of two: an autoencoder whose codes a second model is trained on."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from lit_gen.noise import Noise


@runtime_checkable
class EncodesToIntegers(Protocol):
    """A model that represents every example by integer codes of one shape, such as a VQ-VAE.

    A model implements these members beside those of :class:`lit_gen.contract.GenerativeModule`; it does not inherit
    from this class. The codes become the data of a second model, the prior p(z).

    Attributes:
        num_code_values: Number of values of a code; codes are integers ``{0..num_code_values-1}``. Data modules hold
            at most 256 values; a larger codebook is represented by two integers for each code.
    """

    num_code_values: int

    def encode_integers(self, x: Tensor, noise: Noise) -> Tensor:
        """Codes of examples.

        Args:
            x: Integers in ``{0..num_levels-1}``, ``[B, *shape]``.
            noise: B rows, the source of all randomness of a stochastic encoder.

        Returns:
            Integers in ``{0..num_code_values-1}``, ``[B, *code_shape]``, with the same ``code_shape`` for all examples.
        """

    def decode_integers(self, codes: Tensor) -> Tensor:
        """Examples that codes represent.

        Args:
            codes: Integers in ``{0..num_code_values-1}``, ``[B, *code_shape]``.

        Returns:
            Integers in ``{0..num_levels-1}``, uint8 ``[B, *shape]``; nothing is random.
        """

    def decoder_nll(self, x: Tensor, codes: Tensor) -> Tensor:
        """Exact negative log-likelihood ``-log p(x | codes)`` of a decoder that is normalized over x.

        Args:
            x: Integers in ``{0..num_levels-1}``, ``[B, *shape]``.
            codes: Integers in ``{0..num_code_values-1}``, ``[B, *code_shape]``.

        Returns:
            Nats, ``[B]``, summed over the dimensions of x.
        """
