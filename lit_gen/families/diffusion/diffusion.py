"""Base class of diffusion models: a denoiser at any noise level, two likelihood estimators, and the samplers."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.families.diffusion.allocation import PILOT_EXAMPLES, Allocation, pilot
from lit_gen.families.diffusion.decoder import nearest_level_log_prob
from lit_gen.families.diffusion.labels import Labels
from lit_gen.families.diffusion.ode import OdeSettings, log_density
from lit_gen.families.diffusion.prediction import Prediction, clipped, diffuse, guided, halves
from lit_gen.families.diffusion.samplers import alpha_sigma
from lit_gen.families.diffusion.sampling import Sampling
from lit_gen.likelihood import Likelihood, gaussian_kl, standard_normal_log_prob
from lit_gen.noise import Noise
from lit_gen.optim import parameter_groups
from lit_gen.quantization import from_symmetric, to_symmetric

_CHUNK_ELEMENTS = 1 << 18  # elements of a batch for which the ODE is solved at once


class Diffusion(GenerativeModule, abc.ABC):
    """Data are noised, ``z = alpha x + sigma eps``, and a network learns to predict the data or the noise.

    Noise levels are given by their log signal-to-noise ratio (log-SNR), and z is in the variance-preserving scale,
    whatever scale and time the paper uses: a subclass converts them in :meth:`denoise`. All models therefore share
    one ODE, one set of samplers and one bound.

    **The bound** (``vlb``) is the variational one: the information about x left at the last noise level (``prior``),
    the noise levels between (``diffusion``), and the decoding of x at the first (``reconstruction``). Draws are noise
    levels per example, in proportion to the size of their terms in a pilot run. **The estimate** (``ode``) replaces
    the first two terms by the density of the probability-flow ODE at a draw of the first latent, less that draw's own:
    the density of the deterministic samplers in the limit of many steps and without clipping.

    With label classes, the network is also trained without labels (``labels.dropout``), and the likelihood is that of
    x by the unconditional network.

    Args:
        shape: Shape of one example; linked from the data.
        num_levels: Number of values of the data; linked from the data.
        net: Network from ``(z, time, label)`` to the model's prediction.
        labels: Number of label classes, and the fraction of training labels that are dropped.
        sampling: Sampling options.
        ode: Accuracy of the probability-flow ODE solver.
        optimizer: Optimizer of all parameters.

    References:
        Kingma, Salimans, Poole, Ho: Variational Diffusion Models, 2021, arXiv:2107.00630, equations 11 and 17.
        Song et al. 2021, arXiv:2011.13456, section 4.3 (the ODE).
    """

    estimators = ("vlb", "ode")
    pilot_examples = PILOT_EXAMPLES
    sampling: Sampling

    log_snr_min: float
    log_snr_max: float
    """Noise levels (log-SNR) of the last and the first latent, between which the likelihood is computed."""

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        net: nn.Module,
        *,
        labels: Labels,
        sampling: Sampling,
        ode: OdeSettings,
        optimizer: OptimizerCallable,
    ) -> None:
        super().__init__(shape, num_levels)
        self.net, self.num_dims = net, math.prod(self.shape)
        self.labels, self.num_classes = labels, labels.num_classes
        self.sampling, self.ode, self.optimizer = sampling, ode, optimizer
        self.allocation = Allocation.even()

    # -------------------------------------------------------------- what a paper says

    @abc.abstractmethod
    def denoise(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """Predicts data and noise of z ``[B, *shape]`` at log-SNRs ``[B]``; label int64 ``[B]``, None for no class."""

    @abc.abstractmethod
    def log_snr_grid(self, steps: int) -> Tensor:
        """Log-SNRs of a sampler with this number of steps, float64 ``[steps + 1]``, noisiest first.

        Raises:
            UserError: If the model cannot be sampled in that many steps.
        """

    def reconstruction_log_prob(self, x: Tensor, z: Tensor, clip: bool = False) -> Tensor:
        """Log P(x | z) of integers x, given z at the first noise level: nats, ``[B]``.

        Args:
            x: Integers ``[B, *shape]``.
            z: Latents ``[B, *shape]``.
            clip: Whether a predicted x is clipped to the data's range, if the decoder uses one.
        """
        alpha, sigma = alpha_sigma(self.log_snr_max)
        return nearest_level_log_prob(x, z / alpha, sigma / alpha, self.num_levels)

    def diffusion_nats(self, x: Tensor, noise: Noise, draws: int) -> Tensor:
        """The diffusion term between the ends, for x ``[B, *shape]`` in [-1, 1]: nats, ``[B]``.

        It is the integral of :meth:`nats_at` over positions in [0, 1], estimated by ``draws`` of them per example.
        """
        return self.allocation.integral(lambda position: self.nats_at(x, position, noise), noise, draws)

    def nats_at(self, x: Tensor, position: Tensor, noise: Noise) -> Tensor:
        """Density of the diffusion term at positions ``[B]`` in [0, 1], with one draw of the noise: nats, ``[B]``.

        In continuous time, positions are evenly spaced in the log-SNR, and the density is half of
        ``||eps - eps_hat||**2`` times the range of the log-SNR. It has no heavy tail: each of its values is a squared
        error of standard normal noise.
        """
        span = self.log_snr_max - self.log_snr_min
        return 0.5 * span * self._squared_error(x, self.log_snr_min + span * position, noise)

    @torch.no_grad()
    def prepare_nll(self, x: Tensor, seed: int, estimator: str | None) -> None:
        """Allocates the draws of the bound by a pilot run."""
        if estimator in (None, "vlb"):
            self.allocation = pilot(self.nats_at, to_symmetric(x, self.num_levels), seed)

    # -------------------------------------------------------------- training

    def on_fit_start(self) -> None:
        """Validates the labels."""
        self.check_labels()

    def training_label(self, label: Tensor | None) -> Tensor | None:
        """Labels of a training batch, some of them dropped; None if the model has no classes."""
        if not self.num_classes or label is None:
            return None
        hidden = torch.rand(len(label), device=label.device) < self.labels.dropout
        return torch.where(hidden, self.num_classes, label.long())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Builds the optimizer of all parameters."""
        # Parameters outside the network, such as the ends of a learned schedule, should not decay to zero.
        rest = [p for name, p in self.named_parameters() if not name.startswith("net.")]
        return self.optimizer(parameter_groups(self, no_decay=rest))

    # -------------------------------------------------------------- likelihood

    def nll(self, x: Tensor, noise: Noise, estimator: str | None = None, draws: int = 1) -> Likelihood:
        """A bound (``vlb``), or an estimate by the probability-flow ODE (``ode``).

        Raises:
            UserError: If the estimator is unknown.
        """
        self.check_estimator(estimator)
        if estimator == "ode":
            parts = self._ode_parts(x, noise, draws)
            nats = parts["reconstruction"] + parts["latent"] - parts["entropy"]
            return Likelihood(nats, "estimate", f"ode-dopri5-{self.ode.tolerance:g}", parts)
        real = to_symmetric(x, self.num_levels)
        z = diffuse(real, noise.normal(*self.shape), self._levels(self.log_snr_max, x))
        alpha, sigma = alpha_sigma(self.log_snr_min)
        log_var = torch.full_like(real, 2 * math.log(sigma))
        parts = {
            "prior": gaussian_kl(alpha * real, log_var),
            "diffusion": self.diffusion_nats(real, noise, draws),
            "reconstruction": -self.reconstruction_log_prob(x, z, self.sampling.clip_denoised),
        }
        name = "vlb-clipped" if self.sampling.clip_denoised else "vlb"
        return Likelihood(sum(parts.values(), torch.zeros((), device=x.device)), "bound", name, parts)

    @override
    def likelihood_in_float32(self, estimator: str | None = None) -> bool:
        # The ODE is solved in float32, and the nearest-value decoder uses no network.
        return estimator == "ode" and type(self).reconstruction_log_prob is Diffusion.reconstruction_log_prob

    def predict(self, z: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Prediction:
        """As :meth:`denoise`, with data clipped to their range if the sampler does so: the same model is scored."""
        predicted = self.denoise(z, log_snr, label)
        return clipped(z, log_snr, predicted) if self.sampling.clip_denoised else predicted

    def _levels(self, log_snr: float, like: Tensor) -> Tensor:
        return torch.full((len(like),), log_snr, device=like.device)

    def _squared_error(self, x: Tensor, log_snr: Tensor, noise: Noise) -> Tensor:
        """``||eps - eps_hat||**2``, ``[B]``, at log-SNRs ``[B]``."""
        eps = noise.normal(*self.shape)
        predicted = self.predict(diffuse(x, eps, log_snr), log_snr)
        return (eps - predicted.eps_hat).square().flatten(1).sum(1)

    def _ode_parts(self, x: Tensor, noise: Noise, draws: int) -> dict[str, Tensor]:
        """Means over draws of ``-log P(x | z)``, ``-log p(z)`` by the ODE, and ``-log q(z | x)``, each ``[B]``."""
        x, each = x.repeat(draws, *[1] * len(self.shape)), range(draws)
        eps, probe = (
            torch.cat(rows)
            for rows in zip(*[(noise.normal(*self.shape), noise.uniform(*self.shape)) for _ in each], strict=True)
        )
        z = diffuse(to_symmetric(x, self.num_levels), eps, self._levels(self.log_snr_max, x))
        signs = (probe < 0.5).float() * 2 - 1
        size = max(1, _CHUNK_ELEMENTS // self.num_dims)
        latent_log_prob = functools.partial(
            log_density,
            self._eps_hat,
            start=self.log_snr_max,
            stop=self.log_snr_min,
            tolerance=self.ode.tolerance,
            max_steps=self.ode.max_steps,
        )
        levels = zip(x.split(size), z.split(size), strict=True)
        chunks = zip(z.split(size), signs.split(size), strict=True)
        log_sigma = math.log(alpha_sigma(self.log_snr_max)[1])
        found = {
            "reconstruction": -torch.cat([self.reconstruction_log_prob(*chunk) for chunk in levels]),
            "latent": -torch.cat([latent_log_prob(*chunk) for chunk in chunks]),
            "entropy": self.num_dims * log_sigma - standard_normal_log_prob(eps),
        }
        return {name: nats.view(draws, -1).mean(0) for name, nats in found.items()}

    def _eps_hat(self, z: Tensor, log_snr: Tensor) -> Tensor:
        return self.denoise(z, log_snr).eps_hat

    # -------------------------------------------------------------- samples

    def check_sampling(self, sampling: Sampling) -> None:
        """Validates sampling options for this model.

        Raises:
            UserError: If guidance is used without classes, or there are more steps than timesteps.
        """
        if sampling.guidance != 1 and not self.num_classes:
            raise UserError(f"sampling: guidance={sampling.guidance:g} needs classes; train with labels.num_classes")
        self.log_snr_grid(sampling.num_steps)

    def sampler_settings(self) -> dict[str, str | int | float | bool]:
        """The sampler with its steps, and guidance if used."""
        how = self.sampling
        settings: dict[str, str | int | float | bool] = {"name": how.sampler, "steps": how.num_steps}
        settings["clip_denoised"] = how.clip_denoised
        settings |= how.langevin_settings(self.log_snr_grid(how.num_steps).tolist())
        if how.guidance != 1:
            settings["guidance"] = how.guidance
        if self.num_classes:
            settings["class_conditional"] = True
        return settings

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        """Runs the sampler from pure noise, and rounds to the nearest values."""
        if self.num_classes and label is None:
            label = (noise.uniform() * self.num_classes).long()
        return self.from_noise(noise.normal(*self.shape), noise, label)

    def from_noise(
        self, z: Tensor, noise: Noise, label: Tensor | None = None, sampler: str | None = None
    ) -> Tensor:
        """Integers uint8 ``[B, *shape]`` sampled from pure noise z; by the model's own sampler if not given."""
        log_snrs = self.log_snr_grid(self.sampling.num_steps).tolist()
        z = self.sampling.algorithm(sampler)(self._denoiser(label), z, log_snrs, noise)
        alpha, _ = alpha_sigma(log_snrs[-1])
        return from_symmetric(z / alpha, self.num_levels)

    def score(self, y: Tensor, log_snr: float) -> Tensor:
        """Predicted score of unscaled noised data ``y = z / alpha`` at a log-SNR, both ``[B, *shape]``."""
        alpha, sigma = alpha_sigma(log_snr)
        return -(alpha / sigma) * self.denoise(alpha * y, self._levels(log_snr, y)).eps_hat

    def paths(self, noise: Noise) -> Tensor:
        """Unscaled data where the sampler evaluates the network, and the samples last: ``[N, B, *shape]``."""
        log_snrs = self.log_snr_grid(self.sampling.num_steps).tolist()
        denoise, found = self._denoiser(None), []

        def noted(z: Tensor, level: float) -> Prediction:
            if level > -math.inf:  # pure noise has no scale of the data
                found.append(z / alpha_sigma(level)[0])
            return denoise(z, level)

        z = self.sampling.algorithm()(noted, noise.normal(*self.shape), log_snrs, noise)
        return torch.stack([*found, z / alpha_sigma(log_snrs[-1])[0]])

    def to_latent(self, x: Tensor, noise: Noise) -> Tensor:
        """Latents ``[B, D]`` of integers x by the probability-flow ODE: DDIM's steps in reverse.

        Raises:
            UserError: If the sampler has one step only, which cannot be reversed.
        """
        log_snrs = self.log_snr_grid(self.sampling.num_steps).tolist()
        cleanest = [level for level in log_snrs if level < math.inf][::-1]
        if len(cleanest) < 2:
            raise UserError("an interpolation through latents needs at least 2 steps of the sampler (--sampler-steps)")
        z = alpha_sigma(cleanest[0])[0] * to_symmetric(x, self.num_levels)
        return self.sampling.algorithm("ddim")(self._denoiser(None), z, cleanest, noise).flatten(1)

    def from_latent(self, z: Tensor) -> Tensor:
        """Integers uint8 ``[B, *shape]`` that DDIM samples from noise ``[B, D]``."""
        return self.from_noise(z.unflatten(1, self.shape), Noise(0, range(len(z))), sampler="ddim")

    def _denoiser(self, label: Tensor | None) -> Callable[[Tensor, float], Prediction]:
        """The function for samplers: :meth:`denoise` with labels, guidance and clipping."""
        how = self.sampling

        def denoise(z: Tensor, level: float) -> Prediction:
            log_snr = self._levels(level, z)
            if label is None or how.guidance in (0, 1):
                self.count_evaluations(len(z))
                predicted = self.denoise(z, log_snr, label if how.guidance else None)
            else:
                self.count_evaluations(2 * len(z))
                no_class = torch.full_like(label, self.num_classes)
                both = self.denoise(torch.cat([z, z]), log_snr.repeat(2), torch.cat([label, no_class]))
                predicted = guided(*halves(both), how.guidance)
            return clipped(z, log_snr, predicted) if how.clip_denoised else predicted

        return denoise
