"""The recipes for one GPU: each takes two steps at a reduced width, and states what its cost is predicted to be."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import yaml
from conftest import REPO
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lit_gen import fit
from lit_gen.cli.command_line import CLI
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule, Loader, Split
from lit_gen.families.gan import GAN

SETS = {"cifar10": 32, "celeba64": 64, "imagenet32": 32, "imagenet64": 64, "celeba_hq256": 256}
RECIPES = {f"{name}/{file.stem}": file for name in SETS for file in sorted((REPO / "configs/recipes" / name).iterdir())}
# Values of the nets' and models' arguments for two quick steps; all else is run as it stands.
REDUCED: dict[str, Any] = {
    "num_res_blocks": 1,
    "num_groups": 4,
    "head_channels": 8,
    "num_steps": 1,
    "num_blocks": 1,
    "num_filters": 8,
    "num_resnet": 1,
    "num_couplings": 1,
    "width": 16,
    "num_latents": 8,
    "dilations": [1],
    "generator_channels": [8, 8],
    "discriminator_channels": [8, 8],
    "groups": 4,
}
# Many layers at 64 and 256 pixels take longer.
SLOW = {f"imagenet64/{name}" for name in ("flow_matching", "iddpm", "realnvp", "glow")}
SLOW |= {"celeba_hq256/ddpm", "celeba_hq256/glow", "celeba64/ddpm"}


class RandomImages(DiscreteDataModule):
    """Twelve images of random colours."""

    def __init__(self, size: int = 32, batch_size: int = 2) -> None:
        shape = (3, size, size)
        super().__init__(name="random", shape=shape, num_levels=256, batch_size=batch_size, loader=Loader())

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        x = torch.randint(256, (12, *self.shape), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        label = torch.arange(12) % 10
        parts = {"train": slice(0, 4), "val": slice(4, 8), "test": slice(8, 12)}
        return {name: Split(x[rows], label[rows]) for name, rows in parts.items()}


def reduced(arguments: dict[str, Any], where: str) -> list[str]:
    """Options that reduce the arguments of a model and of the objects in them."""
    found = []
    for name, value in arguments.items():
        option = f"{where}.{name}"
        if isinstance(value, dict):
            found += reduced(value.get("init_args", value), option)
        elif name == "channels":
            of_nets = where.endswith(".nets")
            found.append(f"--{option}={[8] * 2 if isinstance(value, list) else 8 if of_nets else 6}")
        elif name == "steps":
            found.append(f"--{option}=3")
        elif name in REDUCED:
            found.append(f"--{option}={6 if where == 'model' and name == 'head_channels' else REDUCED[name]}")
    return found


@pytest.mark.parametrize(
    ("name", "validations"),
    [
        *(pytest.param(n, 0, marks=[pytest.mark.slow] if n in SLOW else []) for n in RECIPES),
        *(pytest.param(n, 1, marks=pytest.mark.slow) for n in RECIPES),
    ],
)
def test_recipe_takes_two_steps_at_a_reduced_width(name: str, validations: int, tmp_path: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(RECIPES[name].read_text())
    data = ["--data=test_gpu_recipes.RandomImages", f"--data.size={SETS[name.split('/')[0]]}", "--data.batch_size=2"]
    options = [*data, *reduced(content["model"]["init_args"], "model"), "--quality.extractor=null"]
    options += ["--trainer.fast_dev_run=2", "--trainer.enable_progress_bar=false", "--grid.num_samples=0"]
    options += ["--trainer.enable_model_summary=false", f"--trainer.default_root_dir={tmp_path}"]
    if not validations:  # the bound of a diffusion model takes hundreds of evaluations
        options.append("--trainer.limit_val_batches=0")
    fit.main([f"--config={RECIPES[name]}", *options])


# ------------------------------------------------------------------ what they are predicted to cost

FLOPS_PER_SECOND = 80e12
SECONDS_PER_OPERATION = 10e-6
BYTES_PER_PARAMETER = 20  # weight, gradient, Adam's two moments, average
FIXED_BYTES = 2e9  # CUDA's context and workspaces
PREDICTION = re.compile(
    r"# Not run here\. Predicted for one H100: ([\d,.]+) hours, ([\d,.]+) GB \(([\d,.]+) million parameters;"
    r" ([\d,.]+) GFLOP and\n# ([\d,.]+) MB an image, ([\d,.]+) operations a step; (?:README|docs/gpus\.md) says how\)\."
)


def built(file: Path) -> GenerativeModule:
    """The model of a recipe, without the values of its weights."""
    data = ["--data=test_gpu_recipes.RandomImages", f"--data.size={SETS[file.parent.name]}"]
    options = ["--quality.extractor=null", "--trainer.precision=32-true", "--tf32=false"]
    if "pairing:" in file.read_text():  # an assignment needs values
        options.append("--model.pairing=IndependentPairing")
    return CLI([f"--config={file}", *data, *options], purpose="sample").model.to("meta").train()


class Counted(TorchDispatchMode):
    """Counts operations, each of which is at least one kernel."""

    operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.operations += 1
        return func(*args, **(kwargs or {}))


class Costs(NamedTuple):
    """Of a training step: GFLOP and MB of stored activations of an image, in float32; operations of a batch."""

    gflop: float
    megabytes: float
    operations: int


def costs(model: GenerativeModule, monkeypatch: pytest.MonkeyPatch) -> Costs:
    count, stored = 2, {}

    def note(x: Tensor) -> Tensor:
        stored[x.untyped_storage()._cdata] = x
        return x

    def measured(step: Callable[..., Tensor], *inputs: Any, factor: int = 1) -> tuple[float, int]:
        with FlopCounterMode(display=False) as counter, Counted() as counted:
            with saved_tensors_hooks(note, lambda x: x):
                out: Any = step(*inputs)
            if factor == 1:
                (out["loss"] if isinstance(out, dict) else out).backward()
        return factor * counter.get_total_flops() / count, factor * counted.operations

    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())  # there is none for such tensors
    x = torch.zeros(count, *model.shape, dtype=torch.uint8, device="meta")
    if isinstance(model, GAN):
        with_gradients = 3
        label = [torch.zeros(count, dtype=torch.int64, device="meta")] if model.num_classes else []
        z = torch.zeros(count, model.num_latents, device="meta")
        g = measured(model.generator, z, *label, factor=with_gradients)
        d = measured(model.discriminator, x.float(), *label, factor=with_gradients)
        # Two passes; a penalty's pass, its gradient, and the gradients of both; those of the generator's step.
        passes = 2 + 2 * (model.penalty is not None) + 1 / model.update_period
        flops, operations = (a / model.update_period + passes * b for a, b in zip(g, d, strict=True))
    else:
        flops, operations = measured(model.training_step, (x, None, torch.arange(count)), 0)
    held = {p.untyped_storage()._cdata for p in model.parameters()}
    kept = sum(x.untyped_storage().nbytes() for key, x in stored.items() if key not in held)
    return Costs(flops / 1e9, kept / count / 1e6, round(operations))


def predicted(file: Path, model: GenerativeModule, found: Costs) -> tuple[float, float]:
    """Hours and GB of a recipe, as docs/gpus.md says."""
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    examples, batch = content["budget"]["max_examples"], content["data"]["init_args"]["batch_size"]
    computing, launching = found.gflop * 1e9 * examples / FLOPS_PER_SECOND, examples / batch * found.operations
    half = 0.5 if content["trainer"].get("precision") == "bf16-mixed" else 1.0
    parameters = sum(p.numel() for p in model.parameters())
    memory = BYTES_PER_PARAMETER * parameters + half * found.megabytes * 1e6 * batch + FIXED_BYTES
    return max(computing, SECONDS_PER_OPERATION * launching) / 3600, memory / 1e9


def stated(file: Path) -> list[float]:
    """Hours, GB, million parameters, GFLOP and MB of an image, operations."""
    match = PREDICTION.search(file.read_text())
    assert match, f"{file} does not say what it is predicted to cost"
    return [float(text.replace(",", "")) for text in match.groups()]


QUICK = ("cifar10/dcgan", "celeba64/vae")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in RECIPES])
def test_the_stated_costs_are_those_that_are_counted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = RECIPES[name]
    model = built(file)
    found = costs(model, monkeypatch)
    counted = [*predicted(file, model, found), sum(p.numel() for p in model.parameters()) / 1e6, *found]
    assert stated(file) == pytest.approx(counted, rel=0.03, abs=0.06)
    assert counted[1] < 80


def test_every_recipe_states_its_paper_a_target_and_its_costs() -> None:
    assert len(RECIPES) >= 27
    for file in RECIPES.values():
        text = file.read_text()
        stated(file)
        assert "arXiv:" in text, file
        assert "Published" in text, file
