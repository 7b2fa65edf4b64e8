"""Optimizers on the command line and in files: their classes, arguments and errors."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from commands import RECIPES, checkpoint, options, run_fit
from conftest import REPO
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from lit_gen import evaluate, fit
from lit_gen.checkpoints import KEY
from lit_gen.cli.command_line import CLI
from lit_gen.cli.optimizer_checks import check_optimizers, optimizer_classes
from lit_gen.cli.process import run_command
from lit_gen.cli.renamed import OPTIONS
from lit_gen.contract import GenerativeModule
from lit_gen.errors import UserError
from lit_gen.noise import Noise
from lit_gen.optim import AdamW, AdversarialAdamW, parameter_groups


class Pair(GenerativeModule):
    """Two networks with an optimizer each; the first has hidden weights."""

    def __init__(
        self,
        shape: tuple[int, ...],
        num_levels: int,
        generator_optimizer: OptimizerCallable = AdversarialAdamW,
        discriminator_optimizer: OptimizerCallable = AdversarialAdamW,
    ) -> None:
        super().__init__(shape, num_levels)
        self.generator, self.discriminator = nn.Linear(2, 2), nn.Linear(2, 2)
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [
            self.generator_optimizer(parameter_groups(self.generator, hidden=[self.generator.weight])),
            self.discriminator_optimizer(parameter_groups(self.discriminator)),
        ]

    @property
    def sampling_network(self) -> nn.Module:
        return self.generator

    def generate(self, noise: Noise, label: Tensor | None = None) -> Tensor:
        raise NotImplementedError


VAE = [f"--config={RECIPES['vae']}"]
TWO = ["--model=test_optimizer_options.Pair", "--data=Digits"]
ADAMW = {"lr": 1e-3, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0}
RECIPE = {**ADAMW, "lr": 2e-3, "weight_decay": 0.3}
SGD = {"lr": 1e-3, "momentum": 0.0, "weight_decay": 0.0}
MUON = {"lr": 1e-3, "betas": [0.9, 0.999], "weight_decay": 0.0, "momentum": 0.95}


def text_of(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        CLI([*args, "--print_config"])
    assert end.value.code == 0
    return capsys.readouterr().out


def error_of(args: list[str], root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of a refused command, which leaves no folder behind."""
    assert run_command(fit.main, [*args, f"--trainer.default_root_dir={root / 'runs'}"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:], lines
    assert "Traceback" not in "".join(lines)
    assert not (root / "runs").exists()
    return lines[-1].removeprefix("error: ")


def inline(**optimizer: Any) -> str:
    return "--config=" + json.dumps({"model": {"init_args": {"optimizer": optimizer}}})


# ------------------------------------------------------------------ choosing

CHOICES: dict[str, tuple[list[str], str, dict[str, Any]]] = {
    "default": (["--model=VAE", "--data=Digits"], "lit_gen.optim.AdamW", ADAMW),
    "recipe": (VAE, "lit_gen.optim.AdamW", RECIPE),
    "argument": ([*VAE, "--model.optimizer.lr=3e-4"], "lit_gen.optim.AdamW", {**RECIPE, "lr": 3e-4}),
    "betas": ([*VAE, "--model.optimizer.betas=[0.5,0.9]"], "lit_gen.optim.AdamW", {**RECIPE, "betas": [0.5, 0.9]}),
    "argument in a file": ([*VAE, inline(init_args={"lr": 0.1})], "lit_gen.optim.AdamW", {**RECIPE, "lr": 0.1}),
    "flat key": (
        [*VAE, '--config={"model.init_args.optimizer.init_args.lr": 0.1}'],
        "lit_gen.optim.AdamW",
        {**RECIPE, "lr": 0.1},
    ),
    "short name": ([*VAE, "--model.optimizer=SGD", "--model.optimizer.lr=0.1"], "torch.optim.SGD", {**SGD, "lr": 0.1}),
    "class path": ([*VAE, "--model.optimizer=torch.optim.SGD"], "torch.optim.SGD", SGD),
    "class in a file": (
        [*VAE, inline(class_path="torch.optim.SGD", init_args={"lr": 0.1})],
        "torch.optim.SGD",
        {**SGD, "lr": 0.1},
    ),
    "short name in a file": ([*VAE, inline(class_path="SGD")], "torch.optim.SGD", SGD),
    "Muon": ([*VAE, "--model.optimizer=Muon"], "lit_gen.optim.Muon", MUON),
    "Muon in a file": (
        [*VAE, inline(class_path="Muon", init_args={"lr": 0.1})],
        "lit_gen.optim.Muon",
        {**MUON, "lr": 0.1},
    ),
    "torch's": ([*VAE, "--model.optimizer=torch.optim.AdamW"], "torch.optim.AdamW", {"lr": 1e-3, "weight_decay": 0.01}),
    "same class": ([*VAE, "--model.optimizer=AdamW"], "lit_gen.optim.AdamW", RECIPE),
    "same class, full path": ([*VAE, "--model.optimizer=lit_gen.optim.adamw.AdamW"], "lit_gen.optim.AdamW", RECIPE),
    "same class in a file": ([*VAE, inline(class_path="lit_gen.optim.AdamW")], "lit_gen.optim.AdamW", RECIPE),
    "there and back": ([*VAE, "--model.optimizer=SGD", "--model.optimizer=AdamW"], "lit_gen.optim.AdamW", ADAMW),
}


@pytest.mark.parametrize(("args", "class_path", "init_args"), CHOICES.values(), ids=CHOICES.keys())
def test_a_class_and_its_arguments_are_in_the_resolved_configuration(
    args: list[str], class_path: str, init_args: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = text_of(args, capsys)
    found = yaml.safe_load(text)["model"]["init_args"]["optimizer"]
    assert found["class_path"] == class_path
    assert {name: found["init_args"][name] for name in init_args} == init_args
    if class_path.startswith("lit_gen"):
        assert found["init_args"] == init_args, "all arguments, and no others"
    (tmp_path / "again.yaml").write_text(text)
    assert text_of([f"--config={tmp_path / 'again.yaml'}"], capsys) == text


def test_another_model_starts_from_its_own_defaults_too(capsys: pytest.CaptureFixture[str]) -> None:
    plain = yaml.safe_load(text_of(["--model=GAN", "--data=Digits"], capsys))["model"]
    assert yaml.safe_load(text_of([*VAE, "--model.num_latents=99", "--model=GAN"], capsys))["model"] == plain


def test_the_model_s_factory_builds_the_class_with_the_arguments() -> None:
    class HaltedError(Exception):
        pass

    class Halting(CLI):
        def instantiate_trainer(self, **kwargs: Any) -> Any:
            raise HaltedError(self.model)

    with pytest.raises(HaltedError) as found:
        Halting([*VAE, "--model.optimizer.betas=[0.5,0.9]"])
    optimizer = found.value.args[0].configure_optimizers()
    assert type(optimizer) is AdamW
    assert {name: optimizer.defaults[name] for name in ADAMW} == {**RECIPE, "betas": (0.5, 0.9)}


FILES = sorted((REPO / "configs").rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_every_configuration_can_be_dumped(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = yaml.safe_load(path.read_text())
    rest = [option for name, option in (("model", "--model=VAE"), ("data", "--data=Digits")) if name not in said]
    text = text_of([*rest, f"--config={path}"], capsys)
    assert "Unable to serialize" not in text
    (tmp_path / "again.yaml").write_text(text)
    assert text_of([f"--config={tmp_path / 'again.yaml'}"], capsys) == text


# ------------------------------------------------------------------ errors

ERRORS: dict[str, tuple[list[str], str]] = {
    "argument": ([*VAE, "--model.optimizer.lrr=1"], "model.optimizer.lrr: unknown key; did you mean 'lr'?"),
    "init_args": ([*VAE, "--model.init_args.optimizer.init_args.lrr=1"], "model.optimizer.lrr: unknown key; did"),
    "in a file": ([*VAE, inline(init_args={"lrr": 1})], "model.optimizer.lrr: unknown key; did you mean 'lr'?"),
    "nothing like it": ([*VAE, "--model.optimizer.zzz=1"], "model.optimizer.zzz: unknown key; valid are betas, eps"),
    "fused": ([*VAE, "--model.optimizer.fused=false"], "model.optimizer.fused: unknown key"),
    "class": ([*VAE, "--model.optimizer=AdmaW"], "model.optimizer: 'AdmaW' is not an Optimizer; did you mean 'AdamW'?"),
    "class path": ([*VAE, "--model.optimizer=torch.optim.SDG"], "model.optimizer: 'torch.optim.SDG' is not an Opti"),
    "class in a file": ([*VAE, inline(class_path="AdmaW")], "model.optimizer: 'AdmaW' is not an Optimizer; did you"),
    "no optimizer": ([*VAE, "--model.optimizer=torch.nn.Linear"], "model.optimizer: 'torch.nn.Linear' is not an Opt"),
    "number": ([*VAE, "--model.optimizer=3"], "model.optimizer: '3' is not an Optimizer"),
    "beside": ([*VAE, inline(class_path="AdamW", lr=1)], "model.optimizer: put the arguments of the class under init"),
    "type": ([*VAE, "--model.optimizer.lr=fast"], "model.optimizer.lr: 'fast' is not a number"),
    "type, torch's": (
        [*VAE, "--model.optimizer=SGD", "--model.optimizer.lr=fast"],
        "model.optimizer.lr: 'fast' is not a number",
    ),
    "one beta": ([*VAE, "--model.optimizer.betas=[0.5]"], "model.optimizer.betas: Expected a tuple with 2 elements"),
    "too early": (["--model.optimizer.lr=1", *VAE], "model: an argument comes before the class that has it"),
    "range": ([*VAE, "--model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1.0"),
    "range, torch's": (
        [*VAE, "--model.optimizer=SGD", "--model.optimizer.momentum=-1"],
        "model.optimizer: Invalid momentum value: -1.0",
    ),
    "in conflict": (
        [*VAE, "--model.optimizer=SGD", "--model.optimizer.fused=true", "--model.optimizer.foreach=true"],
        "model.optimizer: `fused` and `foreach` cannot be `True` together.",
    ),
    "no hidden weights": ([*VAE, "--model.optimizer=Muon"], "model.optimizer: Muon is for weights between hidden"),
    "which key": ([*TWO, "--model.discriminator_optimizer.lrr=1"], "model.discriminator_optimizer.lrr: unknown key"),
    "which type": ([*TWO, "--model.generator_optimizer.lr=a"], "model.generator_optimizer.lr: 'a' is not a number"),
    "which class": ([*TWO, "--model.generator_optimizer=A"], "model.generator_optimizer: 'A' is not an Optimizer"),
    "which range": (
        [*TWO, "--model.discriminator_optimizer.betas=[0,1]"],
        "model.discriminator_optimizer: Invalid beta parameter at index 1: 1.0",
    ),
    "which has none": (
        [*TWO, "--model.generator_optimizer=Muon", "--model.discriminator_optimizer=Muon"],
        "model.discriminator_optimizer: Muon is for weights between hidden layers",
    ),
}


@pytest.mark.parametrize(("args", "start"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_names_the_whole_option(
    args: list[str], start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_of(args, tmp_path, capsys)
    assert line.startswith(start), line


def test_the_model_keeps_its_factories_when_the_check_is_over() -> None:
    bad = partial(AdamW, lr=-1.0)
    model = Pair((1, 2, 2), 2, generator_optimizer=bad)
    with pytest.raises(UserError, match=r"^model\.generator_optimizer: Invalid learning rate: -1\.0$"):
        check_optimizers(model)
    assert model.generator_optimizer is bad
    assert model.discriminator_optimizer is AdversarialAdamW


# ------------------------------------------------------------------ old names

OLD = [(key, new.split(" ")[0]) for key, new in OPTIONS.items() if key.startswith("model.")]
OLD_WAYS = {
    "short": "--{key}=0.5",
    "long": "--model.init_args.{name}=0.5",
    "file": '--config={{"model": {{"init_args": {{"{name}": 0.5}}}}}}',
    "whole file": '--config={{"model": {{"class_path": "lit_gen.families.VAE", "init_args": {{"{name}": 0.5}}}}}}',
    "sweep": '--config={{"model.init_args.{name}": 0.5}}',
}


@pytest.mark.parametrize("way", OLD_WAYS)
@pytest.mark.parametrize(("key", "new"), OLD)
def test_an_old_option_is_answered_with_the_new_one(
    way: str, key: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = OLD_WAYS[way].format(key=key, name=key.removeprefix("model."))
    assert error_of([*VAE, option], tmp_path, capsys).startswith(f"{key} is now {new}")


@pytest.mark.parametrize(("old", "new"), [("muon", "Muon"), ("adamw", "AdamW")])
@pytest.mark.parametrize("where", ["option", "file"])
def test_an_old_value_is_answered_with_the_new_one(
    where: str, old: str, new: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = json.dumps({"model": {"init_args": {"optimizer": old}}})
    option = f"--model.optimizer={old}" if where == "option" else f"--config={given}"
    assert error_of([*VAE, option], tmp_path, capsys) == f"model.optimizer={old} is now model.optimizer={new}"


# ------------------------------------------------------------------ checkpoints


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_fit("vae", tmp_path_factory.mktemp("runs"), "run", "--budget.max_examples=200")


def old_checkpoint(run: Path, folder: Path) -> Path:
    """The run's last checkpoint, as if it had been written before optimizers were classes."""
    content = checkpoint(run)
    config = yaml.safe_load(content[KEY])
    arguments = config["model"]["init_args"]
    arguments |= {name: arguments["optimizer"]["init_args"][name] for name in ("lr", "eps", "weight_decay")}
    del arguments["optimizer"]
    content[KEY] = yaml.safe_dump(config)
    torch.save(content, folder / "old.ckpt")
    return folder / "old.ckpt"


def test_the_checkpoint_s_configuration_names_the_optimizer(run: Path) -> None:
    config = yaml.safe_load(checkpoint(run)[KEY])
    assert optimizer_classes(config["model"]) == {"model.optimizer": "lit_gen.optim.AdamW"}
    assert config["model"]["init_args"]["optimizer"]["init_args"] == RECIPE


def test_an_old_checkpoint_is_not_scored(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = old_checkpoint(run, tmp_path)
    assert run_command(evaluate.main, [str(path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: the checkpoint is of an older version of lit_gen, where model.")
    assert " is now model.optimizer." in line
    assert run_command(evaluate.main, [f"{run}/checkpoints/last.ckpt", "--model.lr=1"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "error: model.lr is now model.optimizer.lr"


def test_a_run_goes_on_with_the_same_class_only(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    last = f"--ckpt_path={run}/checkpoints/last.ckpt"
    line = error_of([*VAE, last, "--model.optimizer=SGD"], tmp_path, capsys)
    assert "was trained with model.optimizer=lit_gen.optim.AdamW, but model.optimizer is now torch.optim.SGD" in line
    line = error_of([*VAE, f"--ckpt_path={old_checkpoint(run, tmp_path)}"], tmp_path, capsys)
    assert "was trained without model.optimizer" in line


def test_a_run_trains_with_an_optimizer_of_torch(tmp_path: Path) -> None:
    more = ["--budget.max_examples=200", "--run_name=run", "--model.optimizer=SGD", "--model.optimizer.momentum=0.9"]
    fit.main(options("vae", tmp_path, *more))
    (state,) = checkpoint(tmp_path / "run")["optimizer_states"]
    assert state["param_groups"][0]["momentum"] == 0.9
    assert "betas" not in state["param_groups"][0]
