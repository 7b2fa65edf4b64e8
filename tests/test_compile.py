"""Compiled training steps: those of an uncompiled run, few graphs, and checkpoints and scores that do not change."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import SMALL, assert_same, checkpoint, run_module, the_record
from conftest import REPO
from torch import nn

from lit_gen import evaluate, fit
from lit_gen.cli.process import run_command
from lit_gen.data import Digits, SliceLoader, Split
from lit_gen.data.module import SplitName
from lit_gen.families.gan import R1
from lit_gen.families.gan.penalty import Scored

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),  # read by the compiler itself
    pytest.mark.filterwarnings("ignore:`torch._prims_common.check` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Torchinductor does not support code generation for complex:UserWarning"),
]

TOLERANCE = 1e-4
FEW = [*SMALL, "--data.init_args.batch_size=300", "--trainer.check_val_every_n_epoch=1"]
PLAIN = "--model.nets=UNetNets --model.nets.channels=16 --model.nets.multipliers=[1]"
# One net of each family, as small as it gets, and more where one differs; the recipe and further options.
NETS = {
    "vae": ("vae", ""),
    "gan_r1": ("gan", "--model.penalty.every=2"),
    "gan": ("gan", "--model.penalty=null --model.updates.discriminator_steps=2"),
    "wgan_gp": ("gan", "--model=WGANGP --model.updates.discriminator_steps=2"),
    "sngan": ("gan", "--model=SNGAN --model.updates.discriminator_steps=2 --model.augmentation=DiffAugment"),
    "r3gan": ("gan", "--model=R3GAN --model.penalty=R1AndR2 --model.penalty.every=2"),
    "pixelcnn": ("autoregressive", "--model.channels=4 --model.dilations=[1]"),
    "transformer": ("autoregressive", "--model=Transformer --model.width=16 --model.num_heads=2 --model.dropout=0.2"),
    "pixelcnnpp": ("autoregressive", "--model=PixelCNNpp --model.num_filters=8 --model.num_components=2"),
    "flow": ("flow", ""),
    "glow": ("flow", "--model=Glow --model.nets=GlowCouplings --model.nets.channels=8"),
    "diffusion": ("diffusion", f"{PLAIN} --model.nets.num_res_blocks=1 --model.nets.dropout=0.2"),
    "edm": ("diffusion", "--model=EDM --model.sampling.steps=3"),
}
QUICK = ("vae", "gan_r1")


class Uneven(Digits):
    """Four batches an epoch, of 249 images and the last one of 250; lit_gen's own data modules drop such a batch."""

    def read_grey(self) -> dict[SplitName, Split]:
        found = super().read_grey()
        return {**found, "train": Split(found["train"].x[:997])}

    def train_dataloader(self) -> SliceLoader:
        return SliceLoader(self.split("train").x, batch_size=self.batch_size, shuffle=True, drop_last=False)


def train(net: str, root: Path, name: str, *more: str) -> Path:
    recipe, options = NETS[net]
    file = REPO / f"configs/recipes/digits/{recipe}.yaml"
    own = [f"--config={file}", f"--trainer.default_root_dir={root}", *FEW, f"--run_name={name}"]
    fit.main([*own, *options.split(), *more])
    return root / name


def graphs() -> int:
    """Number of graphs of networks since the last reset; one more is that of the check of the backend."""
    counters: Any = sys.modules["torch._dynamo.utils"].counters
    return int(counters["stats"]["unique_graphs"]) - 1


@pytest.fixture(autouse=True)
def _no_graphs_of_other_tests() -> Iterator[None]:
    torch._dynamo.reset()
    sys.modules["torch._dynamo.utils"].counters.clear()  # type: ignore[attr-defined]
    yield
    torch._dynamo.reset()


def losses(run: Path) -> list[list[float]]:
    """The rows of the curves' training columns."""
    rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    return [[float(v) for k, v in row.items() if k.startswith("train/") and v] for row in rows]


def difference(a: dict[str, Any], b: dict[str, Any]) -> float:
    """Root mean square over all weights.

    Not the largest: Adam divides by the size of a gradient, so that rounding errors of a gradient near zero become a
    share of a step, of which four are up to 0.004 here.
    """
    assert a.keys() == b.keys(), "names of tensors"
    pairs = [(x, b[name]) for name, x in a.items() if isinstance(x, torch.Tensor)]
    return float(torch.cat([(x.double() - y.double()).flatten() for x, y in pairs]).square().mean().sqrt())


@pytest.mark.parametrize(
    ("net", "backend"),
    [
        *((net, "aot_eager") for net in QUICK),
        *(pytest.param(net, "aot_eager", marks=pytest.mark.slow) for net in NETS if net not in QUICK),
        *(pytest.param(net, "inductor", marks=pytest.mark.slow) for net in NETS),
    ],
)
def test_the_first_steps_are_those_of_an_uncompiled_run(net: str, backend: str, tmp_path: Path) -> None:
    """Also with dropout, whose masks are drawn by the same generators; weights after a last batch of another size."""
    options = ["--data=test_compile.Uneven", "--budget.max_examples=997", "--trainer.log_every_n_steps=1"]
    eager = train(net, tmp_path, "eager", *options)
    compiled = train(net, tmp_path, "compiled", *options, f"--compile={backend}")
    assert graphs() > 0
    a, b = (checkpoint(run) for run in (eager, compiled))
    assert difference(a["state_dict"], b["state_dict"]) < TOLERANCE
    assert difference(a["callbacks"]["ema"]["average"], b["callbacks"]["ema"]["average"]) < TOLERANCE
    rows = losses(eager), losses(compiled)
    assert len(rows[0]) >= 3
    for one, other in zip(*rows, strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize(
    ("net", "most"),
    [
        ("vae", 4),  # two networks
        *(pytest.param(net, 2, marks=pytest.mark.slow) for net in ("pixelcnn", "transformer", "flow", "edm")),
        # The generator with and without gradients; the discriminator for its own step and for the generator's.
        pytest.param("gan", 8, marks=pytest.mark.slow),
        pytest.param("gan_r1", 6, marks=pytest.mark.slow),
        pytest.param("wgan_gp", 6, marks=pytest.mark.slow),
    ],
)
def test_a_network_has_one_graph_for_each_size_of_a_batch(net: str, most: int, tmp_path: Path) -> None:
    """Over three epochs whose last batch is of another size, validations and samples: the limit of 8 is not reached."""
    options = ["--data=test_compile.Uneven", "--budget.max_examples=2991"]
    run = train(net, tmp_path, "run", "--compile=aot_eager", *options)
    assert checkpoint(run)["callbacks"]["budget"]["examples_seen"] == 2991
    assert 0 < graphs() <= most


def test_a_compiled_run_resumes_to_the_bit_and_either_kind_continues_the_other(tmp_path: Path) -> None:
    options = ["--compile=aot_eager", "--budget.max_examples=2000"]
    unbroken = checkpoint(train("vae", tmp_path, "unbroken", *options))
    train("vae", tmp_path, "stopped", *options, "--trainer.max_steps=4")
    fit.main(["--resume", str(tmp_path / "stopped"), "--trainer.max_steps=1000"])
    resumed = checkpoint(tmp_path / "stopped")
    for part in ("state_dict", "optimizer_states", "global_step"):
        assert_same(unbroken[part], resumed[part], part)
    assert not [name for name in resumed["state_dict"] if "_orig_mod" in name]
    fit.main(["--resume", str(tmp_path / "stopped"), "--compile=false", "--budget.max_examples=3000"])
    assert checkpoint(tmp_path / "stopped")["global_step"] == 10


def test_scores_do_not_depend_on_the_option(tmp_path: Path) -> None:
    """Of the same weights they are equal to the bit, under the same protocols: scores are computed uncompiled."""
    for name, other in (("false", "aot_eager"), ("aot_eager", "false")):
        run = train("vae", tmp_path / name, "run", f"--compile={name}", "--budget.max_examples=1000")
        own = {s.protocol.hash: s.value for s in the_record(run).scores}
        alone = tmp_path / f"{name}-alone" / "best.ckpt"
        alone.parent.mkdir()
        shutil.copy(run / "checkpoints" / "best.ckpt", alone)
        before = graphs()
        evaluate.main([str(alone), f"--compile={other}"])
        assert graphs() == before
        assert {s.protocol.hash: s.value for s in the_record(alone.parent).scores} == own


@pytest.mark.slow
@pytest.mark.parametrize("net", ["vae", "gan_r1"])
def test_two_processes(net: str, tmp_path: Path) -> None:
    recipe, options = NETS[net]
    args = ["--config", f"configs/recipes/digits/{recipe}.yaml", *FEW, *options.split(), "--trainer.accelerator=cpu"]
    args += ["--budget.max_examples=2000", "--compile=aot_eager", "--trainer.devices=2"]
    for name, more in (("compiled", []), ("eager", ["--compile=false"])):
        root = f"--trainer.default_root_dir={tmp_path}"
        found = run_module("lit_gen.fit", *args, root, f"--run_name={name}", *more)
        assert found.returncode == 0, found.stderr
        assert "Traceback" not in found.stderr
    states = [checkpoint(tmp_path / name)["state_dict"] for name in ("compiled", "eager")]
    assert difference(*states) < TOLERANCE


# ------------------------------------------------------------------ bad input


def rejected(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert run_command(fit.main, args) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


def test_an_unknown_backend_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = REPO / "configs/recipes/digits/vae.yaml"
    line = rejected([f"--config={file}", f"--trainer.default_root_dir={tmp_path}", "--compile=inducter"], capsys)
    assert "compile" in line
    assert "inductor" in line
    assert not list(tmp_path.iterdir())


def test_a_missing_compiler_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("No working C++ compiler found\n  in many\n  lines")

    monkeypatch.setitem(torch._dynamo.backends.registry._COMPILER_FNS, "aot_eager", broken)
    file = REPO / "configs/recipes/digits/vae.yaml"
    root = tmp_path / "runs"
    line = rejected([f"--config={file}", f"--trainer.default_root_dir={root}", "--compile=aot_eager"], capsys)
    assert "aot_eager does not work on cpu" in line
    assert "No working C++ compiler" in line
    assert not list(root.glob("*"))


class DifferentiatedTwice(R1):
    """Ignores that the contract asks for an uncompiled discriminator."""

    def value(self, discriminator: nn.Module, real: Scored, fake: Scored) -> torch.Tensor:
        compiled = torch.compile(discriminator, backend="aot_eager")
        x = real.x.detach().requires_grad_()
        return super().value(discriminator, Scored(x, compiled(x)), fake)


def test_a_loss_that_cannot_be_compiled_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A compiled graph is differentiated once: known in the first step, and no folder is left."""
    file, root = REPO / "configs/recipes/digits/gan.yaml", tmp_path / "runs"
    penalty = "--model.penalty=test_compile.DifferentiatedTwice"
    args = [f"--config={file}", f"--trainer.default_root_dir={root}", *FEW, penalty, "--compile=aot_eager"]
    line = rejected(args, capsys)
    assert "differentiated only once" in line
    assert "leave out compile" in line
    assert not list(root.glob("*"))
