"""Checks lit_gen on one GPU, for six minutes or more, with nothing to download; each row is written when it is done.

    python tests/gpu/check.py --out check.json
    python tests/gpu/check.py --device cpu --minutes 2          # at reduced size, without a GPU

It needs Python 3.11 or later, torch 2.9 or later, Lightning, torchmetrics, jsonargparse and scikit-learn. Rows are
training in float32 and bf16 of every config under ``configs/families``, fp16 and ``--compile`` of one net of each
family, likelihoods, resuming, clipping, sampling, features, noise, and steps in which a synchronization is an error.
With less time, ``--only train`` and ``--only sync`` are two halves that can be run one after the other.
The exit code is 1 if a row fails.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import lightning  # noqa: E402
import torch  # noqa: E402

from gpu import rows  # noqa: E402
from gpu.setups import ONE_EACH, SAMPLED, Setup, setups  # noqa: E402

Task = tuple[str, Callable[[], dict[str, Any]]]


def tasks(device: str) -> Iterator[Task]:
    """Names of the rows and what computes them: one net of each family by all rows first, then the others."""
    small = device == "cpu"
    steps, few = (3, 3) if small else (30, 15)
    every = setups(device)
    by_name = {setup.name: setup for setup in every}
    one_each = [by_name[name] for name in ONE_EACH]
    others = [setup for setup in every if setup.name not in ONE_EACH]
    for sizes in ((250, 3072), (250, 8)):
        yield f"noise {sizes[0]} x {sizes[1]}", partial(rows.noise, device, *sizes, 21)
    yield "features", partial(rows.features, device, 500 if small else 10_000)
    precisions = ("32-true", "bf16-mixed") if small else ("32-true", "bf16-mixed", "16-mixed")  # no scaler on a CPU
    for precision in precisions:
        for setup in one_each:
            yield _training_row(setup, device, precision, steps)
    for setup in every:
        yield f"likelihood {setup.name}", partial(rows.likelihood, setup, device)
    for setup in one_each:
        yield f"resume {setup.name}", partial(rows.resuming, setup, device, few)
        yield f"clip {setup.name}", partial(rows.clipping, setup, device, few)
    for name in SAMPLED:
        yield f"sample {name}", partial(rows.sampling, by_name[name], device, 8 if small else 64)
    for setup in every:
        yield f"sync {setup.name}", partial(rows.strict, setup, device, few)
    for precision in precisions[:2]:
        for setup in others:
            yield _training_row(setup, device, precision, steps)
    for setup in one_each:
        compiled = partial(rows.training, setup, device, "32-true", steps, "--compile=true")
        yield f"compile {setup.name}", compiled


def _training_row(setup: Setup, device: str, precision: str, steps: int) -> Task:
    name = f"train {precision} {setup.name} {setup.data}"
    return name, partial(rows.training, setup, device, precision, steps)


def main(args: list[str]) -> int:
    """Runs the check; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="rows whose names contain one of these")
    parser.add_argument("--minutes", type=float, default=6.0, help="no row begins after so many minutes (6)")
    parser.add_argument("--out", type=Path, help="file to which each row is added as a line of JSON")
    options = parser.parse_args(args)
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("no GPU that torch can use; --device cpu runs the check at reduced size")
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    machine = {
        "card": torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__, "lightning": lightning.__version__, "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    begin, failed, left = time.monotonic(), 0, 0
    for name, task in tasks(options.device):
        if options.only and not any(text in name for text in options.only):
            continue
        if time.monotonic() - begin > 60 * options.minutes:
            left += 1
            continue
        failed += _run(name, task, machine, options.out)
    print(f"{failed} rows failed, {left} rows left out for lack of time, {time.monotonic() - begin:.0f} s")
    return int(failed > 0)


def _run(name: str, task: Callable[[], dict[str, Any]], machine: dict[str, str], out: Path | None) -> bool:
    begin = time.monotonic()
    try:
        row = task()
    except Exception as error:  # the other rows are wanted all the same
        row = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
    row["seconds"] = time.monotonic() - begin
    print(f"{name:42} " + ", ".join(f"{key} {_shown(value)}" for key, value in row.items()), flush=True)
    if out is not None:
        with out.open("a") as file:
            file.write(json.dumps({"row": name, **row, "machine": machine}) + "\n")
    return "failed" in row


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "n/a" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
