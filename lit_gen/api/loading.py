"""``lit_gen.load``: a trained model from a run's folder or a checkpoint, in one line and without output."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.seed import isolate_rng

from lit_gen.api.loaded import LoadedModel
from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.process import without_news
from lit_gen.errors import UserError
from lit_gen.records.record import RECORD_NAME, Record, read_record
from lit_gen.runs.newest_checkpoint import newest_checkpoint
from lit_gen.runs.record_files import notes_of, record_dir
from lit_gen.runs.weights import check_finite, load_weights
from lit_gen.sample.draw import built_for_samples

# One process on one device, whatever the run used; what only training or scores need is left out.
_ALONE = (
    "--trainer.num_nodes=1",
    "--trainer.strategy=auto",
    "--trainer.callbacks=null",
    "--trainer.enable_progress_bar=false",
    "--quality.extractor=null",
)


def load(
    run_or_checkpoint: str | Path, device: str | torch.device | None = None, allow: Sequence[str] = ()
) -> LoadedModel:
    """Loads a trained model with its averaged weights, if the run kept an average, and prints nothing.

    The data are not read, and neither training nor torch's generators are touched.

    Args:
        run_or_checkpoint: Folder of a run, of which the selected checkpoint is taken, or the best, or if it has neither
            the newest; or a checkpoint's file.
        device: Where to compute, such as ``cpu``, ``cuda:1`` or ``mps``; the accelerator that there is if not given.
        allow: Further packages whose classes the checkpoint's configuration may name, beside those of lit_gen,
            ``torch.optim``, ``torch.nn`` and installed plugins: a class path is imported, so that its package runs.

    Raises:
        UserError: If there is no such run or checkpoint, it is damaged or of another version, the device is missing, or
            the configuration names a class of a package that is not allowed.
    """
    path = checkpoint_of(Path(run_or_checkpoint).expanduser())
    content = read_checkpoint(path)
    with isolate_rng(), without_news():
        run = built_for_samples(content, [*_ALONE, *_device_options(device)], allow)
        weights, _ = load_weights(run, content, "auto")
        check_finite(run.model, path)
    run.model.to(run.trainer.strategy.root_device).eval().requires_grad_(False)
    return LoadedModel(run, path, weights, _record_of(path, content))


def checkpoint_of(path: Path) -> Path:
    """The checkpoint of a run's folder that its record is about, or the path itself if it is no folder.

    Raises:
        UserError: If the folder has no checkpoint.
    """
    if not path.is_dir():
        return path
    notes, folder = notes_of(path), path / "checkpoints"
    names = [notes["selection"]["checkpoint"]] if notes else []
    for name in [*names, "best.ckpt"]:
        if (folder / name).is_file():
            return folder / name
    if not list(folder.glob("*.ckpt")):
        raise UserError(f"load: {path} is not the folder of a run with a checkpoint: there is none in {folder}")
    return newest_checkpoint(path).path


def _device_options(device: str | torch.device | None) -> list[str]:
    """Options of the Trainer for a device, as a user would give them.

    >>> _device_options("cpu")
    ['--trainer.accelerator=cpu', '--trainer.devices=1']
    """
    if device is None:
        return ["--trainer.accelerator=auto", "--trainer.devices=1"]
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"load: there is no device '{device}'; give cpu, cuda, cuda:1 or mps") from error
    there = found.type == "cpu" or getattr(getattr(torch, found.type, None), "is_available", lambda: False)()
    if not there or (found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count()):
        raise UserError(f"load: device '{device}' is not available here; give cpu, or leave it out")
    devices = f"[{found.index}]" if found.type == "cuda" and found.index is not None else "1"
    return [f"--trainer.accelerator={found.type}", f"--trainer.devices={devices}"]


def _record_of(path: Path, content: dict[str, Any]) -> Record | None:
    """The checkpoint's record, if it has been scored."""
    file = record_dir(path, content) / RECORD_NAME
    return read_record(file) if file.is_file() else None
