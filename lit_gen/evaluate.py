"""``python -m lit_gen.evaluate CHECKPOINT``: scores a checkpoint under a protocol and writes its record."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import lightning as L
import torch

from lit_gen.callbacks import EMA
from lit_gen.callbacks.keep_config import KEY
from lit_gen.callbacks.sample_grid import write_grid
from lit_gen.cli import CLI, quicken, run_command
from lit_gen.errors import UserError
from lit_gen.leaderboard.record import Cost, Environment, Record, Selection, read_record, write_record
from lit_gen.likelihood import to_uint8
from lit_gen.scoring import Scorer
from lit_gen.summary import print_record

USAGE = """usage: python -m lit_gen.evaluate CHECKPOINT [--scoring.OPTION=VALUE ...] [--SECTION.OPTION=VALUE ...]

Scores a checkpoint in a fresh Trainer and writes record.json into its run's folder. The configuration is the one
the checkpoint carries; any option of lit_gen.fit overrides it, as in

  python -m lit_gen.evaluate runs/vae-digits-.../checkpoints/best.ckpt --scoring.estimator=iwae --scoring.draws=5000
  python -m lit_gen.evaluate CHECKPOINT --quality.extractor=Inception --scoring.num_samples=50000

options of the protocol:
  --scoring.split=test|val        what is scored, and what samples are compared with
  --scoring.num_samples=N         samples behind the Frechet distance and the Inception Score
  --scoring.estimator=NAME        one of the family's likelihood estimators, such as elbo or iwae
  --scoring.draws=K               draws an example
  --scoring.weights=auto|ema|raw  which weights
  --scoring.seed=SEED             names the scores' noise
  --quality.extractor=CLASS       the feature space

All options: python -m lit_gen.fit --help"""

_PACKAGES = ("lit_gen", "torch", "lightning", "torchmetrics", "torch-fidelity", "datasets", "numpy")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content, tensors on the CPU; nothing in the file is executed.

    Raises:
        UserError: The file is missing, is no checkpoint, or is not one of lit_gen's.
    """
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; a run keeps its own in <run>/checkpoints/")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a damaged or foreign file provokes, it is the file that is wrong
        raise UserError(f"{path} is not a checkpoint ({str(error).splitlines()[0]})") from error
    if not isinstance(content, dict) or KEY not in content:
        raise UserError(f"{path} is not a checkpoint of lit_gen: it carries no configuration")
    return content


def load_weights(cli: CLI, checkpoint: dict[str, Any], wanted: str) -> tuple[str, float | None]:
    """Puts a checkpoint's weights into the model: the average if it has one, unless raw ones are wanted.

    Returns:
        ``ema`` or ``raw``, and the average's halflife in images.

    Raises:
        UserError: The average is wanted and there is none, or the weights are not this model's.
    """
    try:
        cli.model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(
            f"the checkpoint's weights do not fit the model of the configuration ({str(error).splitlines()[1].strip()})"
        ) from error
    ema: EMA = cli.config_init["ema"]
    state = next((s for name, s in checkpoint["callbacks"].items() if name.startswith("EMA")), None)
    if wanted == "raw" or not state or not state["average"]:
        if wanted == "ema":
            raise UserError("scoring.weights=ema, but the run kept no average (ema.halflife_images); use raw")
        return "raw", None
    ema.load_state_dict(state)
    ema.copy_to(cli.model)
    return "ema", ema.halflife_images


class _OneSplit(L.LightningDataModule):
    """Shows a Trainer one split of the data as its test set."""

    def __init__(self, data: Any, split: str) -> None:
        super().__init__()
        self.data, self.split_name = data, split
        self.name = data.name
        self.split = data.split

    def test_dataloader(self) -> Any:
        self.data.trainer = self.trainer
        return self.data.test_dataloader() if self.split_name == "test" else self.data.val_dataloader()


def score(cli: CLI, trainer: L.Trainer, path: Path) -> tuple[Scorer, dict[str, Any]]:
    """Scores a checkpoint with a fresh Trainer.

    Returns:
        The scorer, full, and the checkpoint's content.
    """
    checkpoint = read_checkpoint(path)
    scoring = cli.config_init["scoring"]
    weights, halflife = load_weights(cli, checkpoint, scoring.weights)
    scorer = Scorer(cli.datamodule, scoring, cli.config_init["quality"].extractor, weights, halflife)
    trainer.callbacks.append(scorer)  # type: ignore[attr-defined]
    trainer.test(cli.model, datamodule=_OneSplit(cli.datamodule, scoring.split), verbose=False)
    return scorer, checkpoint


def make_record(
    cli: CLI, trainer: L.Trainer, path: Path, scorer: Scorer, checkpoint: dict[str, Any]
) -> Record:
    """Puts a record together out of scores, the run's own notes and the machine's facts."""
    run = run_folder_of(path)
    notes = _training_notes(run, path, checkpoint)
    seconds, images = notes["train_seconds"], notes["images_seen"]
    cost = Cost(
        parameters=sum(p.numel() for p in cli.model.parameters() if p.requires_grad),
        images_seen=images,
        train_seconds=seconds,
        peak_memory_bytes=notes["peak_memory_bytes"],
        images_per_second=images / seconds if seconds else None,
        seconds_per_1000_samples=scorer.seconds_per_1000_samples,
        function_evaluations_per_sample=scorer.evaluations_per_sample,
    )
    model = type(cli.model)
    files = {"checkpoint": path, "config": run / "config.yaml", "sample_grid": run / "samples" / "final.png"}
    return Record(
        run_name=run.name,
        family=model.__module__.split(".")[2] if model.__module__.startswith("lit_gen.families.") else "own",
        model=model.__name__,
        data=cli.datamodule.name,
        scores=scorer.scores,
        floors=scorer.floors,
        cost=cost,
        selection=Selection(**notes["selection"]),
        config=cli.plain_config(),
        environment=environment(trainer, notes["world_size"]),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        seed=int(cli.config["seed_everything"]),
        git_commit=git_commit(),
        files={role: str(f.relative_to(run)) for role, f in files.items() if f.is_file() and f.is_relative_to(run)},
    )


def run_folder_of(checkpoint: Path) -> Path:
    """The folder of the run that a checkpoint belongs to; the checkpoint's own if it was taken elsewhere."""
    for folder in (checkpoint.parent.parent, checkpoint.parent):
        if (folder / "config.yaml").is_file():
            return folder
    return checkpoint.parent


def _training_notes(run: Path, path: Path, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """What the run wrote down when it ended; for an unfinished or a lone checkpoint, what the file itself knows."""
    notes_file = run / "training.json"
    if notes_file.is_file():
        notes: dict[str, Any] = json.loads(notes_file.read_text())
        if notes["selection"]["checkpoint"] == path.name:
            return notes
    states = checkpoint["callbacks"]
    selection = {"rule": f"{path.stem} (named by the user)", "checkpoint": path.name, "step": checkpoint["global_step"]}
    return {
        "images_seen": states["Budget"]["images_seen"],
        "train_seconds": states["Throughput"]["train_seconds"],
        "peak_memory_bytes": None,
        "world_size": 1,
        "selection": selection,
    }


def environment(trainer: L.Trainer, world_size: int) -> Environment:
    """Versions and machine, recorded beside the scores."""
    versions = {"python": platform.python_version()}
    versions |= {package: importlib.metadata.version(package) for package in _PACKAGES}
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return Environment(
        versions=versions,
        machine=f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
        accelerator=name,
        world_size=world_size,
    )


def git_commit() -> str | None:
    """The commit of the code, with ``-dirty`` behind it where files differ; None outside a checkout."""
    where = ["git", "-C", str(Path(__file__).parent)]
    try:
        head = subprocess.run([*where, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
        changes = subprocess.run(
            [*where, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def save_record(record: Record, path: Path) -> tuple[Record, Path]:
    """Writes the record of a checkpoint into its run's folder.

    A run's record holds one checkpoint, the chosen one. Scores under further protocols are added to it; under a
    protocol it knows, the new score replaces the old. Another checkpoint of the run gets a folder of its own.
    """
    folder = run_folder_of(path)
    target = folder / "record.json"
    if target.is_file():
        old = read_record(target)
        if old.selection.checkpoint == record.selection.checkpoint:
            record = dataclasses.replace(
                record, scores=_merged(old.scores, record.scores), floors=_merged(old.floors, record.floors)
            )
        else:
            target = folder / "evaluations" / path.stem / "record.json"
            record = dataclasses.replace(record, run_name=f"{record.run_name} ({path.name})", files={})
    write_record(target, record)
    return record, target


def _merged(old: Any, new: Any) -> list[Any]:
    fresh = {s.protocol.hash for s in new}
    return [s for s in old if s.protocol.hash not in fresh] + list(new)


def write_final_grid(cli: CLI, run: Path) -> None:
    """Draws ``samples/final.png`` with the scored weights."""
    if len(cli.model.shape) == 3 and (n := cli.config_init["grid"].num_samples):
        x = cli.model.sample(n, seed=cli.config_init["grid"].seed)
        write_grid(to_uint8(x, cli.model.num_levels), run / "samples" / "final.png")


def evaluate(cli: CLI, trainer: L.Trainer, path: Path) -> tuple[Record, Path] | None:
    """Scores, writes the record and the final grid; the first process's result, None on the others."""
    scorer, checkpoint = score(cli, trainer, path)
    if not trainer.is_global_zero:
        return None
    write_final_grid(cli, run_folder_of(path))
    return save_record(make_record(cli, trainer, path, scorer, checkpoint), path)


def main(args: list[str]) -> None:
    """The command."""
    if not args or args[0] in ("-h", "--help"):
        print(USAGE)
        if not args:
            raise UserError("which checkpoint? give its path")
        return
    path = Path(args[0])
    checkpoint = read_checkpoint(path)
    quicken("auto")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(checkpoint[KEY])
        file.flush()
        cli = CLI(["--config", file.name, *args[1:]], purpose="evaluate")
    found = evaluate(cli, cli.trainer, path)
    if found:
        print_record(*found)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
