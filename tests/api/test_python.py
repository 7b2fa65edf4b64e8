"""``lit_gen.load``, ``lit_gen.train`` and ``lit_gen.read_records``: what a notebook types, held to what commands do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from commands import RECIPES, SMALL, run_fit
from conftest import REPO
from PIL import Image

import lit_gen
from lit_gen.api.loaded import LoadedModel
from lit_gen.api.record_table import read_records
from lit_gen.api.training import TrainedRun
from lit_gen.errors import UserError
from lit_gen.families import GAN, VAE
from lit_gen.records.record import read_record

VALUES: dict[str, Any] = {
    option.removeprefix("--").split("=")[0]: int(option.split("=")[1])
    for option in SMALL
    if "progress" not in option and "summary" not in option
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    root = tmp_path_factory.mktemp("runs")
    trainer = {"default_root_dir": root, "enable_progress_bar": False, "enable_model_summary": False}
    return lit_gen.train(RECIPES["vae"], trainer=trainer, run_name="vae", **VALUES)


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_fit("gan", tmp_path_factory.mktemp("runs"), "gan", "--quality.extractor=null")


def test_importing_the_package_loads_neither_torch_nor_the_functions() -> None:
    code = "import lit_gen, sys; assert not {'torch', 'numpy', 'lit_gen.api.loading'} & set(sys.modules)"
    code += "; lit_gen.read_records; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO)


def test_training_from_python_is_the_command(run: TrainedRun, tmp_path: Path) -> None:
    """The same values give the same weights and so the same scores, to the last digit."""
    by_command = read_record(run_fit("vae", tmp_path, "vae") / "record.json")
    assert [s.value for s in run.record.scores] == [s.value for s in by_command.scores]
    assert run.folder.name == "vae"
    assert run.checkpoint.is_file()


def test_nested_and_dotted_values_win_over_the_file(tmp_path: Path) -> None:
    from lit_gen.api.training import _command_line
    from lit_gen.cli.build import run_from_args

    values = {"model": {"init_args": {"num_latents": 3}}, "model.optimizer.lr": 3e-4, "run_name": "a"}
    trainer = {"default_root_dir": tmp_path, "enable_progress_bar": False}
    with _command_line([RECIPES["vae"]], {**values, "trainer": trainer, "wandb": {"mode": "disabled"}}) as args:
        built = run_from_args(args)
    assert isinstance(built.model, VAE)
    assert built.model.num_latents == 3
    assert built.model.configure_optimizers().param_groups[0]["lr"] == 3e-4


def test_the_loaded_model_has_the_values_of_the_record(run: TrainedRun) -> None:
    model = lit_gen.load(run.folder, device="cpu")
    x = model.data.split("test").x
    recorded = {(s.name, s.protocol.split): s.value for s in run.record.scores}
    assert model.weights == "ema"
    assert model.nll(x).mean().item() == pytest.approx(recorded["nll", "test"], rel=1e-6)
    assert model.bits_per_dim(x).mean().item() == pytest.approx(recorded["bpd", "test"], rel=1e-6)
    better = model.likelihood(x, estimator="iwae", draws=50)
    assert (better.kind, better.estimator) == ("bound", "iwae-50")
    assert better.nats.mean() < model.nll(x).mean(), "more importance samples give a tighter bound"
    assert model.record is not None
    assert model.record.run_name == "vae"
    assert model.config["model"]["init_args"]["num_latents"] == 8


def test_samples_are_those_of_the_averaged_weights_for_each_seed(run: TrainedRun) -> None:
    model = run.model
    sixteen = model.sample(16, seed=1)
    assert sixteen.dtype == torch.uint8
    assert sixteen.max() <= 16
    assert torch.equal(model.sample(4, seed=1, first=12), sixteen[12:])
    assert not torch.equal(model.sample(16, seed=2), sixteen)
    raw = VAE.load_from_checkpoint(run.checkpoint)
    assert not torch.equal(raw.sample(16, seed=1), sixteen)
    state = torch.load(run.checkpoint, weights_only=True)
    raw.load_state_dict(state["state_dict"] | state["callbacks"]["ema"]["average"])
    assert torch.equal(raw.sample(16, seed=1), sixteen)


def test_images_show_the_samples(run: TrainedRun) -> None:
    one, two = run.model.images(2, seed=3)
    assert isinstance(one, Image.Image)
    levels = run.model.sample(2, seed=3)[1, 0]
    pixels = torch.tensor(list(two.get_flattened_data() if hasattr(two, "get_flattened_data") else two.getdata()))
    assert torch.equal(pixels.reshape(8, 8), (levels.float() * 255 / 16).round().long())


def test_latents_of_examples_decode_to_their_reconstructions(run: TrainedRun) -> None:
    model, x = run.model, run.model.data.split("test").x[:2]
    z = model.encode(x)
    assert z.shape == (2, 8)
    way = model.interpolate(x[0], x[1], steps=5)
    assert torch.equal(way[[0, 4]], model.decode(z))
    assert len(model.interpolate(x[0], x[1], steps=2, linear=True)) == 2


def test_lightnings_own_loading_gives_the_raw_weights_and_takes_arguments(run: TrainedRun) -> None:
    model = VAE.load_from_checkpoint(run.checkpoint, map_location="cpu")
    state = torch.load(run.checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert model.configure_optimizers().param_groups[0]["lr"] == 2e-3
    assert VAE.load_from_checkpoint(run.checkpoint, warmup_examples=7).warmup_examples == 7
    with pytest.raises(ValueError, match="does not resolve to an already imported subclass of GAN"):
        GAN.load_from_checkpoint(run.checkpoint)


def test_loading_prints_nothing_and_leaves_random_generators(
    run: TrainedRun, capfd: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_rng_state()
    lit_gen.load(run.checkpoint).sample(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")


def test_a_model_without_likelihood_says_so(gan: Path) -> None:
    model = lit_gen.load(gan)
    assert model.sample(3).shape == (3, 1, 8, 8)
    with pytest.raises(UserError, match="GAN has no likelihood"):
        model.nll(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


def wrong(model: LoadedModel) -> dict[str, Any]:
    x = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    return {
        "give integers 0..16 of shape": lambda: model.nll(x.float()),
        "x has values 17..17; the model takes 0..16": lambda: model.nll(x + 17),
        "no sampling option temperature": lambda: model.sample(2, temperature=0.5),
        "cannot be asked for label 3": lambda: model.sample(2, label=3),
        "n is 0; give at least 1": lambda: model.sample(0),
        "steps is 1; give at least 2": lambda: model.interpolate(x[0], x[1], steps=1),
        "there is no checkpoint nowhere": lambda: lit_gen.load("nowhere"),
        "there is no device 'abacus'": lambda: lit_gen.load(model.checkpoint, device="abacus"),
        "device 'cuda:77' is not available": lambda: lit_gen.load(model.checkpoint, device="cuda:77"),
        "give a configuration": lambda: lit_gen.train(),
        "nowhere.yaml": lambda: lit_gen.train("nowhere.yaml"),
        "a value of type Tensor cannot be written": lambda: lit_gen.train(RECIPES["vae"], model=x),
        "unknown option --bugdet": lambda: lit_gen.train(RECIPES["vae"], **{"bugdet.max_examples": 3}),
        "does not exist; give the directory": lambda: lit_gen.read_records("nowhere"),
    }


def test_errors_are_one_line(run: TrainedRun) -> None:
    for message, call in wrong(run.model).items():
        with pytest.raises(UserError) as found:
            call()
        assert message in str(found.value)
        assert "\n" not in str(found.value)


def test_a_class_of_an_unknown_package_needs_permission(run: TrainedRun, tmp_path: Path) -> None:
    content = torch.load(run.checkpoint, weights_only=True)
    content["lit_gen_config"] = content["lit_gen_config"].replace("lit_gen.families.VAE", "elsewhere.models.VAE")
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(UserError, match=r"the class elsewhere\.models\.VAE is not of lit_gen.*allow=\['elsewhere'\]"):
        lit_gen.load(tmp_path / "foreign.ckpt")
    with pytest.raises(UserError, match=r"^(?!.*allow=)"):  # permitted, and then not found
        lit_gen.load(tmp_path / "foreign.ckpt", allow=["elsewhere"])


def test_records_become_a_table(run: TrainedRun) -> None:
    rows = read_records(run.folder.parent, frame=False)
    assert [row["value"] for row in rows] == [score.value for score in run.record.scores]
    first = {name: rows[0][name] for name in ("run", "family", "score", "kind", "split", "weights")}
    assert first == {"run": "vae", "family": "vae", "score": "bpd", "kind": "bound", "split": "test", "weights": "ema"}
    table = read_records(run.folder.parent)
    assert list(table["value"]) == [row["value"] for row in rows]
    assert table.loc[table.score == "fd_mnist_cnn", "num_samples"].item() == 40


def test_without_pandas_records_are_dictionaries(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert isinstance(read_records(run.folder.parent), list)
    with pytest.raises(UserError, match="pip install pandas"):
        read_records(run.folder.parent, frame=True)


def test_the_page_runs_as_it_is_written(
    run: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (REPO / "docs/python.md").read_text()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/vae-digits").symlink_to(run.folder)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(block, names)
    assert "bound iwae-100" in capsys.readouterr().out
    assert names["x"].shape == (16, 1, 8, 8)
    assert len(names["pictures"]) == 16
    assert names["bits"].mean().item() == pytest.approx(run.record.scores[0].value, rel=1e-6)
    assert names["run"].folder == tmp_path / "runs/short"
    assert "short" in set(names["table"]["run"])
