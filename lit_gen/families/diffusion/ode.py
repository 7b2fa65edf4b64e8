"""The likelihood by the probability-flow ODE: a solver with a separate step size for each example."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.families.diffusion.prediction import scales
from lit_gen.families.diffusion.samplers import alpha_sigma
from lit_gen.likelihood import standard_normal_log_prob

Slope = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Function from times ``[b]``, states ``[b, n]`` and their row indices int64 ``[b]`` to derivatives ``[b, n]``."""

Size = Callable[[Tensor], Tensor]
"""Function from times ``[b]`` to the scale of errors at that time, ``[b]`` or ``[b, n]``."""

_PARTS = 1 << 40


@dataclass(frozen=True)
class OdeSettings:
    """Accuracy of the solver of the probability-flow ODE.

    Attributes:
        tolerance: Error tolerance per step, for z and for nats per dimension.
        max_steps: Maximum number of steps per example.

    Raises:
        UserError: If a field is not positive.
    """

    tolerance: float = 1.0e-3
    max_steps: int = 10_000

    def __post_init__(self) -> None:
        """Validates the fields."""
        if not 0 < self.tolerance < math.inf or self.max_steps < 1:
            raise UserError(f"ode: tolerance={self.tolerance} and max_steps={self.max_steps} must be positive")


# Dormand and Prince's tableau: the rows below the diagonal, and the weights of the error estimate.
_NODES = (0.2, 0.3, 0.8, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def dormand_prince(
    slope: Slope,
    y: Tensor,
    start: float,
    stop: float,
    tolerance: float,
    size: Size = torch.ones_like,
    max_steps: int = 10_000,
) -> Tensor:
    """Solves ``dy/dt = slope(t, y)`` from start to stop, with separate steps for each row.

    With common steps for a batch, the likelihood of an example would depend on the others. Steps are only doubled
    and halved: otherwise the last bits of a sum, which do depend on the batch, would change the steps and be amplified.
    Rows that have reached the end are not evaluated any more.

    Args:
        slope: Function that computes the derivative.
        y: States at the start, ``[B, n]``.
        start: Initial time.
        stop: Final time, before or after the initial one.
        tolerance: Tolerance of a step's error: root mean square over a row, relative to ``size``.
        size: Scale of errors; 1 if not given.
        max_steps: Maximum number of steps per row.

    Returns:
        States at the final time, ``[B, n]``.

    Raises:
        UserError: If a row takes more than ``max_steps`` steps, or is not finite.

    References:
        Dormand, Prince: A family of embedded Runge-Kutta formulae, 1980. Hairer, Norsett, Wanner: Solving Ordinary
        Differential Equations I, section II.4 (the choice of steps).
    """
    out, rows = y.clone(), torch.arange(len(y), device=y.device)
    # Times are exact fractions of the interval, because not every device supports float64.
    done = torch.zeros(len(y), dtype=torch.int64, device=y.device)
    step = torch.full_like(done, _PARTS // 64)
    part = (stop - start) / _PARTS
    k0 = slope(start + part * done.to(y.dtype), y, rows)
    for _ in range(max_steps):
        t, h = start + part * done.to(y.dtype), part * step.to(y.dtype)
        new, last, error = _step(slope, t, y, h, k0, rows)
        wrong = (error / (tolerance * size(t + h).view(len(t), -1))).square().mean(1).sqrt()
        if not wrong.isfinite().all():
            raise UserError("the probability-flow ODE is not finite: the network's output contains NaN or infinity")
        good = wrong <= 1
        done = torch.where(good, done + step, done)
        y, k0 = torch.where(good[:, None], new, y), torch.where(good[:, None], last, k0)
        # The error is proportional to the fifth power of the step; 0.8 is a safety factor for the next one.
        step = torch.where(good, torch.where(wrong < 0.8 * 2.0**-5, 2 * step, step), (step // 2).clamp_min(1))
        step = torch.minimum(step, _PARTS - done)
        going = done < _PARTS
        out[rows[~going]] = y[~going]
        if not going.any():
            return out
        done, step, y, k0, rows = done[going], step[going], y[going], k0[going], rows[going]
    raise UserError(
        f"the probability-flow ODE took more than {max_steps} steps at a tolerance of {tolerance:g};"
        " raise ode.tolerance"
    )


def _step(
    slope: Slope, t: Tensor, y: Tensor, h: Tensor, k0: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """One step of each row: the new state, its slope, and the estimated error."""
    ks, step = [k0], h[:, None]
    for node, weights in zip(_NODES, _STAGES, strict=True):
        new = y + step * _weighted(weights, ks)
        ks.append(slope(t + node * h, new, rows))
    return new, ks[-1], step * _weighted(_ERROR, ks)


def _weighted(weights: tuple[float, ...], ks: list[Tensor]) -> Tensor:
    total = torch.zeros_like(ks[0])
    for weight, k in zip(weights, ks, strict=True):
        if weight:
            total = total.add(k, alpha=weight)
    return total


def log_density(
    noise_of: Callable[[Tensor, Tensor], Tensor],
    z: Tensor,
    probe: Tensor,
    start: float,
    stop: float,
    tolerance: float,
    max_steps: int = 10_000,
) -> Tensor:
    """Log density of z under the probability-flow ODE that ends in a standard normal: nats, ``[B]``.

    The state is ``y = z / alpha``, with ``dy = eps_hat ds`` and ``s = sigma / alpha``, as a function of the log-SNR.
    Its density changes by the trace of ``d eps_hat / dy``, which is estimated by ``e^T (d eps_hat / dy) e`` with
    one fixed probe e per example: unbiased except for the solver's error. Errors of y are measured relative to the
    noise: at the start, where an empty background contains only noise, small errors matter.

    Args:
        noise_of: Function from z ``[B, *shape]`` and log-SNRs ``[B]`` to eps_hat; it is differentiated.
        z: States ``[B, *shape]``, in the variance-preserving scale.
        probe: Independent random signs e, ``[B, *shape]``.
        start: Initial log-SNR.
        stop: Final log-SNR.
        tolerance: Solver tolerance, for y in units of the noise and for nats per dimension.
        max_steps: Maximum number of steps per example.

    References:
        Song et al.: Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        arXiv:2011.13456, equation 39. Grathwohl et al.: FFJORD, 2019, arXiv:1810.01367, section 3.1 (the trace).
        Karras et al. 2022, arXiv:2206.00364, equation 4 (the ODE in y).
    """
    shape, num_dims = z.shape[1:], z[0].numel()
    (alpha_start, _), (alpha_stop, _) = alpha_sigma(start), alpha_sigma(stop)

    def slope(t: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        # A Trainer may have disabled gradients, or enabled inference mode, around test steps. And rounding errors of
        # bfloat16 would be taken for the solver's error, and lead to ever smaller steps.
        no_cast = torch.autocast(z.device.type, enabled=False)
        with torch.inference_mode(False), torch.enable_grad(), no_cast:
            log_snr = t.clone()
            at = y[:, :num_dims].clone().unflatten(1, shape).requires_grad_()
            e = probe[rows].clone()
            eps_hat = noise_of(scales(log_snr, at)[0] * at, log_snr)
            (product,) = torch.autograd.grad(eps_hat, at, e)
        trace = (product * e).flatten(1).sum(1, keepdim=True)
        speed = -0.5 * torch.exp(-0.5 * t)[:, None]
        # Nats per dimension, to which the tolerance applies.
        return speed * torch.cat([eps_hat.detach().flatten(1), trace / num_dims], 1)

    def size(t: Tensor) -> Tensor:
        return torch.cat([torch.exp(-0.5 * t)[:, None].expand(-1, num_dims), torch.ones_like(t)[:, None]], 1)

    begin = torch.cat([z.flatten(1) / alpha_start, torch.zeros(len(z), 1, device=z.device)], 1)
    end = dormand_prince(slope, begin, start, stop, tolerance, size, max_steps)
    volume = end[:, num_dims] + math.log(alpha_stop / alpha_start)
    return standard_normal_log_prob(alpha_stop * end[:, :num_dims]) + num_dims * volume
