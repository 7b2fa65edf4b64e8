"""What the commands refuse, in one line and before anything is trained; and what they say of themselves."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import RECIPES, run_module
from conftest import REPO

from lit_gen import evaluate, fit
from lit_gen.cli.command_line import CLI
from lit_gen.cli.process import run_command
from lit_gen.data import DiscreteDataModule, Loader, Split
from lit_gen.errors import UserError

NOT_THERE = "no-such-thing"


class _Fixed(DiscreteDataModule):
    """Six examples that do not fit what they declare."""

    x = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)

    def __init__(self, batch_size: int = 2) -> None:
        super().__init__(
            name="fixed", shape=(1, 8, 8), num_levels=17, batch_size=batch_size, loader=Loader(eval_batch_size=6)
        )

    def read(self) -> dict[str, Split]:  # type: ignore[override]
        return {name: Split(self.x) for name in ("train", "val", "test")}


class WrongShape(_Fixed):
    x = torch.zeros(6, 1, 9, 9, dtype=torch.uint8)


class TooManyLevels(_Fixed):
    x = torch.full((6, 1, 8, 8), 17, dtype=torch.uint8)


def refusal(args: list[str], capsys: pytest.CaptureFixture[str], exit_code: int = 2) -> str:
    """The one line in which ``fit`` refuses its arguments."""
    assert run_command(fit.main, args) == exit_code
    lines = capsys.readouterr().err.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert errors == lines[-1:], lines
    assert "Traceback" not in "".join(lines)
    return errors[0]


# Options of the command line, and what the line must name: what is wrong, where, and what would be right.
OPTIONS: dict[str, tuple[str, str, list[str]]] = {
    "top": ("vae", "--budgt.max_examples=3", ["--budgt.max_examples", "did you mean 'budget.max_examples'?"]),
    "nothing like it": ("vae", "--zzz", ["unknown option --zzz"]),
    "abbreviated": ("vae", "--trainer.max_epoch=3", ["--trainer.max_epoch", "did you mean 'trainer.max_epochs'?"]),
    "trainer": ("vae", "--trainer.max_epchs=3", ["trainer.max_epchs", "did you mean 'trainer.max_epochs'?"]),
    "model": ("vae", "--model.optimiser=SGD", ["model.optimiser", "did you mean 'optimizer'?"]),
    "model.init_args": ("vae", "--model.init_args.num_latent=3", ["model.num_latent: ", "did you mean 'num_latents'?"]),
    "data": ("vae", "--data.batch_siz=3", ["data.batch_siz: ", "did you mean 'batch_size'?"]),
    "nested": ("vae", "--model.nets.hidden_siz=[3]", ["model.nets.hidden_siz: ", "did you mean 'hidden_sizes'?"]),
    "type in the model": ("vae", "--model.num_latents=few", ["model.num_latents: 'few' is not a whole number"]),
    "type in the trainer": ("vae", "--trainer.max_epochs=many", ["trainer.max_epochs", "'many' is not a whole number"]),
    "type of the seed": ("vae", "--seed_everything=abc", ["seed_everything", "'abc'", "a whole number"]),
    "seed": ("vae", "--seed_everything=-1", ["seed_everything is -1", "from 0"]),
    "choice": ("vae", "--scoring.split=tset", ["scoring.split", "test, val", "did you mean 'test'?"]),
    "choice of numbers": ("vae", "--trainer.precision=3", ["trainer.precision: '3' is not one of 64, 32, 16, "]),
    "family": ("vae", "--model=VAEE", ["model", "'VAEE' is not a GenerativeModule", "did you mean 'VAE'?", "GAN"]),
    "no family": ("vae", "--model=torch.nn.Linear", ["'torch.nn.Linear' is not a GenerativeModule", "VAE"]),
    "abstract": ("vae", "--model=lit_gen.contract.GenerativeModule", ["GenerativeModule is abstract", "VAE"]),
    "abstract nets": ("vae", "--model.nets=lit_gen.nets.AutoencoderNets", ["AutoencoderNets is abstract", "ConvNets"]),
    "nets of another family": ("gan", "--model.nets=MLPNets", ["'MLPNets' is not an AdversarialNets", "DCGAN"]),
    "extractor": ("vae", "--quality.extractor=Foo", ["quality.extractor", "'Foo' is not a FeatureSpace", "MnistCNN"]),
    "missing argument": ("vae", "--data=HubImages", ["data: path, name, transform.size, transform.channels must be"]),
    "config": ("vae", "--config=configs/recipes/digits/va.yaml", ["there is no file", "did you mean 'vae.yaml'?"]),
    "config folder": ("vae", "--config=configs", ["--config", "is a folder"]),
    "config without a value": ("vae", "--config", ["--config: expected one argument"]),
    "checkpoint": ("vae", f"--ckpt_path={NOT_THERE}.ckpt", ["ckpt_path", f"no checkpoint {NOT_THERE}.ckpt"]),
    "estimator": ("vae", "--scoring.estimator=iwea", ["VAE", "'iwea'", "elbo, iwae", "did you mean 'iwae'?"]),
    "estimator of none": ("gan", "--scoring.estimator=elbo", ["GAN", "'elbo'", "no likelihood"]),
    "average of none": ("vae", "--ema.halflife_examples=null --scoring.weights=ema", ["scoring.weights", "halflife"]),
    "averaged module": ("gan", "--ema.modules=[generatr]", ["ema.modules", "did you mean 'generator'?"]),
    "halflife": ("vae", "--ema.halflife_examples=-1", ["ema.halflife_examples is -1"]),
    "average every": ("vae", "--ema.every=0", ["ema: every=0"]),
    "ramp-up": ("vae", "--ema.rampup=0", ["rampup=0"]),
    "levels of Bernoulli": ("vae", "--model.observation=Bernoulli", ["observation: Bernoulli", "2 values", "17"]),
    "depth": ("vae", "--model.nets=ConvNets --model.nets.channels=[1,1,1,1]", ["8x8", "at most 3"]),
    "linked shape": ("vae", "--model.shape=[1,9,9]", ["model: shape is set by the data"]),
    "linked levels": ("vae", "--model.num_levels=256", ["model: num_levels is set by the data"]),
    "budget": ("vae", "--budget.max_examples=0", ["budget.max_examples is 0", "at least 1"]),
    "samples": ("vae", "--scoring.num_samples=3", ["num_samples=3", "at least 20"]),
    "quality": ("vae", "--quality.num_samples=3", ["quality: num_samples=3", "from 20 to"]),
    "grid": ("vae", "--grid.num_samples=-1", ["grid.num_samples is -1"]),
    "decay of Adam": (
        "vae",
        "--model.optimizer.betas=[1,0.9]",
        ["model.optimizer: Invalid beta parameter at index 0: 1.0"],
    ),
    "learning rate": (
        "gan",
        "--model.generator_optimizer.lr=nan",
        ["model.generator_optimizer.lr", "'nan' is not a number"],
    ),
    "none kept": ("vae", "--checkpoint.save_top_k=-2", ["save_top_k=-2"]),
    "mode": ("vae", "--checkpoint.mode=least", ["checkpoint.mode", "min, max"]),
    "wandb": ("vae", "--wandb.mode=ofline", ["wandb.mode", "did you mean 'offline'?"]),
    "clipping two": (
        "gan", "--trainer.gradient_clip_val=1", ["trainer.gradient_clip_val", "GAN", "use model.updates.clip_norm"],
    ),
    "size of nets": (
        "gan", "--model.nets=SNGANNets --model.nets.generator_channels=[8,8,8,8,8]",
        ["SNGANNets: generator_channels halves 8x8 images 4 times", "at most 3 times"],
    ),
    "classes of nets": ("gan", "--model.num_classes=10", ["DCGAN takes no classes", "num_classes is 10"]),
    "no parts": ("gan", "--model.updates.micro_batches=0", ["micro_batches=0 must be at least 1"]),
    "truncation": ("gan", "--model.sampling.truncation=-1", ["truncation=-1.0 must be positive"]),
    "clipping scaled": (
        "vae",
        "--trainer.gradient_clip_val=1 --trainer.precision=16-mixed",
        ["trainer.gradient_clip_val", "bf16-mixed"],
    ),
    "accumulating two": (
        "gan",
        "--trainer.accumulate_grad_batches=2",
        ["trainer.accumulate_grad_batches", "GAN", "use model.updates.micro_batches, which splits a batch"],
    ),
    "accelerator": ("vae", "--trainer.accelerator=abacus", ["trainer", "abacus", "cpu"]),
    "strategy": ("vae", "--trainer.strategy=dpp", ["trainer", "dpp", "ddp"]),
    "devices": ("vae", "--trainer.accelerator=cpu --trainer.devices=two", ["trainer", "devices"]),
    "no validation": ("vae", "--trainer.check_val_every_n_epoch=0", ["trainer.check_val_every_n_epoch is 0"]),
    "no batches": ("vae", "--trainer.limit_train_batches=0", ["trainer.limit_train_batches is 0", "at least 1"]),
    "no share of batches": ("vae", "--trainer.limit_train_batches=0.0", ["trainer.limit_train_batches is 0.0"]),
    "no epochs": ("vae", "--trainer.max_epochs=0", ["trainer.max_epochs is 0", "nothing would be trained"]),
    "no steps": ("vae", "--trainer.max_steps=0", ["trainer.max_steps is 0"]),
    "interval": ("vae", "--trainer.val_check_interval=1000", ["trainer.val_check_interval is 1000", "10 batches"]),
    "no step of the generator": (
        "gan",
        "--model.updates.discriminator_steps=9 --budget.max_examples=100",
        ["budget.max_examples is 100", "after 9"],
    ),
    "monitor": ("vae", "--checkpoint.monitor=val/bdp", ["checkpoint.monitor", "'val/bdp'", "did you mean 'val/bpd'?"]),
    "monitored part": ("vae", "--checkpoint.monitor=val/ratee", ["did you mean 'val/rate'?"]),
    "monitored likelihood of none": ("gan", "--checkpoint.monitor=val/bpd", ["there are: ", "val/fd_mnist_cnn"]),
    "seed of scores": ("vae", f"--scoring.seed={2**70}", ["scoring.seed is", "2**63 - 1"]),
    "negative seed of scores": ("vae", "--scoring.seed=-1", ["scoring.seed is -1"]),
    "seed of samples": ("vae", f"--grid.seed={2**63}", ["grid.seed is"]),
    "seed of the quality": ("vae", "--quality.seed=-2", ["quality.seed is -2"]),
    "penalty": ("gan", "--model.penalty=R1 --model.penalty.weight=.nan", ["model.penalty.weight is nan"]),
    "halflife nan": ("vae", "--ema.halflife_examples=.nan", ["ema.halflife_examples is nan"]),
    "decay nan": ("vae", "--schedule.decay=CosineDecay --schedule.decay.final=.nan", ["schedule.decay", "nan"]),
    "classes without labels": (
        "autoregressive",
        "--data=KnownEntropy --data.shape=[1,3,3] --model.num_classes=3",
        ["num_classes is 3", "no labels"],
    ),
    "too few classes": ("autoregressive", "--model.num_classes=3", ["num_classes is 3", "label 9"]),
    "unequal shares": (
        "vae",
        "--data.batch_size=51 --trainer.accelerator=cpu --trainer.devices=2",
        ["batch_size 51", "2 processes", "52"],
    ),
    "hub, local root": (
        "vae",
        f"--data=HubImages --data.path=ylecun/mnist --data.hub.root={NOT_THERE} --data.name=m"
        " --data.transform.size=28 --data.transform.channels=1 --data.splits.num_val=10",
        ["the data root", NOT_THERE],
    ),
    "hub, offline": (
        "vae",
        "--data=HubImages --data.path=ylecun/mnst --data.name=m --data.transform.size=28 --data.transform.channels=1"
        " --data.splits.num_val=10",
        ["ylecun/mnst", "LIT_GEN_DATA", "HF_HUB_OFFLINE"],
    ),
    "folder": (
        "vae",
        f"--data=FolderImages --data.path={NOT_THERE} --data.name=m --data.transform.size=8"
        " --data.transform.channels=1",
        ["no folder"],
    ),
    "nested data": ("vae", "--data.loader.sed=3", ["data.loader.sed", "did you mean 'loader.seed'?"]),
    "shape": ("vae", "--data=test_cli.WrongShape", ["'fixed'", "(1, 9, 9)", "(1, 8, 8)"]),
    "levels": ("vae", "--data=test_cli.TooManyLevels", ["'fixed'", "values up to 17", "0..16"]),
    "states": ("vae", "--data=KnownEntropy --data.shape=[1,30,30]", ["3**900 states"]),
    "weights": ("vae", "--quality.extractor=Inception --quality.extractor.weights=nofile", ["no file nofile"]),
}


@pytest.fixture(autouse=True)
def _without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("LIT_GEN_DATA", raising=False)


@pytest.mark.parametrize(("family", "options", "named"), OPTIONS.values(), ids=OPTIONS.keys())
def test_bad_option_is_one_line_and_nothing_starts(
    family: str,
    options: str,
    named: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(REPO)
    root = tmp_path / "runs"
    args = ["--config", str(RECIPES[family]), f"--trainer.default_root_dir={root}", *options.split()]
    line = refusal(args, capsys)
    assert [part for part in named if part not in line] == [], line
    assert not root.exists(), "a refused run left a folder behind"


FILES: dict[str, tuple[str, list[str]]] = {
    "top": ("budgt: {max_examples: 3}", ["budgt", "did you mean 'budget.max_examples'?"]),
    "top, dotted": ("trainr: {max_epochs: 3}", ["trainr", "did you mean 'trainer"]),
    "group": ("budget: {max_exampls: 3}", ["budget.max_exampls: ", "did you mean 'max_examples'?"]),
    "trainer": ("trainer: {max_epoch: 3}", ["trainer.max_epoch: ", "did you mean 'max_epochs'?"]),
    "model": ("model: {init_args: {num_latent: 3}}", ["model.num_latent: ", "did you mean 'num_latents'?"]),
    "beside class_path": ("model: {class_path: VAE, lr: 3}", ["model", "init_args"]),
    "nested": (
        "model: {init_args: {nets: {class_path: ConvNets, init_args: {chanels: [3]}}}}",
        ["model.nets.chanels: ", "did you mean 'channels'?"],
    ),
    "type": ("trainer: {max_epochs: many}", ["trainer.max_epochs", "'many'", "whole number"]),
    "class": ("data: {class_path: lit_gen.data.Digit}", ["data", "lit_gen.data.Digit", "did you mean 'Digits'?"]),
    "number": ("model: 3", ["model", "'3'", "VAE"]),
    "syntax": ("a: [b", ["--config", "not YAML"]),
    "list": ("- 3", ["--config", "mapping"]),
}


@pytest.mark.parametrize(("text", "named"), FILES.values(), ids=FILES.keys())
def test_bad_file_is_one_line(
    text: str, named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    root = tmp_path / "runs"
    files = [f"--config={RECIPES['vae']}", f"--config={tmp_path / 'bad.yaml'}"]
    line = refusal([*files, f"--trainer.default_root_dir={root}"], capsys)
    assert [part for part in named if part not in line] == [], line
    assert not root.exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "no model and no data are given"),
        (["--model=VAE"], "data must be given"),
        (["--data=Digits"], "model must be given"),
    ],
)
def test_missing_sections_are_named(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refusal(args, capsys)


def test_what_w_and_b_rejects_leaves_no_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The client has to write into the run's folder to find out."""
    options = [f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}", "--run_name=run"]
    line = refusal([*options, "--wandb.mode=offline", "--wandb.project=a/b"], capsys)
    assert "wandb: Invalid project name 'a/b'" in line
    assert not list(tmp_path.iterdir())


def test_what_is_found_before_the_first_step_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rejected(*args: Any) -> None:
        raise UserError("the model does not want to start")

    monkeypatch.setattr("lit_gen.families.vae.VAE.on_train_start", rejected)
    options = [f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}", "--run_name=run"]
    options.append("--trainer.enable_progress_bar=false")
    assert refusal(options, capsys) == "error: the model does not want to start"
    assert not list(tmp_path.iterdir())


def test_taken_run_name_is_refused_and_its_run_untouched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "record.json").write_text("{}")
    options = [f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}", "--run_name=taken"]
    line = refusal(options, capsys)
    assert "run_name" in line
    assert "taken" in line
    assert [p.name for p in tmp_path.rglob("*")] == ["taken", "record.json"]


def test_root_that_cannot_be_written_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    line = refusal([f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}/file/runs"], capsys)
    assert "trainer.default_root_dir" in line


def test_image_of_another_size_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for i in range(10):
        Image.new("L", (9, 8), i).save(tmp_path / f"{i}.png")
    options = f"--data=FolderImages --data.path={tmp_path} --data.name=m".split()
    options += ["--data.transform.size=8", "--data.transform.channels=1"]
    line = refusal([f"--config={RECIPES['vae']}", f"--trainer.default_root_dir={tmp_path}/runs", *options], capsys)
    assert "9x8" in line
    assert ".png" in line
    assert not (tmp_path / "runs").exists()


def test_a_program_s_stderr_is_that_line(tmp_path: Path) -> None:
    """The same through a process of its own: Lightning adds at most its line about the seed."""
    found = run_module(
        "lit_gen.fit",
        f"--config={RECIPES['vae']}",
        f"--trainer.default_root_dir={tmp_path}/runs",
        "--model.observation=Bernoulli",
    )
    assert found.returncode == 2
    assert found.stdout == ""
    lines = [line for line in found.stderr.splitlines() if not line.startswith("Seed set to")]
    assert len(lines) == 1, found.stderr
    assert lines[0].startswith("error: observation: Bernoulli is for data with 2 values, but these have 17")
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------ --help and --print_config


def printed(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        CLI(args)
    assert end.value.code == 0
    return capsys.readouterr().out


def test_help_lists_every_group(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(["--help"], capsys)
    for option in (
        "--config",
        "--print_config",
        "--seed_everything",
        "--trainer.max_epochs",
        "--model",
        "--data",
        "--budget.max_examples",
        "--ema.halflife_examples",
        "--checkpoint.monitor",
        "--grid.num_samples",
        "--quality.extractor",
        "--scoring.estimator",
        "--wandb.mode",
        "--ckpt_path",
        "--run_name",
    ):
        assert option in text, f"{option} is not in --help"
    assert "Training ends with the first batch that reaches this number of examples" in " ".join(text.split())


def test_evaluate_help_and_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(evaluate.main, ["--help"]) == 0
    assert "--scoring.draws" in capsys.readouterr().out
    assert run_command(evaluate.main, []) == 2
    assert "which checkpoint?" in capsys.readouterr().err


RECIPE_FILES = sorted(REPO.glob("configs/recipes/**/*.yaml"))


@pytest.mark.parametrize("recipe", RECIPE_FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_print_config_round_trips(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = printed([f"--config={recipe}", "--budget.max_examples=321", "--print_config"], capsys)
    assert "max_examples: 321" in first
    (tmp_path / "again.yaml").write_text(first)
    assert printed([f"--config={tmp_path / 'again.yaml'}", "--print_config"], capsys) == first


# ------------------------------------------------------------------ the cost of starting


def user_seconds(command: list[str]) -> float:
    """CPU seconds in user mode of a command that must succeed."""
    with subprocess.Popen(command, cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime


@pytest.mark.slow
def test_help_costs_at_most_a_second_more_than_lightning() -> None:
    lightning = [sys.executable, "-c", "import lightning.pytorch.cli"]
    ours = [sys.executable, "-m", "lit_gen.fit", "--help"]
    pairs = [(user_seconds(lightning), user_seconds(ours)) for _ in range(3)]
    theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert mine - theirs <= 1.0, f"--help takes {mine:.2f} s, of which Lightning's import is {theirs:.2f} s"


def test_help_imports_nothing_that_lightning_does_not() -> None:
    code = (
        "import sys, lightning.pytorch.cli; before = set(sys.modules); from lit_gen import fit\n"
        "try: fit.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'datasets', 'sklearn', 'torch_fidelity', 'wandb', 'pandas', 'matplotlib', 'pyarrow'}\n"
        "found = heavy & {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "sys.stderr.write(' '.join(sorted(found)))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    assert "--budget.max_examples" in found.stdout
    assert found.stderr.split() == []
