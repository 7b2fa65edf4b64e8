"""From a checkpoint to a folder of integer codes."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import lit_gen
from lit_gen.checkpoints import read_checkpoint
from lit_gen.cli.build import run_from_checkpoint
from lit_gen.cli.process import configure_process
from lit_gen.contract import EncodesToIntegers
from lit_gen.data.codes_folder import CodesNote, SplitNote, sha256_of, write_codes, write_note
from lit_gen.data.module import SPLITS, Split, SplitName
from lit_gen.encode.encode_options import Options
from lit_gen.errors import UserError
from lit_gen.noise import Noise, mix
from lit_gen.runs.run import Run
from lit_gen.runs.weights import check_finite, load_weights
from lit_gen.scoring.arithmetic import stated_precision
from lit_gen.screen.bars import counted

# Methods and attributes of the interface, for a model that lacks some of them.
_MEMBERS = ("num_code_values", "encode_integers", "decode_integers", "decoder_nll")
_MAX_VALUES = 256


def encode(path: Path, options: Options, rest: list[str]) -> None:
    """Encodes the data of a checkpoint's run, and prints where the codes are.

    Args:
        path: The checkpoint.
        options: The command's own options.
        rest: Options of ``lit_gen.fit``.

    Raises:
        UserError: The model does not encode to integers, or its codes are not what it declares.
    """
    checkpoint = read_checkpoint(path)
    configure_process(rest)
    run = run_from_checkpoint(checkpoint, ["--trainer.devices=1", *rest])
    check_model(run.model)
    weights, _ = load_weights(run, checkpoint, run.scoring.weights)
    check_finite(run.model, path)
    run.model.to(run.trainer.strategy.root_device).eval()
    with new_folder(options.out) as folder:
        shape, splits = _write_splits(run, options, folder)
        note = CodesNote(
            checkpoint=path.name,
            checkpoint_sha256=sha256_of(path),
            model=f"{type(run.model).__module__}.{type(run.model).__qualname__}",
            weights=weights,
            precision=str(stated_precision(run.trainer)),
            seed=options.seed,
            data=run.data.name,
            shape=shape,
            num_values=run.model.num_code_values,  # type: ignore[arg-type]  # an nn.Module's attributes are Any
            splits=splits,
            version=lit_gen.__version__,
        )
        write_note(folder, note)
    _report(note, options.out)


def check_model(model: Any) -> None:
    """Validates that a model encodes to integers that a data module can hold.

    Raises:
        UserError: It lacks some of the interface, or has too many code values.
    """
    name = type(model).__name__
    if not isinstance(model, EncodesToIntegers):
        missing = ", ".join(member for member in _MEMBERS if not hasattr(model, member))
        raise UserError(
            f"{name} does not implement lit_gen.contract.EncodesToIntegers, so it has no codes; it lacks {missing}"
        )
    if not 2 <= model.num_code_values <= _MAX_VALUES:
        raise UserError(
            f"{name}.num_code_values is {model.num_code_values}, and data modules hold 2 to {_MAX_VALUES} values;"
            " represent a code of a larger codebook by two integers"
        )


def encode_split(run: Run, name: SplitName, seed: int) -> Split:
    """Codes and labels of every example of a split, in its order.

    Args:
        run: Its model, on the Trainer's device, is an :class:`EncodesToIntegers`.
        name: The split.
        seed: Seed of the noise, which depends on the split and on the position of an example in it.

    Returns:
        Codes uint8 ``[N, *code_shape]`` on the CPU, and the labels of the data.

    Raises:
        UserError: The codes are not integers ``{0..num_code_values-1}`` of one shape.
    """
    model: Any = run.model
    codes: list[Tensor] = []
    with torch.no_grad(), run.trainer.precision_plugin.forward_context():
        batches, total = run.data.eval_loader(name), len(run.data.split(name).x)
        for x, _, index in counted(batches, f"encoding {name}", total, "examples", size=lambda batch: len(batch[0])):
            # Indices number the examples of a split: with one seed, all splits would share their noise.
            noise = Noise(mix(seed, SPLITS.index(name)), index, model.device)
            codes.append(_checked(model, model.encode_integers(x.to(model.device), noise), len(x)))
    if len({batch.shape[1:] for batch in codes}) > 1:
        raise UserError(f"{type(model).__name__}.encode_integers returned codes of several shapes")
    return Split(torch.cat(codes), run.data.split(name).label)


def _checked(model: Any, codes: Tensor, batch_size: int) -> Tensor:
    """One batch of codes as uint8 on the CPU."""
    where = f"{type(model).__name__}.encode_integers returned"
    if codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool:
        raise UserError(f"{where} {codes.dtype}; codes are integers")
    if codes.ndim < 2 or len(codes) != batch_size:
        raise UserError(f"{where} shape {tuple(codes.shape)} for {batch_size} examples; need [B, *code_shape]")
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= model.num_code_values:
        raise UserError(f"{where} values {low}..{high}, outside 0..{model.num_code_values - 1}")
    return codes.to("cpu", torch.uint8)


def _write_splits(run: Run, options: Options, folder: Path) -> tuple[tuple[int, ...], dict[SplitName, SplitNote]]:
    """Encodes and writes the splits; returns the shape of the codes and the notes."""
    shape: tuple[int, ...] = ()
    notes: dict[SplitName, SplitNote] = {}
    for name in SPLITS:
        if name in options.split:
            split = encode_split(run, name, options.seed)
            shape = tuple(split.x.shape[1:])
            notes[name] = write_codes(folder, name, split, run.data.fingerprint(name))
    return shape, notes


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` if the block succeeds, and is deleted if it fails.

    Raises:
        UserError: The folder cannot be written, or another process has made it in the meantime.
    """
    target = target.expanduser().absolute()
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield temporary
        temporary.chmod(0o755)  # mkdtemp's 0700 would hide the folder from other users
        os.rename(temporary, target)
    except OSError as error:
        raise UserError(f"--out: cannot write {target} ({error.strerror}); give another folder") from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _report(note: CodesNote, folder: Path) -> None:
    counts = ", ".join(f"{split.examples:,} {name}" for name, split in note.splits.items())
    print(f"codes         {folder} ({counts})")
    print(f"shape         {list(note.shape)}, {note.num_values} values")
    print(f"to train on   python -m lit_gen.fit --config configs/data/codes.yaml --data.path={folder} ...")
