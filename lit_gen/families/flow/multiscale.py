"""Glow's multi-scale architecture, in which other papers use their own couplings."""

from __future__ import annotations

from collections.abc import Callable

from lit_gen.bijections import (
    Bijection,
    Chain,
    Coupling,
    Factor,
    Flatten,
    InvertibleConv1x1,
    Normalize,
    Squeeze,
)
from lit_gen.errors import UserError
from lit_gen.nets import ScaledConv2d

Shape = tuple[int, int, int]


def multiscale_chain(
    shape: tuple[int, ...], num_scales: int, num_steps: int, coupling: Callable[[int], Coupling]
) -> Bijection:
    """L scales of: squeeze, K steps of (activation norm, 1x1 convolution, coupling), factoring out half the channels.

    Nothing is factored out at the last scale; its latents are normalized once more, which is a Gaussian with learned
    mean and scale for each channel.

    Args:
        shape: Shape of an image ``(C, H, W)``.
        num_scales: Number of scales L.
        num_steps: Number of steps K per scale.
        coupling: Function that builds a coupling, given the number of channels.

    Raises:
        UserError: If the data are not images, or cannot be halved so often.

    References:
        Kingma, Dhariwal 2018, arXiv:1807.03039, figure 2.
    """
    if len(shape) != 3:
        raise UserError(f"this flow needs images [C, H, W], the data have shape {tuple(shape)}; use an MLP flow")
    if num_scales < 1 or num_steps < 1:
        raise UserError(f"num_scales={num_scales} and num_steps={num_steps} must be at least 1")
    squeezed = Squeeze.output_shape(shape)
    channels = squeezed[0]
    steps: list[Bijection] = [Squeeze()]
    for _ in range(num_steps):
        steps += [Normalize(channels), InvertibleConv1x1(channels), coupling(channels)]
    if num_scales == 1:
        return Chain([*steps, Normalize(channels), Flatten(squeezed)])
    stay = (channels + 1) // 2
    deeper = multiscale_chain((stay, *squeezed[1:]), num_scales - 1, num_steps, coupling)
    expectation = ScaledConv2d(stay, 2 * (channels - stay), 3, padding=1)
    return Chain([*steps, Factor(deeper, squeezed, expectation)])
