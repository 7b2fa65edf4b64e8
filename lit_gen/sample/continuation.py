"""Text and audio: samples, continuations of a prompt, and completions of real windows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.media.recordings import write_wav
from lit_gen.media.texts import excerpt, write_texts
from lit_gen.runs.run import Run
from lit_gen.sample.completion import completions, prompted
from lit_gen.sample.options import Options
from lit_gen.screen.bars import counted

Named = tuple[str, Tensor]
"""Name of a piece and its integers ``[L]``."""


def encoded(prompt: str, data: Any) -> Tensor:
    """Integers of a prompt: uint8 ``[L]``.

    Raises:
        UserError: If the data lack a character, or the prompt fills the whole window.
    """
    try:
        levels: Tensor = data.encode(prompt)
    except UserError as error:
        raise UserError(f"--prompt: {error}") from error
    if len(levels) >= data.length:
        raise UserError(
            f"--prompt has {len(levels)} {data.noun}, but a window has {data.length}; give at most {data.length - 1}"
        )
    return levels


def pieces(run: Run, options: Options) -> Iterator[Named]:
    """Yields samples, or for each row the real window, its given part and its completions."""
    model, data = run.model, run.data
    n = options.count(data.modality)
    with run.trainer.precision_plugin.forward_context():
        if options.complete:
            x, given, done = completions(model, data.split(options.split).x[list(options.complete)], options)
        elif options.prompt:
            x = prompted(model, encoded(options.prompt, data), n, options)
        else:
            blocks = model.sample_blocks(n, seed=options.seed, label=options.class_number)
            x = torch.cat(list(counted(blocks, "sampling", n, "samples")))
    if not options.complete:
        yield from ((f"sample {i}", row.flatten()) for i, row in enumerate(x))
        return
    for row, real, mine in zip(options.complete, x, done, strict=True):
        start = f"{options.split} {row}"
        yield from ((f"{start} real", real.flatten()), (f"{start} given", real[given]))
        yield from ((f"{start} completion {i}", one.flatten()) for i, one in enumerate(mine))


def write_text(run: Run, options: Options, file: Path) -> None:
    """Writes a UTF-8 file, each piece below a line with its name; prints the first generated one."""
    data: Any = run.data
    found = list(pieces(run, options))
    write_texts(found, data, file)
    first = next(levels for name, levels in found if not name.endswith((" real", " given")))
    print(excerpt(data.decode(first)))
    print(f"text         {file}")


def write_sound(run: Run, options: Options, file: Path) -> None:
    """Writes a WAV file for each piece, ``<stem>-<i>.wav`` for samples; of the given part only if it is not empty."""
    data: Any = run.data
    files = []
    for name, levels in pieces(run, options):
        if len(levels):
            path = file.with_name(f"{file.stem}-{name.removeprefix('sample ').replace(' ', '-')}.wav")
            files.append(write_wav(data.decode(levels), data.sample_rate, path))
    print(f"audio        {files[0]}" + (f" ... {files[-1].name}" if len(files) > 1 else ""))
