"""What a record says must not run anything: it may come from somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from lit_gen.errors import UserError
from lit_gen.verify.recorded_options import usable

WHERE = Path("record.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scoring.estimator=iwae", "--scoring.draws", "5"],
        ["--sampler", "ddim", "heun", "--steps", "10", "20", "--guidance", "-1.5"],
        ["--quality.extractor=lit_gen.metrics.Inception", "--quality.extractor.weights=some/net.pth"],
        ["--quality.statistics+=KID", "--data.path=a.folder/of.images", "--data.hub.id=ylecun/mnist"],
        ["--trainer.accelerator=cpu", "--trainer.callbacks=null", "--trainer.precision=bf16-mixed"],
        ["--model.optimizer.lr=1.0e-3", "--seed_everything=3"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_options_of_an_evaluation_are_used(arguments: list[str]) -> None:
    assert " ".join(usable(arguments, [], WHERE)).replace("=", " ") == " ".join(arguments).replace("=", " ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model=os.system"],
        ["--model", "os.system"],
        ["--model.class_path=subprocess.Popen"],
        ["--model.nets=lit_generation.Nets"],
        ['--quality.statistics+={"class_path": "os.system"}'],
        ['--quality.statistics=[{class_path: "os\\u002esystem"}]'],
        ["--data={class_path: lit_gen.data.Digits, init_args: {transform: {class_path: ' os.path.join '}}}"],
        ["--data.path.class_path=os.system"],
        ["--trainer.callbacks+=ModelCheckpoint"],
        ["--trainer.callbacks.class_path=ModelCheckpoint"],
        ["--trainer={callbacks: lightning.pytorch.callbacks.Timer}"],
        ["--trainer.profiler=advanced"],
        ["--config=evil.yaml"],
        ["--config", "evil.yaml"],
        ["-c", "evil.yaml"],
        ["--model.help=VAE"],
        ["--help"],
        ["--print_config"],
        ["--ckpt_path=some.ckpt"],
        ["--wandb.mode=online"],
        ["--steps.x=3"],
        ["evil.yaml"],
        ["--"],
    ],
    ids=" ".join,
)
def test_options_that_could_run_or_read_something_else_are_refused(arguments: list[str]) -> None:
    with pytest.raises(UserError, match=r"^record\.json: recorded ") as error:
        usable(arguments, [], WHERE)
    assert len(str(error.value).splitlines()) == 1


def test_a_file_that_would_be_read_as_a_configuration_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model"
    file.write_text("class_path: os.system\n")
    with pytest.raises(UserError, match="names the file"):
        usable([f"--model={file}"], [], WHERE)


def test_what_the_user_gives_too_is_used() -> None:
    recorded = ["--model.nets=mine.Nets", "--config", "mine.yaml"]
    assert usable(recorded, ["--config=mine.yaml", "--model.nets", "mine.Nets", "--scoring.seed=1"], WHERE) == [
        "--model.nets=mine.Nets", "--config=mine.yaml"
    ]
    with pytest.raises(UserError, match="it is used only if it is given here too"):
        usable(recorded, ["--config=mine.yaml", "--model.nets=mine.OtherNets"], WHERE)


def test_options_that_only_write_are_left_out() -> None:
    assert usable(["--per-example", "out.csv", "--per-example=out.csv", "--scoring.seed=1"], [], WHERE) == [
        "--scoring.seed=1"
    ]
