"""Two processes take the training steps of one process at the same global batch, in every family.

Batch norm uses running statistics and dropout is off; draws belong to the examples of the global batch (ddp_steps.py).
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import ddp_steps
import pytest
import torch
from conftest import REPO

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning, about a handful of steps

FEW = ("conv_vae", "wgan_gp", "pixelcnn", "mlp_spline", "ncsn_sliced")
ALL = tuple(sorted(file.stem for file in (REPO / "configs" / "families").rglob("*.yaml")))
OF_A_SHARE = {"vdm"}
"""VDM spreads its times evenly over the examples of a process, and weighs its schedule by their mean."""


def start(out: Path, *options: str, nodes: int = 1) -> None:
    """Runs ddp_steps.py by torchrun, in two processes: of one node, or of two nodes on this machine."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--master_addr=127.0.0.1", f"--master_port={port}"]
    script = [str(REPO / "tests" / "ddp_steps.py"), f"--out={out}", f"--nodes={nodes}", f"--devices={2 // nodes}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    torchrun += [f"--nnodes={nodes}", f"--nproc_per_node={2 // nodes}"]
    programs = [
        subprocess.Popen(
            [*torchrun, f"--node_rank={node}", *script, *options],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=REPO,
        )
        for node in range(nodes)
    ]  # fmt: skip
    for program in programs:
        said, _ = program.communicate(timeout=900)
        assert program.returncode == 0, said[-3000:]


def found(out: Path, name: str, rank: int = 0) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(out / f"{name}-{rank}.pt", weights_only=True)
    return content


def assert_equal(one: dict[str, Any], two: dict[str, Any], name: str) -> None:
    """Gradients agree to rounding, which Adam's first steps and exponentials of flows multiply from step to step.

    Without synchronization they would differ by the size of the gradients.
    """
    assert len(one["gradients"]) == len(two["gradients"]) > 2
    for step, (whole, share) in enumerate(zip(one["gradients"], two["gradients"], strict=True)):
        scale = float(whole.abs().max())
        assert float((whole - share).abs().max()) <= min(1e-5 * 20**step, 0.03) * scale, (name, step)


def assert_one_model(first: dict[str, Any], second: dict[str, Any], name: str) -> None:
    """Both processes have one model and one average, and noise of their own."""
    for what in ("state", "average"):
        for key, value in first[what].items():
            assert torch.equal(value, second[what][key]), (name, what, key)
    assert not torch.equal(first["own"], second["own"]), name


def compare(out: Path, names: tuple[str, ...], **options: Any) -> None:
    for name in names:
        ddp_steps.take(name, out / "one", **options)
    start(out / "two", *names, *(f"--{key}={value}" for key, value in options.items()))
    for name in names:
        first, second = found(out / "two", name), found(out / "two", name, 1)
        assert_one_model(first, second, name)
        if name not in OF_A_SHARE:
            assert_equal(found(out / "one", name), first, name)


def test_one_of_each_family(tmp_path: Path) -> None:
    """With a gradient penalty and a second derivative among them."""
    compare(tmp_path, FEW)


@pytest.mark.slow
def test_every_config(tmp_path: Path) -> None:
    """Six steps: a generator's step after five of the critic."""
    compare(tmp_path, ALL, steps=6)


@pytest.mark.slow
def test_two_nodes(tmp_path: Path) -> None:
    names = ("conv_vae", "dcgan", "mlp_spline")
    start(tmp_path / "two", *names, nodes=2)
    for name in names:
        ddp_steps.take(name, tmp_path / "one")
        assert_one_model(found(tmp_path / "two", name), found(tmp_path / "two", name, 1), name)
        assert_equal(found(tmp_path / "one", name), found(tmp_path / "two", name), name)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [(1, 2), (2, 1)])
def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path, processes: tuple[int, int]) -> None:
    """Gradients of steps four to six, and both optimizers' states, are those of an unbroken run."""
    names = ("vae", "gan", "mlp_spline", "flow_matching")
    for number, steps in zip(processes, (3, 6), strict=True):
        options = [f"--steps={steps}", *(["--resume"] if steps == 6 else [])]
        if number == 2:
            start(tmp_path / "parts", *names, *options)
        else:
            for name in names:
                ddp_steps.take(name, tmp_path / "parts", steps=steps, resume=steps == 6)
    for name in names:
        ddp_steps.take(name, tmp_path / "whole", steps=6)
        whole, last = found(tmp_path / "whole", name), found(tmp_path / "parts", name)
        per_step = 2 if name == "gan" else 1
        assert len(last["gradients"]) == 3 * per_step
        whole["gradients"] = whole["gradients"][3 * per_step :]
        assert_equal(whole, last, name)
        for key, value in whole["average"].items():
            assert torch.allclose(value, last["average"][key], atol=1e-4), (name, key)
