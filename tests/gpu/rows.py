"""The rows of the check: each is a function of a setup that returns what it measured, and raises where a law fails."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from gpu.setups import Setup, build, draws_of_the_cpu, without_dropout
from gpu.steps import bare, flops_of_step, trained, utilisation, wait
from lit_gen.cli.build import run_from_args
from lit_gen.metrics import MnistCNN
from lit_gen.noise import Noise
from lit_gen.quantization import to_uint8

Row = dict[str, Any]
_TOLERANCE = {"32-true": 2e-3, "bf16-mixed": 5e-2, "16-mixed": 5e-2}
"""Relative difference of the first three losses from the CPU's in float32; the first alone is compared at a tenth."""


def training(setup: Setup, device: str, precision: str, steps: int, *options: str) -> Row:
    """Trains; compares the first steps with the CPU's, the rate with a bare loop's, and the loss with its beginning."""
    arguments = (f"--trainer.precision={precision}", *options)
    if precision == "16-mixed" and setup.family != "gan":  # a fused optimizer does not clip scaled gradients
        arguments += ("--trainer.gradient_clip_val=null",)
    warm = 5 if device == "cuda" else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        differences = _against_cpu(setup, folder, device, arguments)
        found = trained(build(setup, folder, device, *arguments), warm, steps)
        alone = bare(build(setup, folder, device, *arguments), device, precision, warm, steps)
        flops = _flops(setup, device)
    begin, end = _fell(setup, found.losses)
    limit = _TOLERANCE[precision]
    assert differences[0] < limit / 10 or precision != "32-true", f"the first loss differs by {differences[0]:.1e}"
    assert max(differences) < limit, f"the first losses differ from the CPU's by {max(differences):.1e}"
    used = utilisation(flops, found.images_per_second, precision)
    return {
        "images/s": found.images_per_second, "of a bare loop": found.images_per_second / alone.images_per_second,
        "share of peak": used, "peak MiB": found.peak_mib, "loss": f"{begin:.4g} to {end:.4g}",
        "from the CPU": max(differences),
    }


def _fell(setup: Setup, losses: list[float]) -> tuple[float, float]:
    """Means of the first and of the last third; the latter may not be larger by more than twice its standard error."""
    values = torch.tensor(losses, dtype=torch.float64)
    assert bool(values.isfinite().all()), "a loss is not finite"
    parts = values[: max(1, len(losses) // 3)], values[-max(1, len(losses) // 3) :]
    begin, end = (float(part.mean()) for part in parts)
    if setup.family != "gan" and len(losses) >= 20:
        error = sum(float(part.var()) / len(part) for part in parts) ** 0.5
        assert end < begin + 2 * error, f"the loss does not fall: {begin:.4g} to {end:.4g}, standard error {error:.2g}"
    return begin, end


def _against_cpu(setup: Setup, folder: Path, device: str, arguments: tuple[str, ...]) -> list[float]:
    """Relative differences of the first three losses from the CPU's in float32, with the same weights and draws."""
    losses = _first_losses(setup, folder, device, arguments)
    return [abs(a - b) / max(abs(a), 0.1) for a, b in zip(_losses_of_the_cpu(setup), losses, strict=True)]


@functools.cache
def _losses_of_the_cpu(setup: Setup) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        return _first_losses(setup, Path(folder), "cpu", ())


def _first_losses(setup: Setup, folder: Path, device: str, arguments: tuple[str, ...]) -> list[float]:
    run = build(setup, folder, device, *arguments, "--data.batch_size=8")  # a CPU takes long for the papers' nets
    without_dropout(run.model)
    with draws_of_the_cpu():
        return trained(run, 1, 2).losses


@functools.cache
def _flops(setup: Setup, device: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return flops_of_step(build(setup, Path(folder), device), device)


def strict(setup: Setup, device: str, steps: int) -> Row:
    """Training steps under ``torch.cuda.set_sync_debug_mode("error")``."""
    if device != "cuda":
        return {"skipped": "needs CUDA; tests/families/test_synchronization.py checks it without"}
    with tempfile.TemporaryDirectory() as folder:
        found = trained(build(setup, Path(folder), device), 5, steps, strict=True)
    return {"images/s": found.images_per_second}


def likelihood(setup: Setup, device: str) -> Row:
    """The likelihoods of the same examples on the CPU and on the device, and samples of one seed, by a narrow net."""
    setup = dataclasses.replace(setup, digits=True, narrow=True)
    with tempfile.TemporaryDirectory() as folder:
        run = build(setup, Path(folder), "cpu")
        run.data.setup()
        trained(run, 1, 3)
    model, x = run.model.eval(), run.data.split("test").x[:32]
    found: dict[str, list[Any]] = {"nats": [], "samples": []}
    for place in ("cpu", device):
        model.to(place)
        with torch.no_grad():
            if model.estimators:
                likelihood = model.nll(x.to(place), Noise(0, torch.arange(len(x)), place))
                found["nats"].append(likelihood.nats.double().cpu())
            found["samples"].append(model.sample(16, seed=1))
    row: Row = {"equal integers": float((found["samples"][0] == found["samples"][1]).double().mean())}
    if found["nats"]:
        a, b = found["nats"]
        row["relative difference"] = float(((a - b).abs() / a.abs()).max())
        assert row["relative difference"] < 1e-5, f"likelihoods differ by {row['relative difference']:.1e}"
    return row


def resuming(setup: Setup, device: str, steps: int) -> Row:
    """A run whose budget is raised has the weights of an unbroken one; by a narrow net, since it is also validated."""
    setup = dataclasses.replace(setup, digits=True, narrow=True)
    torch.backends.cudnn.deterministic = True
    weights = []
    size = 64 * steps
    keep = ("--trainer.limit_val_batches=1",)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for budgets in ([2 * size], [size, 2 * size]):
            for number, budget in enumerate(budgets):
                options = (*keep, f"--budget.max_examples={budget}", f"--run_name={len(budgets)}")
                run = (
                    run_from_args(["--resume", str(folder / f"{len(budgets)}"), f"--budget.max_examples={budget}"])
                    if number else build(setup, folder, device, *options)
                )
                run.trainer.fit(run.model, run.data, ckpt_path=run.checkpoint, weights_only=True)
            weights.append({name: value.cpu() for name, value in run.model.state_dict().items() if _is_tensor(value)})
    differ = [name for name, value in weights[0].items() if not torch.equal(value, weights[1][name])]
    largest = max((float((weights[0][n].double() - weights[1][n].double()).abs().max()) for n in differ), default=0.0)
    assert not differ or (device == "cuda" and largest < 1e-4), f"{differ[0]} differs by {largest:.1e}"
    return {"tensors that differ": len(differ), "by at most": largest}


def _is_tensor(value: object) -> bool:
    return isinstance(value, torch.Tensor)


def clipping(setup: Setup, device: str, steps: int) -> Row:
    """Clipping and accumulation; a GAN has options of its own for the former."""
    options = ("--model.updates.clip_norm=0.5",) if setup.family == "gan" else (
        "--trainer.gradient_clip_val=0.5", "--trainer.accumulate_grad_batches=2"
    )
    with tempfile.TemporaryDirectory() as folder:
        found = trained(build(setup, Path(folder), device, *options), 1, steps)
    assert all(torch.isfinite(torch.tensor(found.losses)))
    return {"images/s": found.images_per_second}


def sampling(setup: Setup, device: str, number: int) -> Row:
    """Samples a second, and the share of their time that bare evaluations of the network take."""
    steps = ["--model.sampling.steps=50"] if setup.family == "diffusion" and device == "cuda" else []
    with tempfile.TemporaryDirectory() as folder:
        run = build(setup, Path(folder), device, *steps)
    model = run.model.to(device).eval()
    with torch.no_grad():
        model.sample(min(number, 4))
        wait()
        before, begin = model.function_evaluations, time.perf_counter()
        model.sample(number, seed=1)
        wait()
        seconds = time.perf_counter() - begin
    evaluations = (model.function_evaluations - before) / number
    row: Row = {"images/s": number / seconds, "evaluations": evaluations}
    if setup.family == "diffusion":
        row["share of the network"] = evaluations * _forward_seconds(model, number, device) / seconds
    return row


def _forward_seconds(model: Any, number: int, device: str) -> float:
    x = torch.randn(number, *model.shape, device=device)
    level = torch.full((number,), 0.5, device=device)
    with torch.no_grad():
        model.net(x, level, None)
        wait()
        begin = time.perf_counter()
        for _ in range(5):
            model.net(x, level, None)
        wait()
    return (time.perf_counter() - begin) / 5


def features(device: str, number: int) -> Row:
    """Features a second of the digits' classifier, equal to the CPU's."""
    x = to_uint8(torch.randint(0, 17, (number, 1, 8, 8), dtype=torch.uint8), 17)
    space = MnistCNN()
    expected = space(x[:64])[0]
    space = space.to(torch.device(device))
    difference = float((space(x[:64])[0].cpu() - expected.cpu()).abs().max())
    assert difference < 1e-3, f"features differ by {difference:.1e}"
    wait()
    begin = time.perf_counter()
    for part in x.split(250):
        space(part)
    wait()
    return {"images/s": number / (time.perf_counter() - begin), "from the CPU": difference}


def noise(device: str, rows: int, length: int, turns: int) -> Row:
    """Time of noise that belongs to examples, in units of one bulk ``torch.randn``; words equal the CPU's."""
    ours = Noise(0, torch.arange(rows), device)
    same = torch.equal(Noise(3, torch.arange(8), device).words(9).cpu(), Noise(3, torch.arange(8)).words(9))
    assert same, "words differ from the CPU's"
    drawn, expected = (
        (Noise(3, torch.arange(8), place), Noise(3, torch.arange(8), place)) for place in (device, "cpu")
    )
    assert torch.equal(drawn[0].uniform(9).cpu(), expected[0].uniform(9)), "uniform draws differ from the CPU's"
    differ = float((drawn[1].normal(5001).cpu() - expected[1].normal(5001)).abs().max())
    assert differ < 3e-6, f"normal draws differ from the CPU's by {differ:.1e}"
    times: dict[str, list[float]] = {"ours": [], "randn": []}
    draws = {"ours": lambda: ours.normal(length), "randn": lambda: torch.randn(rows, length, device=device)}
    for _ in range(turns + 2):
        for name, draw in draws.items():
            wait()
            begin = time.perf_counter()
            draw()
            wait()
            times[name].append(time.perf_counter() - begin)
    medians = {name: sorted(values[2:])[turns // 2] for name, values in times.items()}
    return {
        "rows/s": rows / medians["ours"], "of randn's time": medians["ours"] / medians["randn"], "from the CPU": differ,
    }
