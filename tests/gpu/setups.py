"""The models and data of the check: every config under ``configs/families``, at a size for the device."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lit_gen.cli.build import run_from_args
from lit_gen.runs.run import Run

CONFIGS = Path(__file__).parents[2] / "configs"
_FEW = {"sampling.steps": 5}
_UNET = {"nets.init_args.channels": 16, "nets.init_args.num_res_blocks": 1, "nets.init_args.num_groups": 8}
_ADM = {**_UNET, "nets.init_args.head_channels": 16}
_NCSN = {**_ADM, "sampling.langevin.steps": 1}
_DDPMPP = {"nets.init_args.channels": 16, "nets.init_args.num_res_blocks": 1}
# The papers' nets are for GPUs; on a CPU the check runs narrow ones.
NARROW: dict[str, dict[str, int | str]] = {
    "pixelcnnpp": {"num_filters": 16}, "transformer": {"width": 64}, "ddpm": {**_UNET, **_FEW},
    "improved_ddpm": {**_ADM, **_FEW}, "improved_ddpm_vlb": {**_ADM, **_FEW}, "vdm": {**_UNET, **_FEW},
    "edm": {**_ADM, **_FEW}, "flow_matching": {**_ADM, **_FEW}, "ncsn": _NCSN, "ncsn_sliced": _NCSN, "ncsn_v2": _NCSN,
    "score_sde_vp": {**_DDPMPP, **_FEW}, "score_sde_subvp": {**_DDPMPP, **_FEW}, "score_sde_ve": {**_DDPMPP, **_FEW},
    "r3gan": {"nets.init_args.channels": "[32,32,32,32]", "nets.init_args.groups": 8},
    "sngan": {"nets.init_args.generator_channels": "[32,32,32,32]",
              "nets.init_args.discriminator_channels": "[32,32,32,32]"},
}
# Dense nets, and sequences of 3,072 levels, are for small images.
_FOR_DIGITS = ("made", "maf", "nice", "mlp_spline", "mlp_realnvp", "vae", "gan", "wgan_gp", "transformer", "wavenet")
# One net of each family, for fp16, compilation, resuming and sampling.
ONE_EACH = ("conv_vae", "dcgan", "pixelcnn", "glow", "ddpm")
# Sequences that are drawn one value after the other, and the rest of those whose samples take many evaluations.
SAMPLED = ("conv_vae", "dcgan", "glow", "maf", "transformer", "ddpm", "pixelcnn")
_ORDER = ("vae", "gan", "autoregressive", "flow", "diffusion")


@dataclass(frozen=True)
class Setup:
    """A config and what it is trained on.

    Attributes:
        name: Stem of the config's file.
        family: Its folder.
        digits: Whether it is trained on scikit-learn's digits, and not on random 3x32x32 images.
        narrow: Whether its nets are narrowed, for a CPU.
    """

    name: str
    family: str
    digits: bool
    narrow: bool

    @property
    def data(self) -> str:
        """What the table calls the data."""
        return "digits" if self.digits else "3x32x32"


def setups(device: str) -> list[Setup]:
    """One setup for each config, at a size for the device: ``cuda`` or ``cpu``."""
    files = [file for family in _ORDER for file in sorted((CONFIGS / "families" / family).glob("*.yaml"))]
    small = device == "cpu"
    return [Setup(file.stem, file.parent.name, small or file.stem in _FOR_DIGITS, small) for file in files]


def build(setup: Setup, folder: Path, device: str, *options: str) -> Run:
    """The run that ``lit_gen.fit`` would train, without validation, checkpoints and a bar.

    Args:
        setup: The model and data.
        folder: Parent of the run's folder.
        device: ``cuda`` or ``cpu``.
        *options: Further options of ``lit_gen.fit``.
    """
    data = ["--data=Digits"] if setup.digits else ["--data=benchmarks.sets.RandomImages", "--data.num_train=4096"]
    shape = [] if setup.digits else ["--data.shape=[3,32,32]", "--data.num_levels=256"]
    narrow = [f"--model.init_args.{name}={value}" for name, value in NARROW.get(setup.name, {}).items()]
    return run_from_args([
        f"--config={CONFIGS / 'base.yaml'}", f"--config={CONFIGS / 'families' / setup.family / setup.name}.yaml",
        *data, "--data.batch_size=64", *shape, *(narrow if setup.narrow else []), "--quality.extractor=null",
        "--ema.halflife_examples=1000", "--budget.max_examples=1000000000", "--wandb.mode=disabled",
        f"--trainer.default_root_dir={folder}", f"--trainer.accelerator={'gpu' if device == 'cuda' else 'cpu'}",
        "--trainer.devices=1", "--trainer.limit_val_batches=0", "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false", "--grid.num_samples=0",
        "--schedule.warmup_examples=0", *options,  # of papers: longer than the check
    ])


def without_dropout(model: nn.Module) -> None:
    """Switches dropout off: its draws are the device's own."""
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
        elif isinstance(getattr(module, "dropout", None), float):  # of a net that calls the function
            module.dropout = 0.0


@contextlib.contextmanager
def draws_of_the_cpu() -> Iterator[None]:
    """Inside the context, torch's random functions draw on the CPU and move the numbers: equal on every device."""
    names = ("rand", "randn", "rand_like", "randn_like", "randint", "multinomial")
    kept = {name: getattr(torch, name) for name in names}

    def moved(name: str) -> Any:
        def draw(*args: Any, **kwargs: Any) -> torch.Tensor:
            first = args[0] if args and isinstance(args[0], torch.Tensor) else None
            device = kwargs.pop("device", None) or (first.device if first is not None else None)
            args = tuple(a.cpu() if isinstance(a, torch.Tensor) else a for a in args)
            drawn: torch.Tensor = kept[name](*args, **kwargs)
            return drawn if device is None else drawn.to(device)

        return draw

    for name in names:
        setattr(torch, name, moved(name))
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)
