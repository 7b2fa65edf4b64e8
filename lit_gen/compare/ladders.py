"""The models that are compared: of each family a ladder of sizes, smallest first.

Settings are those of the recipes in ``configs/recipes``, at widths that a CPU trains too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

FAMILIES = ("vae", "flow", "diffusion", "gan", "autoregressive")
_SMALL_IMAGE = 12
"""Side below which images are too small to be halved; fully connected nets are then as good."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A model and its training options.

    Attributes:
        name: What it is, for the reader.
        options: Options of ``lit_gen.fit`` for model, optimizer and clipping.
        batch_size: Number of examples in a batch.
    """

    name: str
    options: tuple[str, ...]
    batch_size: int


def ladder(family: str, modality: str, shape: Sequence[int]) -> list[Candidate]:
    """The candidates of a family for data, smallest first; none if the family has no model for such data.

    Args:
        family: One of :data:`FAMILIES`.
        modality: ``image``, ``audio`` or ``text``.
        shape: Shape of one example.
    """
    small = modality != "image" or min(shape[1:]) < _SMALL_IMAGE
    makers: dict[str, Callable[[Sequence[int]], list[Candidate]]] = {
        "vae": _mlp_vae if small else _conv_vae,
        "flow": _mlp_flow if small else _image_flow,
        "diffusion": _mlp_diffusion if modality != "image" else _small_unet if small else _unet,
        "gan": _mlp_gan if modality != "image" else _dcgan,
        "autoregressive": _pixelcnn if modality == "image" else _wavenet,
    }
    if modality == "text":  # a byte is a name, not a quantity
        makers = {"vae": _text_vae, "autoregressive": _sequence_model}
    return makers[family](shape) if family in makers else []


def _adamw(lr: float, *more: str) -> list[str]:
    return ["--model.optimizer=lit_gen.optim.AdamW", f"--model.optimizer.lr={lr}",
            *(f"--model.optimizer.{option}" for option in more)]


def _of(model: str, *options: str) -> list[str]:
    return [f"--model=lit_gen.families.{model}", *(f"--model.{option}" for option in options)]


def _mlp_vae(shape: Sequence[int], observation: str = "DiscretizedLogistic") -> list[Candidate]:
    return [
        Candidate(
            f"VAE, {width} units",
            (*_of("VAE", f"num_latents={latents}", "nets=lit_gen.nets.MLPNets",
                  f"nets.hidden_sizes=[{width},{width}]", "nets.dropout=0.1",
                  f"observation=lit_gen.families.vae.{observation}"), *_adamw(2e-3, "weight_decay=0.1")),
            100,
        )
        for width, latents in ((128, 8), (256, 16), (512, 32))
    ]


def _text_vae(shape: Sequence[int]) -> list[Candidate]:
    return _mlp_vae(shape, "Categorical")


def _conv_vae(shape: Sequence[int]) -> list[Candidate]:
    depth = 2 if min(shape[1:]) < 48 else 3
    return [
        Candidate(
            f"VAE, convolutions of {width}",
            (*_of("VAE", f"num_latents={latents}", "nets=lit_gen.nets.ConvNets",
                  f"nets.channels=[{','.join(str(width << i) for i in range(depth))}]",
                  "observation=lit_gen.families.vae.DiscretizedLogistic"), *_adamw(2e-3)),
            100,
        )
        for width, latents in ((16, 16), (32, 32), (64, 64), (96, 128))
    ]


def _mlp_flow(shape: Sequence[int]) -> list[Candidate]:
    return [
        Candidate(
            f"neural spline flow, {couplings} couplings of {width}",
            (*_of("MLPSplineFlow", f"num_couplings={couplings}", "num_bins=8", "nets=lit_gen.nets.MLPCouplings",
                  f"nets.hidden_sizes=[{width},{width}]", "nets.dropout=0.2"), *_adamw(1e-3, "weight_decay=0.1"),
             "--trainer.gradient_clip_val=200.0"),
            100,
        )
        for width, couplings in ((64, 4), (128, 6), (256, 6), (512, 8))
    ]


def _image_flow(shape: Sequence[int]) -> list[Candidate]:
    scales = _halvings(shape, 3)
    return [
        Candidate(
            f"neural spline flow, {scales} scales of {steps} steps, {width} channels",
            (*_of("SplineFlow", f"num_scales={scales}", f"num_steps={steps}", "num_bins=8",
                  "nets=lit_gen.nets.ResidualCouplings", f"nets.channels={width}", f"nets.num_blocks={blocks}",
                  "alpha=1.0e-5"), *_adamw(1e-3), "--trainer.gradient_clip_val=200.0"),
            64,
        )
        for width, steps, blocks in ((16, 2, 1), (24, 3, 1), (32, 4, 1), (48, 4, 2), (64, 4, 2))
    ]


def _mlp_diffusion(shape: Sequence[int]) -> list[Candidate]:
    return [
        Candidate(
            f"flow matching, {blocks} blocks of {width} units",
            (*_matching("MLPDenoiser", f"nets.width={width}", f"nets.num_blocks={blocks}"), *_adamw(1e-3),
             "--trainer.gradient_clip_val=1.0"),
            64,
        )
        for width, blocks in ((128, 2), (256, 3), (512, 3))
    ]


def _small_unet(shape: Sequence[int]) -> list[Candidate]:
    return [
        Candidate(
            f"flow matching, U-Net of {width} channels",
            (*_matching("UNetNets", f"nets.channels={width}", "nets.multipliers=[1]", f"nets.num_res_blocks={blocks}",
                        "nets.dropout=0.1", "nets.num_groups=8"), *_adamw(2e-3), "--trainer.gradient_clip_val=1.0"),
            64,
        )
        for width, blocks in ((16, 1), (32, 2), (64, 2))
    ]


def _unet(shape: Sequence[int]) -> list[Candidate]:
    depth = _halvings(shape, 3)
    multipliers = "[1,2,4]" if depth > 2 else "[1,2]" if depth > 1 else "[1]"
    return [
        Candidate(
            f"flow matching, U-Net of {width} channels",
            (*_matching("ADMNets", f"nets.channels={width}", f"nets.multipliers={multipliers}",
                        f"nets.num_res_blocks={blocks}", "nets.attention=[]", "nets.num_groups=8"), *_adamw(1e-3),
             "--trainer.gradient_clip_val=1.0"),
            32,
        )
        for width, blocks in ((8, 1), (16, 1), (32, 1), (64, 2))
    ]


def _matching(nets: str, *options: str) -> list[str]:
    return _of("FlowMatching", f"nets=lit_gen.nets.{nets}", *options, "sampling.sampler=dpmpp_2m", "sampling.steps=10",
               "sampling.clip_denoised=false")


def _adversarial(nets: str, *options: str) -> list[str]:
    adam = [f"--model.{net}_optimizer{rest}" for net in ("generator", "discriminator")
            for rest in ("=lit_gen.optim.AdversarialAdamW", ".lr=1.0e-3", ".betas=[0.0,0.99]")]
    return [*_of("GAN", "num_latents=64", f"nets=lit_gen.nets.{nets}", *options, "penalty=lit_gen.families.gan.R1",
                 "penalty.weight=1.0", "penalty.every=4"), *adam, "--ema.modules=[generator]"]


def _mlp_gan(shape: Sequence[int]) -> list[Candidate]:
    return [
        Candidate(f"GAN, {width} units",
                  tuple(_adversarial("MLPAdversarialNets", f"nets.hidden_sizes=[{width},{width}]")), 64)
        for width in (128, 256, 512)
    ]


def _dcgan(shape: Sequence[int]) -> list[Candidate]:
    return [Candidate(f"DCGAN of {width} channels", tuple(_adversarial("DCGAN", f"nets.channels={width}")), 64)
            for width in (8, 16, 32, 64)]


def _pixelcnn(shape: Sequence[int]) -> list[Candidate]:
    dilations = ("1", "2", "1", "4", "1", "2")
    return [
        Candidate(
            f"Gated PixelCNN, {layers} layers of {width} channels",
            (*_of("GatedPixelCNN", f"channels={width}", f"dilations=[{','.join(dilations[:layers])}]",
                  "level_features=16"), "--model.optimizer=lit_gen.optim.Muon", "--model.optimizer.lr=3.0e-3",
             "--trainer.gradient_clip_val=500.0"),
            32,
        )
        for width, layers in ((12, 3), (16, 4), (24, 5), (32, 6), (64, 6))
    ]


def _wavenet(shape: Sequence[int]) -> list[Candidate]:
    layers = max(2, min(9, math.prod(shape).bit_length() - 2))  # a block then sees a quarter of the window
    return [
        Candidate(
            f"WaveNet, {blocks} blocks of {layers} layers, {width} channels",
            (*_of("WaveNet", f"num_blocks={blocks}", f"layers_per_block={layers}", f"channels={width}",
                  f"skip_channels={4 * width}"), *_adamw(2e-3), "--trainer.gradient_clip_val=1000.0"),
            16,
        )
        for width, blocks in ((8, 1), (16, 1), (16, 2), (32, 2), (64, 2))
    ]


def _sequence_model(shape: Sequence[int]) -> list[Candidate]:
    return [
        Candidate(
            f"causal transformer, {blocks} blocks of {width}",
            (*_of("Transformer", f"width={width}", f"num_blocks={blocks}", "num_heads=4", "positions=rotary"),
             *_adamw(2e-3, "betas=[0.9,0.95]"), "--trainer.gradient_clip_val=200.0"),
            16,
        )
        for width, blocks in ((32, 2), (64, 3), (128, 4), (256, 6))
    ]


def _halvings(shape: Sequence[int], most: int) -> int:
    """How often both sides can be halved, at least 1 and at most ``most``."""
    count = 0
    while count < most and all(side % (2 << count) == 0 for side in shape[1:]):
        count += 1
    return max(1, count)
