"""Variational autoencoders: latent variable models, trained by a lower bound on the likelihood."""

from lit_gen.families.vae.observation import Bernoulli, Categorical, DiscretizedLogistic, Observation
from lit_gen.families.vae.vae import VAE

__all__ = ["VAE", "Bernoulli", "Categorical", "DiscretizedLogistic", "Observation"]
