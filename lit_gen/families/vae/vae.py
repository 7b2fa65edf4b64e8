"""The variational autoencoder."""

from __future__ import annotations

import math

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from lit_gen.contract import Batch, GenerativeModule
from lit_gen.errors import UserError
from lit_gen.families.vae.observation import Bernoulli, Categorical, Observation
from lit_gen.likelihood import Likelihood, LogMeanExp, gaussian_kl, gaussian_log_prob, standard_normal_log_prob
from lit_gen.nets import AutoencoderNets, MLPNets
from lit_gen.noise import Noise
from lit_gen.optim import AdamW, parameter_groups
from lit_gen.quantization import to_unit

_CHUNK_ELEMENTS = 1 << 16  # decoder outputs per example in one chunk of the importance-weighted bound


class VAE(GenerativeModule):
    """A latent variable model with a Gaussian prior, a decoder p(x | z), and a diagonal Gaussian encoder q(z | x).

    Trained by the evidence lower bound, with the KL term in closed form. Scored by the same bound
    (``elbo``, averaged over draws) or by the importance-weighted one (``iwae``, with k draws inside the logarithm),
    which is tighter and still a bound.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        num_latents: Number of dimensions of z.
        nets: Encoder and decoder; a small MLP if not given.
        observation: Observation model p(x | z); if not given, Bernoulli for binary data and Categorical for others.
        optimizer: Optimizer of all parameters.
        warmup_examples: Number of examples over which the weight of the KL term rises from 0 to 1; 0 disables the
            warm-up. Scores always use the whole bound.

    References:
        Kingma, Welling: Auto-Encoding Variational Bayes, 2014, arXiv:1312.6114, equations 8 and 10.
        Burda, Grosse, Salakhutdinov: Importance Weighted Autoencoders, 2016, arXiv:1509.00519, equation 8.
    """

    estimators = ("elbo", "iwae")

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        num_latents: int = 8,
        nets: AutoencoderNets | None = None,
        observation: Observation | None = None,
        optimizer: OptimizerCallable = AdamW,
        warmup_examples: int = 0,
    ) -> None:
        super().__init__(shape, num_levels)
        if num_latents < 1:
            raise UserError(f"VAE: num_latents={num_latents} must be at least 1")
        nets = nets or MLPNets()
        self.observation = observation or (Bernoulli() if num_levels == 2 else Categorical())
        num_maps = self.observation.num_maps(num_levels)
        self.num_latents = num_latents
        self.encoder = nets.encoder(self.shape, 2 * num_latents)
        self.decoder = nets.decoder(num_latents, self.shape, num_maps)
        self.optimizer = optimizer
        self.warmup_examples = warmup_examples
        # Depends on the size of an example only, so that its draws do not depend on the batch.
        self._chunk = max(1, _CHUNK_ELEMENTS // (num_maps * math.prod(self.shape)))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each ``[B, num_latents]``."""
        mean, log_var = self.encoder(to_unit(x, self.num_levels)).chunk(2, dim=1)
        return mean, log_var

    def decode_log_prob(self, x: Tensor, z: Tensor) -> Tensor:
        """Log p(x | z) in nats, ``[B]``."""
        return self.observation.log_prob(self.decoder(z), x, self.num_levels)

    # -------------------------------------------------------------- training

    def training_step(
        self, batch: Batch, batch_idx: int
    ) -> dict[str, Tensor]:
        """The negative evidence lower bound in nats per example, and its two terms."""
        x = batch[0]
        mean, log_var = self.encode(x)
        z = torch.addcmul(mean, torch.randn_like(mean), (0.5 * log_var).exp())
        distortion = -self.decode_log_prob(x, z).mean()
        rate = gaussian_kl(mean, log_var).mean()
        beta = 1.0
        if self.warmup_examples:
            # Counts batches, not global_step: several batches may accumulate into one step.
            batches = self.trainer.fit_loop.epoch_loop.total_batch_idx + 1
            beta = min(1.0, batches * len(x) * self.trainer.world_size / self.warmup_examples)
        return {"loss": distortion + beta * rate, "rate": rate, "distortion": distortion}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Builds the optimizer of all parameters; Muon treats none of them as a hidden weight."""
        return self.optimizer(parameter_groups(self))

    # -------------------------------------------------------------- the contract

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Draws z from the prior and x from p(x | z)."""
        self.count_evaluations(len(noise))
        maps = self.decoder(noise.normal(self.num_latents))
        return self.observation.sample(maps, noise, self.num_levels)

    def to_latent(self, x: Tensor, noise: Noise) -> Tensor:
        """The mean of q(z | x), ``[B, num_latents]``; deterministic."""
        return self.encode(x)[0]

    def from_latent(self, z: Tensor) -> Tensor:
        """The most probable values under p(x | z), uint8 ``[B, *shape]``; deterministic."""
        return self.observation.mode(self.decoder(z), self.num_levels)

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """A bound: ``elbo`` averages over draws, ``iwae`` averages inside the logarithm.

        Raises:
            UserError: If the estimator is unknown.
        """
        self.check_estimator(estimator)
        mean, log_var = self.encode(x)
        if estimator == "iwae":
            return Likelihood(-self._iwae(x, mean, log_var, noise, draws), "bound", f"iwae-{draws}")
        rate = gaussian_kl(mean, log_var)
        log_prob = torch.zeros(len(x), device=x.device)
        for _ in range(draws):
            z = mean + (0.5 * log_var).exp() * noise.normal(self.num_latents)
            log_prob += self.decode_log_prob(x, z)
        distortion = -log_prob / draws
        return Likelihood(distortion + rate, "bound", "elbo", {"rate": rate, "distortion": distortion})

    def _iwae(self, x: Tensor, mean: Tensor, log_var: Tensor, noise: Noise, draws: int) -> Tensor:
        """The importance-weighted bound on log p(x), ``[B]``, in chunks of draws that fit in memory."""
        total, done = LogMeanExp(), 0
        while done < draws:
            k = min(self._chunk, draws - done)
            eps = noise.normal(k, self.num_latents)
            z = mean[:, None] + (0.5 * log_var).exp()[:, None] * eps
            z = z.flatten(0, 1)
            repeat = [t.repeat_interleave(k, 0) for t in (x, mean, log_var)]
            log_weights = (
                self.decode_log_prob(repeat[0], z)
                + standard_normal_log_prob(z)
                - gaussian_log_prob(z, repeat[1], repeat[2])
            )
            total.update(log_weights.unflatten(0, (len(x), k)).T)
            done += k
        return total.value
