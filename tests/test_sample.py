"""Pictures of a trained model: what is in them, that they come again, and what is refused."""

from __future__ import annotations

import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run_fit, run_module
from conftest import REPO
from PIL import Image
from torch import Tensor

from lit_gen import families, fit
from lit_gen.checkpoints import KEY, read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import run_command
from lit_gen.contract import GenerativeModule
from lit_gen.data import Digits
from lit_gen.errors import UserError
from lit_gen.families import VAE
from lit_gen.media.grids import write_grid
from lit_gen.media.rows import row_picture
from lit_gen.noise import Noise
from lit_gen.quantization import to_uint8
from lit_gen.runs.weights import load_weights
from lit_gen.sample import draw
from lit_gen.sample import image_rows as images
from lit_gen.sample.__main__ import main
from lit_gen.sample.latents import Latents, great_circle, interpolate, straight
from lit_gen.sample.options import Options, parse

SHORT = ["--budget.max_examples=1000", "--quality.extractor=null", "--grid.num_samples=9", "--scoring.num_samples=20"]
FLOW = ["base.yaml", "data/digits.yaml", "families/flow/mlp_realnvp.yaml"]
SMALL_FLOW = [
    "--model.num_couplings=2",
    "--model.nets.hidden_sizes=[24]",
    "--model.num_classes=10",
    "--model.optimizer.lr=0.01",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint of a run of each family, a little trained; not to be written beside."""
    root = tmp_path_factory.mktemp("runs")
    files = [f"--config={REPO / 'configs' / file}" for file in FLOW]
    where = [f"--trainer.default_root_dir={root}", "--run_name=flow", "--ema.halflife_examples=300"]
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--scoring.draws=1"]
    fit.main([*files, *where, *quiet, *SHORT, *SMALL_FLOW])
    run_fit("gan", root, "gan", *SHORT)
    run_fit("vae", root, "vae", *SHORT, "--budget.max_examples=10000")  # or it would reconstruct one image for all
    flow = root / "flow" / "checkpoints" / "best.ckpt"
    tell_the_classes_apart(flow)
    files[-1] = f"--config={REPO / 'configs/families/autoregressive/made.yaml'}"
    fit.main([*files, where[0], "--run_name=made", where[2], *quiet, *SHORT, "--model.hidden_sizes=[24]"])
    best = {family: root / family / "checkpoints" / "best.ckpt" for family in ("flow", "vae", "made")}
    return best | {"gan": root / "gan/checkpoints/last.ckpt"}


def tell_the_classes_apart(checkpoint: Path) -> None:
    """After so short a training all classes would still have the same samples."""
    content = torch.load(checkpoint, weights_only=True)
    for state in (content["state_dict"], content["callbacks"]["ema"]["average"]):
        state["prior.mean"] += torch.linspace(-1, 1, 10)[:, None]
    torch.save(content, checkpoint)


def model_of(checkpoint: Path, weights: str = "ema") -> GenerativeModule:
    """The model with the weights that the command should use."""
    content = read_checkpoint(checkpoint)
    run = run_from_checkpoint(content, [])
    load_weights(run, content, weights)
    model: GenerativeModule = run.model
    return model.eval()


def picture(checkpoint: Path, file: Path, *options: str) -> bytes:
    """What the command writes."""
    main([str(checkpoint), f"--out={file}", *options])
    return file.read_bytes()


def grid_of(x: Tensor, file: Path) -> bytes:
    """The picture that these levels of the digits would make."""
    return write_grid(to_uint8(x, 17), file).read_bytes()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """Gathers what the command lays out in rows."""
    found: list[Tensor] = []

    def remember(x: Tensor, framed: Any) -> Tensor:
        found.append(x)
        return row_picture(x, framed)

    monkeypatch.setattr(images, "row_picture", remember)
    return found


def refusal(args: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line in which the command refuses."""
    assert run_command(main, args) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, error
    return lines[0]


# ------------------------------------------------------------------ samples


@pytest.mark.parametrize("family", ["flow", "vae", "gan"])
def test_a_picture_is_of_the_averaged_weights_and_comes_again(
    family: str, runs: dict[str, Path], tmp_path: Path
) -> None:
    first = picture(runs[family], tmp_path / "a.png", "--n", "9")
    assert first == grid_of(model_of(runs[family]).sample(9), tmp_path / "expected.png")
    assert picture(runs[family], tmp_path / "b.png", "--n", "9") == first
    others = {
        picture(runs[family], tmp_path / "c.png", "--n", "9", *options)
        for options in (["--seed", "1"], ["--scoring.weights=raw"], ["--n=10"])
    }
    assert len({first, *others}) == 4


def test_default_picture_is_fit_s_own(runs: dict[str, Path], tmp_path: Path) -> None:
    shown = runs["vae"].parent.parent / "samples" / "final.png"
    assert picture(runs["vae"], tmp_path / "a.png", "--n", "9") == shown.read_bytes()


def test_picture_lies_beside_the_run_s_own_and_is_named_by_what_was_asked(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(runs["flow"].parent.parent, tmp_path / "run")
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    capsys.readouterr()
    main([str(run / "checkpoints/best.ckpt"), "--n=4"])
    assert capsys.readouterr().out == f"picture      {run}/samples/best-samples.png\n"
    main([str(run / "checkpoints/best.ckpt"), "--n=4", "--label=3", "--temperature=0.50", "--seed=2"])
    main([str(run / "checkpoints/last.ckpt"), "--interpolate", "0", "1", "--linear"])
    after = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert {file.name for file in after.keys() - before.keys()} == {
        "best-samples.png", "best-samples-label3-temperature0.5-seed2.png", "last-interpolation-0-1-linear.png"
    }
    assert before.items() <= after.items()


def test_label_names_the_class(runs: dict[str, Path], tmp_path: Path) -> None:
    model = model_of(runs["flow"])
    of_three = picture(runs["flow"], tmp_path / "3.png", "--n=9", "--label=3")
    assert of_three == grid_of(model.sample(9, label=3), tmp_path / "expected.png")
    assert of_three != grid_of(model.sample(9), tmp_path / "expected.png")


def test_samples_without_temperature_are_all_alike(runs: dict[str, Path], tmp_path: Path) -> None:
    cold = picture(runs["flow"], tmp_path / "cold.png", "--n=9", "--label=3", "--temperature=0")
    mean = model_of(runs["flow"]).prior.mean[3:4]
    expected = model_of(runs["flow"]).from_latent(mean)
    assert cold == grid_of(expected.expand(9, -1, -1, -1), tmp_path / "expected.png")
    same = picture(runs["flow"], tmp_path / "same.png", "--n=9", "--label=3", "--model.init_args.temperature=0")
    assert cold == same, "an option of the model's own comes through"
    assert cold != picture(runs["flow"], tmp_path / "warm.png", "--n=9", "--label=3")


def test_a_run_on_several_devices_is_drawn_by_one_process(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = torch.load(runs["vae"], weights_only=True)
    content[KEY] = content[KEY].replace("devices: auto", "devices: 2").replace("accelerator: auto", "accelerator: cpu")
    assert "devices: 2" in content[KEY]
    torch.save(content, tmp_path / "two.ckpt")
    processes = []
    monkeypatch.setattr(draw, "check_model", lambda *_: processes.append(clis[-1].trainer.world_size))
    clis: list[Any] = []

    def run(*args: Any, **more: Any) -> Any:
        clis.append(run_from_checkpoint(*args, **more))
        return clis[-1]

    monkeypatch.setattr(draw, "run_from_checkpoint", run)
    assert picture(tmp_path / "two.ckpt", tmp_path / "a.png") == picture(runs["vae"], tmp_path / "b.png")
    assert processes == [1, 1]


# ------------------------------------------------------------------ interpolation


def digits(split: str = "test") -> Tensor:
    return Digits().split(split).x  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["flow", "vae"])
@pytest.mark.parametrize("way", [great_circle, straight])
def test_the_ends_of_the_way_are_the_reconstructions(family: str, way: Any, runs: dict[str, Path]) -> None:
    model = model_of(runs[family])
    assert isinstance(model, Latents)
    x, rows = digits()[[3, 14]], [3, 14]
    between = interpolate(model, x, Noise(5, rows), 7, way)
    assert between.shape == (7, 1, 8, 8)
    reconstructed = model.from_latent(model.to_latent(x, Noise(5, rows)))
    assert torch.equal(between[[0, -1]], reconstructed)
    assert len(between.unique(dim=0)) > 2
    if family == "flow":  # which loses nothing
        assert torch.equal(between[[0, -1]], x)


@pytest.mark.parametrize("family", ["flow", "vae"])
def test_rows_go_from_real_to_real_through_the_reconstructions(
    family: str, runs: dict[str, Path], drawn: list[Tensor], tmp_path: Path
) -> None:
    pairs = ["--interpolate", "3", "14", "--interpolate", "20", "3"]
    picture(runs[family], tmp_path / "a.png", *pairs, "--steps=5", "--split=val", "--seed=5")
    model, real = model_of(runs[family]), digits("val")
    for row, pair in zip(drawn[0], ([3, 14], [20, 3]), strict=True):
        x = real[pair]
        assert torch.equal(row[[0, -1]], to_uint8(x, 17))
        assert isinstance(model, Latents)
        reconstructed = model.from_latent(model.to_latent(x, Noise(5, pair)))
        assert torch.equal(row[[1, -2]], to_uint8(reconstructed, 17))
        assert torch.equal(row[1:-1], to_uint8(interpolate(model, x, Noise(5, pair), 5), 17))
    assert drawn[0].shape == (2, 7, 1, 8, 8)
    picture(runs[family], tmp_path / "b.png", *pairs[3:], "--steps=5", "--split=val", "--seed=5")
    assert torch.equal(drawn[1][0], drawn[0][1]), "a row depends on the pairs beside it"
    picture(runs[family], tmp_path / "c.png", *pairs, "--steps=5", "--split=val", "--seed=5", "--linear")
    assert torch.equal(drawn[2][:, [0, 1, -2, -1]], drawn[0][:, [0, 1, -2, -1]])
    assert not torch.equal(drawn[2], drawn[0])


# ------------------------------------------------------------------ nearest training images


def median_by_hand(x: Tensor, train: Tensor) -> float:
    return float(np.median(torch.cdist(x.flatten(1).double(), train.flatten(1).double()).amin(1).numpy()))


def test_nearest_prints_both_medians_and_draws_the_rows(
    runs: dict[str, Path], drawn: list[Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = picture(runs["gan"], tmp_path / "a.png", "--nearest", "--n=7", "--k=2", "--seed=3", "--split=val")
    lines = capsys.readouterr().out.splitlines()
    x = model_of(runs["gan"]).sample(7, seed=3)
    train = digits("train")
    assert lines == [
        f"median distance to the nearest training image: {median_by_hand(x, train):.4g} from 7 samples,"
        f" {median_by_hand(digits('val'), train):.4g} from 350 held-out val images (Euclidean, values 0..16)",
        f"picture      {tmp_path / 'a.png'}",
    ]
    assert drawn[0].shape == (7, 3, 1, 8, 8)
    assert torch.equal(drawn[0][:, 0].unique(dim=0), to_uint8(x, 17).unique(dim=0))
    again = picture(runs["gan"], tmp_path / "b.png", "--nearest", "--n=7", "--k=2", "--seed=3", "--split=val")
    assert again == first


def test_samples_of_a_class_are_judged_by_that_class(
    runs: dict[str, Path], drawn: list[Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture(runs["flow"], tmp_path / "a.png", "--nearest", "--n=5", "--label=4")
    x = model_of(runs["flow"]).sample(5, label=4)
    assert torch.equal(drawn[0][:, 0].unique(dim=0), to_uint8(x, 17).unique(dim=0))
    fours = int((Digits().split("test").label == 4).sum())
    assert f" from {fours} held-out test images" in capsys.readouterr().out


# ------------------------------------------------------------------ completions


def test_completions_keep_what_is_given_and_draw_the_rest(
    runs: dict[str, Path], tmp_path: Path, drawn: list[Tensor]
) -> None:
    file = tmp_path / "a.png"
    first = picture(runs["made"], file, "--complete", "3", "14", "--k=4", "--given=0.5")
    real = to_uint8(digits()[[3, 14]], 17)
    (rows,) = drawn
    assert rows.shape == (2, 6, 1, 8, 8)
    assert torch.equal(rows[:, 0], real)
    assert torch.equal(rows[:, 1, :, :4], real[:, :, :4])
    assert rows[:, 1, :, 4:].eq(128).all(), "what is not given is grey"
    assert torch.equal(rows[:, 2:, :, :4], real[:, None, :, :4].expand(-1, 4, -1, -1, -1))
    below = rows[:, 2:, :, 4:].flatten(0, 1)
    assert len(below.unique(dim=0)) == 8, "each completion is another"
    assert picture(runs["made"], file, "--complete", "3", "14", "--k=4") == first
    assert picture(runs["made"], file, "--complete", "3", "14", "--k=4", "--seed=1") != first
    picture(runs["made"], file, "--complete", "14", "--k=2")
    assert torch.equal(drawn[-1][0], rows[1, :4]), "a completion is the same whichever stand beside it"
    picture(runs["made"], file, "--complete", "3", "--given=1")
    assert torch.equal(drawn[-1][0], real[:1].expand(7, -1, -1, -1)), "all of it is given"


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("--n=0", "--n is 0; give at least 1"),
        ("--n many", "--n: 'many' is not a whole number"),
        ("--seed=-1", "--seed is -1"),
        ("--temperature=-0.5", "--temperature is -0.5"),
        ("--temperature=nan", "--temperature is nan"),
        ("--interpolate 1 2 --steps=1", "--steps is 1; give at least 2"),
        ("--interpolate 1", "--interpolate: expected 2 arguments"),
        ("--interpolate 1 two", "--interpolate: 'two' is not a whole number"),
        ("--nearest --k=0", "--k is 0"),
        ("--complete", "--complete: expected at least one argument"),
        ("--complete 1 --given=1.5", "--given is 1.5; give a share, at most 1"),
        ("--complete 1 --given=-1", "--given is -1.0; give at least 0"),
        ("--complete 1 --nearest", "--nearest and --complete cannot be combined"),
        ("--given=0.3", "--given applies to --complete only"),
        ("--complete 3 --steps=4", "--steps applies to --interpolate"),
        ("--nearest --interpolate 1 2", "--interpolate and --nearest cannot be combined"),
        ("--interpolate 1 2 --n=3", "--n applies to samples or --nearest or --prompt or --field only"),
        ("--interpolate 1 2 --label=3", "--label applies to samples or --nearest or --complete or --prompt"),
        ("--steps=5", "--steps applies to --interpolate"),
        ("--nearest --linear", "--linear applies to --interpolate"),
        ("--k=5", "--k applies to --nearest or --complete"),
        ("--split=val", "--split applies to --interpolate or --nearest or --complete"),
        ("--nearest --split=train", "--split: invalid choice: 'train'"),
        ("--out=grid.jpg", "grid.jpg does not end in .png"),
        ("--interpolte 3 4", "unknown option --interpolte; did you mean 'interpolate'?"),
        ("--temp=3", "unknown option --temp"),
    ],
)
def test_options_are_refused_before_the_checkpoint_is_built(
    options: str, named: str, runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--temp=" not in options:  # which resembles nothing of the command's own, and so may be the parser's to know
        monkeypatch.setattr(draw, "run_from_checkpoint", lambda *_: pytest.fail("the data were read first"))
    assert named in refusal([str(runs["vae"]), *options.split()], capsys)


def test_options_of_fit_are_not_taken_for_misspellings() -> None:
    theirs = [
        "--config=a.yaml", "--seed_everything=1", "--model=VAE", "--data", "Digits", "--run_name=n", "--ckpt_path=c",
        "--print_config", "--model.init_args.lr", "-1", "--trainer.precision=bf16-mixed",
    ]
    options, rest = parse([*theirs[:4], "--n", "3", *theirs[4:]])
    assert rest == theirs
    assert options == Options(n=3)


@pytest.mark.parametrize(
    ("family", "options", "named"),
    [
        ("vae", "--label=3", "VAE cannot be asked for label 3: it was trained without labels"),
        ("flow", "--label=10", "cannot be asked for label 10: it has labels 0..9"),
        ("flow", "--nearest --n=1 --label=-1", "cannot be asked for label -1"),
        ("vae", "--temperature=0.7", "VAE has no sampling option temperature"),
        ("made", "--interpolate 1 2", "MADE finds no latents of images, so it cannot interpolate"),
        ("made", "--invert 1", "so it cannot reconstruct; these can: "),
        ("made", "--walk 1 2", "--walk: MADE draws no latents"),
        ("gan", "--classes", "--classes: GAN was trained without labels"),
        ("gan", "--truncation=0", "--truncation is 0"),
        ("gan", "--traverse -1", "there is no sample -1"),
        ("gan", "--invert 447", "--invert 447: the test split has images 0..446"),
        ("vae", "--truncation=1", "VAE has no sampling option truncation"),
        ("made", "--prompt=a", "--prompt is for text, and the data 'digits' are images; leave it out"),
        ("vae", "--complete 1 2", "VAE cannot complete examples; these can: "),
        ("made", "--complete 3 447", "--complete 3 447: the test split has images 0..446"),
        ("made", "--complete 3 --label=1", "MADE cannot be asked for label 1"),
        ("vae", "--interpolate 1 2 --interpolate 3 447", "--interpolate 3 447: the test split has images 0..446"),
        ("vae", "--interpolate -1 2", "--interpolate -1 2: the test split has images 0..446"),
        ("vae", "--nearest --n=1 --k=1001", "--k is 1001, but there are only 1000 training images"),
        ("vae", "--scoring.weight=raw", "did you mean 'scoring.weights'?"),
        ("vae", "--model.init_args.num_latents=3", "do not fit the model"),
    ],
)
def test_what_this_model_cannot_do_is_one_line(
    family: str, options: str, named: str, runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "folder" / "a.png"
    assert named in refusal([str(runs[family]), f"--out={file}", *options.split()], capsys)
    assert not file.parent.exists()


def test_those_who_can_are_named(runs: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal([str(runs["made"]), "--interpolate", "1", "2"], capsys)
    named = line.split("these can: ")[1].split(", ")
    assert "VAE" in named
    assert "MLPRealNVP" in named
    for name in families.__all__:
        assert (name in named) == hasattr(getattr(families, name), "from_latent")


@pytest.mark.parametrize("shape", [(4,), (2, 4, 4), (4, 4)])
def test_only_images_are_drawn(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="only grey and colour images"):
        draw.check_model(VAE(shape, 3), Options())
    draw.check_model(VAE((3, 4, 4), 3), Options())


def test_places_that_cannot_be_written_are_told_first(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(draw, "run_from_checkpoint", lambda *_: pytest.fail("the data were read first"))
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for place in ("file/deep/a.png", "folder.png"):
        assert f"cannot write {tmp_path / place}" in refusal([str(runs["vae"]), f"--out={tmp_path / place}"], capsys)


def test_weights_that_are_no_numbers_make_no_picture(
    runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(runs["vae"], weights_only=True)
    content["callbacks"]["ema"]["average"]["decoder.0.bias"][0] = math.nan
    torch.save(content, tmp_path / "bad.ckpt")
    assert "decoder.0.bias contains NaN or infinity" in refusal([str(tmp_path / "bad.ckpt")], capsys)
    main([str(tmp_path / "bad.ckpt"), "--scoring.weights=raw", "--n=1"])
    assert (tmp_path / "samples" / "bad-samples.png").is_file()


def test_no_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "which checkpoint?" in refusal([], capsys)
    assert "which checkpoint?" in refusal(["--n=3", "some.ckpt"], capsys)
    assert f"no checkpoint {tmp_path / 'some.ckpt'}" in refusal([str(tmp_path / "some.ckpt")], capsys)


# ------------------------------------------------------------------ as a user does


def test_as_a_program(runs: dict[str, Path], tmp_path: Path) -> None:
    """In a process of its own, where no test's settings help."""
    file = tmp_path / "new" / "a.png"
    found = run_module("lit_gen.sample", str(runs["vae"]), "--interpolate", "1", "2", f"--out={file}")
    assert found.returncode == 0, found.stderr
    assert found.stdout == f"picture      {file}\n"
    with Image.open(file) as image:
        assert image.size == (2 * 12 + 12 * 64 + 2 * 12 + 9 * 4, 2 * 12 + 64)
    again = tmp_path / "b.png"
    assert file.read_bytes() == picture(runs["vae"], again, "--interpolate", "1", "2")


def test_help_and_bad_options_wait_for_no_library() -> None:
    code = (
        "import sys; from lit_gen.cli.process import run_command; from lit_gen.sample.__main__ import main\n"
        "assert run_command(main, ['some.ckpt', '--help']) == 0\n"
        "assert run_command(main, ['some.ckpt', '--n=many']) == 2\n"
        "heavy = {'torch', 'lightning', 'numpy', 'PIL'} & set(sys.modules); assert not heavy, heavy"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("usage: python -m lit_gen.sample CHECKPOINT")
    for name in (field.replace("_", "-") for field in Options.__dataclass_fields__):
        assert f"--{name} " in found.stdout, f"--{name} is not in the usage"
