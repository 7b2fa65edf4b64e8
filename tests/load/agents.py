"""Many tiny runs of a sweep by several agents, which share the folder of runs: real agents, a mock server.

    cd tests && python -m load.agents --server FOLDER --runs 200 --agents 2 --out agents

Checked are the records (one for each run, complete, with finite scores, readable by the leaderboard), what the server
was told, and what is left: files that not every run has, files in the temporary folder, processes.
"""

from __future__ import annotations

import argparse
import collections
import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lit_gen.records.record import read_record

REPO = Path(__file__).resolve().parent.parent.parent
MARK = "LIT_GEN_LOAD"
TINY = {
    "model.init_args.nets.init_args.hidden_sizes": {"value": [16]},
    "budget.max_examples": {"value": 1000},
    "scoring.draws": {"value": 2},
    "scoring.num_samples": {"value": 20},
    "trainer.default_root_dir": {"value": "runs"},
}
OTHERS = ("debug-cli.", "torchinductor_")  # of wandb and torch, one for each user
BOARD = "leaderboard.html"  # rewritten by each run


@dataclass
class Outcome:
    """What the agents left.

    Attributes:
        asked: Runs that were to be made.
        records: Complete records with finite scores.
        finished: Runs that the server knows as finished, with exit code 0.
        on_board: Runs that the leaderboard lists.
        problems: A line for each thing that is not as it should be.
        seconds: From the first agent's start to the last one's end.
    """

    asked: int
    records: int = 0
    finished: int = 0
    on_board: int = 0
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        figures = f"{self.records} good records, {self.finished} finished at the server, {self.on_board} on the board"
        return "\n".join([f"{self.asked} runs in {self.seconds:,.0f} s: {figures}", *self.problems])


def run(server: Path, runs: int, agents: int, out: Path) -> Outcome:
    """Lets the agents make the runs in ``out`` and checks what they leave; ``server`` is the mock server's folder."""
    out.mkdir(parents=True)
    shutil.copytree(REPO / "configs", out / "configs")
    sweep = yaml.safe_load((REPO / "sweeps/vae.yaml").read_text())
    sweep.update(run_cap=runs, method="random", parameters={**sweep["parameters"], **TINY})
    (out / "sweep.yaml").write_text(yaml.safe_dump(sweep, sort_keys=False))
    # wandb puts sockets into the temporary folder: their paths must be short.
    temporary = Path(tempfile.mkdtemp(prefix="la_"))
    outcome = Outcome(runs)
    command = [sys.executable, "server.py", "--record", str(out / "server.json"), "--max-runs", str(runs)]
    with (
        open(out / "server.log", "wb") as log,
        subprocess.Popen(command, cwd=server, stdout=subprocess.PIPE, stderr=log, text=True) as mock,
    ):
        try:
            assert mock.stdout is not None
            environment = make_environment(mock.stdout.readline().strip(), temporary, out)
            start = time.monotonic()
            codes = make_runs(agents, out, environment)
            outcome.seconds = time.monotonic() - start
            outcome.problems += [f"agent {i} ended with exit code {code}" for i, code in enumerate(codes) if code]
            outcome.problems += [f"left running: {line}" for line in left_running(environment[MARK])]
        finally:
            mock.terminate()
    check_records(out / "runs", outcome)
    check_server(json.loads((out / "server.json").read_text()), outcome)
    left = [path.name for path in temporary.iterdir() if not path.name.startswith(OTHERS)]
    outcome.problems += [f"left in the temporary folder: {name}" for name in left]
    shutil.rmtree(temporary, ignore_errors=True)
    return outcome


def make_environment(url: str, temporary: Path, out: Path) -> dict[str, str]:
    """The environment of a user who is logged in at the mock server; all that is started bears a mark."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    home = str(out / "home")
    return {
        **kept, MARK: temporary.name, "TMPDIR": str(temporary), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40, "WANDB_CONFIG_DIR": home, "WANDB_CACHE_DIR": home,
        "WANDB_DATA_DIR": home, "WANDB_ERROR_REPORTING": "false", "NETRC": f"{home}/netrc",
    }  # fmt: skip


def make_runs(agents: int, out: Path, environment: dict[str, str]) -> list[int]:
    """Makes the sweep and all its runs; returns the agents' exit codes."""
    client = [sys.executable, "-m", "wandb"]
    made = subprocess.run(
        [*client, "sweep", "sweep.yaml"], cwd=out, env=environment, capture_output=True, text=True, check=True
    )
    name = re.search(r"wandb agent (\S+)", made.stderr + made.stdout)
    assert name is not None, made.stderr
    started = []
    for i in range(agents):
        with open(out / f"agent_{i}.log", "wb") as log:
            started.append(
                subprocess.Popen([*client, "agent", name[1]], cwd=out, env=environment, stdout=log, stderr=log)
            )
    return [agent.wait() for agent in started]


def left_running(mark: str) -> list[str]:
    """Command lines of living processes with the mark, 10 s after the agents."""
    wanted, until = f"{MARK}={mark}".encode(), time.monotonic() + 10
    while True:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue  # gone, or another user's
        if not found or time.monotonic() > until:
            return found
        time.sleep(0.2)


def check_records(runs: Path, outcome: Outcome) -> None:
    """Checks that each run has a complete record, that all have the same files, and that all are on the board."""
    folders = [path for path in runs.iterdir() if path.is_dir()]
    files = collections.Counter(name for folder in folders for name in names(folder))
    for name, count in files.items():
        if count != len(folders):
            outcome.problems.append(f"{count} of {len(folders)} runs have {name}")
    outcome.problems += [
        f"a file beside the runs: {path.name}" for path in runs.iterdir() if path.is_file() and path.name != BOARD
    ]
    for folder in folders:
        record = read_record(folder / "record.json")
        if record.scores and all(math.isfinite(score.value) for score in record.scores):
            outcome.records += 1
        else:
            outcome.problems.append(f"{folder.name}: {len(record.scores)} scores, or one that is not finite")
    command = [sys.executable, "-m", "lit_gen", "leaderboard", str(runs), "--csv"]
    board = subprocess.run(command, cwd=runs.parent, check=True, capture_output=True, text=True)
    outcome.on_board = len({row["run"] for row in csv.DictReader(io.StringIO(board.stdout)) if row["level"] == "run"})


def names(folder: Path) -> set[str]:
    """The files of a run, without those of wandb's client, whose names hold identifiers, times and checksums."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if path.parts[0] != "wandb"}


def check_server(told: dict[str, Any], outcome: Outcome) -> None:
    """Checks what the server was told of each run."""
    outcome.finished = sum(run["state"] == "finished" and run["exit_code"] == 0 for run in told["runs"])
    outcome.problems += [f"unknown to the mock server: {entry['what']}" for entry in told["unknown"]]
    outcome.problems += [f"refused: {entry['operation']}: {entry['message']}" for entry in told["refused"]]


def main() -> int:
    """Prints the outcome; returns 1 unless all is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", type=Path, required=True, help="folder of the mock server, with server.py")
    parser.add_argument("--runs", type=int, default=200, help="runs in all (default: 200)")
    parser.add_argument("--agents", type=int, default=2, help="agents beside each other (default: 2)")
    parser.add_argument("--out", type=Path, default=Path("agents"), help="folder that is made for it")
    options = parser.parse_args()
    outcome = run(options.server.resolve(), options.runs, options.agents, options.out.resolve())
    print(outcome)
    return int(bool(outcome.problems) or not outcome.asked == outcome.records == outcome.finished == outcome.on_board)


if __name__ == "__main__":
    sys.exit(main())
