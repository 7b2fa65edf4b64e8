"""Trains and scores the runs behind the figures, and keeps their records in ``docs/results/records``.

    python docs/results/run.py --dry-run
    python docs/results/run.py --only digits-vae digits-gan --seeds 0
    python docs/results/tables.py

A run is skipped if its record is kept with all listed scores. One that was stopped goes on; one that lacks scores
takes these alone, if its checkpoint is still there. A run that fails does not stop the others.
"""

from __future__ import annotations

import argparse
import functools
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from kept import keep
from listing import REPO, Listed, chosen, read_runs

from lit_gen.errors import UserError
from lit_gen.records.record import read_record
from lit_gen.stopping.child import exit_code_of

WORK = Path("runs/results")
"""Folder of the runs themselves, below the repository and not tracked by git; relative, as records keep it."""

_IDLE, _BESIDE = "on an idle machine", "beside other work"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns 1 if a run failed."""
    options = _parser().parse_args(arguments)
    try:
        runs = chosen(read_runs(), options.only)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    pairs = [(run, seed) for run in runs for seed in run.seeds if options.seeds is None or seed in options.seeds]
    failed = []
    for i, (run, seed) in enumerate(pairs, 1):
        place = f"[{i}/{len(pairs)}] {run.folder(seed)}"
        if not options.again and _is_kept(run, seed):
            print(f"{place}: its record is kept already", flush=True)
        elif options.dry_run:
            print(f"{place}\n" + "\n".join(f"  {shlex.join(command)}" for command in commands(run, seed)), flush=True)
        elif not _ran(place, run, seed, options):
            failed.append(run.folder(seed))
    if failed:
        print(f"failed: {', '.join(failed)}; their logs are in {WORK}", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="names of runs of runs.yaml; else all")
    parser.add_argument("--seeds", nargs="+", type=int, metavar="SEED", help="only these of the listed seeds")
    parser.add_argument("--again", action="store_true", help="also runs whose record is kept, from their beginning")
    parser.add_argument("--dry-run", action="store_true", help="print the commands alone")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process (default 1)")
    parser.add_argument("--idle", action="store_true",
                        help="the machine does nothing else: times are kept without the note that it did")
    return parser


def commands(run: Listed, seed: int) -> list[list[str]]:
    """The commands of a run with a seed: ``fit``, then each ``evaluate``, without the interpreter's path."""
    folder = WORK / run.folder(seed)
    fit = ["-m", "lit_gen.fit", *run.command(seed), f"--trainer.default_root_dir={WORK}", f"--run_name={folder.name}"]
    scoring = [
        ["-m", "lit_gen.evaluate", f"{folder}/checkpoints/best.ckpt", *evaluation.options]
        for evaluation in run.evaluations if evaluation.applies(seed)
    ]
    return [["python", *command] for command in (fit, *scoring)]


def _ran(place: str, run: Listed, seed: int, options: argparse.Namespace) -> bool:
    """Runs what is missing and keeps the record; says how it ended."""
    started = time.monotonic()
    print(f"{place}: started", flush=True)
    folder = REPO / WORK / run.folder(seed)
    if options.again:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        for command in _missing(run, seed):
            _call(command, folder.with_suffix(".log"), options.threads)
        keep(folder / "record.json", run.record(seed), _IDLE if options.idle else _BESIDE)
    except (UserError, OSError, subprocess.CalledProcessError) as error:
        code = getattr(error, "returncode", None)
        why = str(error) if code is None else f"exit code {code}; see {WORK / folder.name}.log"
        print(f"{place}: failed after {time.monotonic() - started:.0f} s: {why}", flush=True)
        return False
    print(f"{place}: done in {time.monotonic() - started:.0f} s", flush=True)
    return True


def _is_kept(run: Listed, seed: int) -> bool:
    """Whether a record is kept, and holds the scores of all listed evaluations."""
    path = run.record(seed)
    return path.is_file() and not _not_in(path, commands(run, seed)[1:])


def _not_in(path: Path, scoring: list[list[str]]) -> list[list[str]]:
    """The evaluations of which a record has no score."""
    done = {tuple(score.arguments) for score in read_record(path).scores}
    return [command for command in scoring if tuple(command[4:]) not in done]


def _missing(run: Listed, seed: int) -> list[list[str]]:
    """The commands whose scores are not in the run's own record; the first goes on with a training that was stopped."""
    fit, *scoring = commands(run, seed)
    folder = WORK / run.folder(seed)
    here = REPO / folder
    if not (here / "record.json").is_file():
        if (here / "training.json").is_file():
            return [["python", "-m", "lit_gen.evaluate", f"{folder}/checkpoints/best.ckpt"], *scoring]
        if any(here.rglob("*.ckpt")):
            return [["python", "-m", "lit_gen.fit", "--resume", str(folder)], *scoring]
        shutil.rmtree(here, ignore_errors=True)  # of a run that was killed before its first checkpoint
        return [fit, *scoring]
    return _not_in(here / "record.json", scoring)


def _call(command: list[str], log: Path, threads: int) -> None:
    """Runs a command in the repository, with its output in a file.

    Raises:
        subprocess.CalledProcessError: It fails.
        SystemExit: A signal asked to stop.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join([str(REPO), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads), "WANDB_MODE": "disabled"}
    with log.open("a") as output:
        output.write(f"$ {shlex.join(command)}\n")
        output.flush()
        start = functools.partial(
            subprocess.Popen, [sys.executable, *command[1:]], cwd=REPO, env=environment, stdout=output,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
        )
        if code := exit_code_of(start):
            raise subprocess.CalledProcessError(code, command)


if __name__ == "__main__":
    sys.exit(main())
