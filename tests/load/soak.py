"""Memory of long runs: trains one with ``lit_gen.fit``, reads its memory, and fits a line to it.

    cd tests && python -m load.soak gan diffusion streaming --minutes 60 --out soak

Each run has its whole surroundings: validations with samples and scores, sample grids, checkpoints, curves and an
offline run of Weights & Biases. The named runs are trained beside each other with one thread each: memory is measured
here, and no speed.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

REPO = Path(__file__).resolve().parent.parent.parent
RUNS = {
    "gan": ["--config=configs/recipes/digits/gan.yaml"],
    "diffusion": ["--config=configs/recipes/digits/diffusion.yaml"],
    "streaming": [
        *("--config=configs/base.yaml", "--config=configs/data/streaming.yaml", "--data.path={images}"),
        *("--data.transform.size=8", "--data.transform.channels=1", "--data.loader.buffer=500"),
        *("--data.splits.val=null", "--data.splits.test=null"),
        *("--data.splits.num_val=200", "--data.splits.num_test=200"),
        *("--config=configs/families/vae/vae.yaml", "--quality.extractor=null"),
        *("--model.nets.hidden_sizes=[64]", "--trainer.check_val_every_n_epoch=20"),
    ],
}  # fmt: skip
SECONDS_BETWEEN = 5.0
LIMIT = 100.0  # kB/min


@dataclass
class Memory:
    """Memory of a process and of all processes below it, over time."""

    minutes: list[float] = field(default_factory=list)
    kilobytes: list[int] = field(default_factory=list)
    processes: int = 0

    def after(self, start: float) -> tuple[np.ndarray, np.ndarray]:
        """Times in minutes and memory in kB from ``start`` minutes on."""
        at, found = np.array(self.minutes), np.array(self.kilobytes)
        return at[at >= start], found[at >= start]


def slope(minutes: np.ndarray, kilobytes: np.ndarray) -> float:
    """Median of the slopes between all pairs (Theil 1950, Sen 1968), in kB/min: peaks of validations do not count.

    Raises:
        ValueError: If there are fewer than two times.
    """
    first, second = np.triu_indices(len(minutes), 1)
    if not len(first):
        raise ValueError("a slope takes at least two times")
    return float(np.median((kilobytes[second] - kilobytes[first]) / (minutes[second] - minutes[first])))


def tree(pid: int) -> list[int]:
    """The process and all that it started, directly or not."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += [int(child) for child in task.read_text().split()]
            except OSError:
                continue  # a thread that ended meanwhile
    return found


def memory_of(pid: int) -> int:
    """Anonymous and shared memory of a process in kB, resident or swapped out; 0 for one that is gone.

    Pages of files, such as libraries, are left out: the kernel takes them back when others need room.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem", "VmSwap")))


def make_images(folder: Path) -> None:
    """1,200 PNG files of 16x16 random pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for i in range(1200):
        Image.fromarray(rng.integers(0, 256, (16, 16), dtype=np.uint8)).save(folder / f"{i:04}.png")


def start(name: str, out: Path) -> subprocess.Popen[bytes]:
    """Starts the run without an end; its output goes to ``out/NAME.log``."""
    images = out / "images"
    if name == "streaming" and not images.exists():
        make_images(images)
    options = [option.replace("{images}", str(images)) for option in RUNS[name]]
    command = [
        *(sys.executable, "-m", "lit_gen.fit", *options, f"--trainer.default_root_dir={out}", f"--run_name={name}"),
        *("--budget.max_examples=1000000000000", "--trainer.max_epochs=-1", "--trainer.accelerator=cpu"),
        "--wandb.mode=offline",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
    with open(out / f"{name}.log", "wb") as log:
        return subprocess.Popen(command, cwd=REPO, env=environment, stdout=log, stderr=log, start_new_session=True)


def soak(names: list[str], minutes: float, out: Path) -> dict[str, Memory]:
    """Trains the runs beside each other for so many minutes and stops them by SIGTERM.

    Raises:
        RuntimeError: If a run ends by itself, ends with another exit code than
            143, or leaves processes behind.
        subprocess.TimeoutExpired: If a run does not end in 60 s when asked.
    """
    out.mkdir(parents=True, exist_ok=True)
    processes = {name: start(name, out) for name in names}
    memory = {name: Memory() for name in names}
    began = time.monotonic()
    try:
        while (passed := (time.monotonic() - began) / 60) < minutes:
            time.sleep(SECONDS_BETWEEN)
            for name, process in processes.items():
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended by itself, exit code {process.returncode}: see {out}/{name}.log")
                pids = tree(process.pid)
                memory[name].minutes.append(passed)
                memory[name].kilobytes.append(sum(map(memory_of, pids)))
                memory[name].processes = len(pids)
        write_curves(memory, out)  # before an end that fails
        for name, process in processes.items():
            end(name, process)
    finally:
        for process in processes.values():
            for pid in reversed(tree(process.pid)) if process.poll() is None else []:
                os.kill(pid, signal.SIGKILL)
    return memory


def write_curves(memory: dict[str, Memory], out: Path) -> None:
    """Writes the curves to ``OUT/memory.json``."""
    (out / "memory.json").write_text(json.dumps({name: asdict(found) for name, found in memory.items()}))


def end(name: str, process: subprocess.Popen[bytes]) -> None:
    """Asks the run to stop, as a cluster does, and checks how it ends."""
    pids = tree(process.pid)
    process.terminate()
    code = process.wait(timeout=60)
    if code != 128 + signal.SIGTERM:
        raise RuntimeError(f"{name} was asked to stop and ended with exit code {code}")
    until = time.monotonic() + 10
    while left := [pid for pid in pids if memory_of(pid)]:
        if time.monotonic() > until:
            raise RuntimeError(f"{name} left processes behind: {left}")
        time.sleep(0.1)


def main() -> int:
    """Prints a line for each run; returns 1 if the memory of one grows by more than 100 kB/min."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=sorted(RUNS), help="runs, trained beside each other")
    parser.add_argument("--minutes", type=float, default=60.0, help="length of the soak (default: 60)")
    parser.add_argument("--warmup", type=float, default=10.0, help="minutes before the line begins (default: 10)")
    parser.add_argument("--out", type=Path, default=Path("soak"), help="folder for runs, logs and memory.json")
    options = parser.parse_args()
    out = options.out.resolve()
    memory = soak(options.names, options.minutes, out)
    for name, found in memory.items():
        print(line(name, found, options.warmup))
    return int(any(slope(*found.after(options.warmup)) > LIMIT for found in memory.values()))


def line(name: str, memory: Memory, warmup: float) -> str:
    """The result of a run in words."""
    minutes, kilobytes = memory.after(warmup)
    return (
        f"{name:12s} {slope(minutes, kilobytes):+8.1f} kB/min over {minutes[-1] - minutes[0]:.0f} min;"
        f" {kilobytes[0] / 1024:,.0f} MiB at first, {kilobytes[-1] / 1024:,.0f} at last,"
        f" {kilobytes.max() / 1024:,.0f} at most; {memory.processes} processes"
    )


if __name__ == "__main__":
    sys.exit(main())
