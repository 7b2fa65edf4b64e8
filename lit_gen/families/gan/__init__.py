"""Generative adversarial networks: samples only, trained by a game of two players."""

from lit_gen.families.gan.gan import GAN

__all__ = ["GAN"]
