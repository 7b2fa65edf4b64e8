"""Random numbers that depend on the example, not on the batch."""

from lit_gen.noise.streams import GENERATOR, Noise, mix

__all__ = ["GENERATOR", "Noise", "mix"]
