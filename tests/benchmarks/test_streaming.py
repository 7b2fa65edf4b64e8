"""Streamed images of 256x256 against the in-memory loader, torchvision's ImageFolder and webdataset, in one run.

    IMAGES=100000 python -m pytest tests/benchmarks/test_streaming.py -m benchmark -n 0 -s

A few hundred distinct JPEGs are repeated with other bytes at their end, as parquet files of 1,000 (row groups of 100),
tar files of 1,000, and files. All contestants give batches of 64 as uint8, with two workers and, where they have one, a
shuffle buffer of 4,096; they take turns. `webdataset` is skipped if it is not installed. The loader in memory
holds 4,000 decoded images. Memory is said for a tenth and all of the images.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO

from benchmarks.streaming_contestants import CONTESTANTS, write_set
from benchmarks.turns import Results, contest

pytestmark = pytest.mark.benchmark
COUNT, ROUNDS = int(os.environ.get("IMAGES", "20000")), 5
PEERS = {name for name in CONTESTANTS if not name.startswith("lit_gen")}


def environment() -> dict[str, str]:
    paths = os.pathsep.join(filter(None, (str(REPO), str(REPO / "tests"), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def command(name: str, folder: Path, *more: str) -> list[str]:
    return ["-m", "benchmarks.streaming_contestants", name, str(folder), *more]


def first_batch(name: str, folder: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, *command(name, folder, "first")], capture_output=True, text=True, env=environment(), check=True
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("FOUND"))
    return json.loads(line.removeprefix("FOUND"))


def test_streaming(tmp_path: Path) -> None:
    names = [name for name in CONTESTANTS if name != "webdataset" or importlib.util.find_spec("webdataset")]
    if "webdataset" not in names:
        print("\nwebdataset is not installed and is left out")
    counts = sorted({max(1_000, COUNT // 10), COUNT})
    for count in counts:
        write_set(tmp_path / str(count), count)
    peaks = {}
    print("\nimages    contestant          first batch   memory above imports   largest worker")
    for count in counts:
        for name in names:
            if "memory" not in name:
                found = first_batch(name, tmp_path / str(count))
                peaks[name, count] = found
                print(f"{count:>7,}   {name:<18}{found['first']:>10.2f} s{found['main']:>16,.0f} MiB", end="")
                print(f"{found['worker']:>16,.0f} MiB", flush=True)
    commands = {name: command(name, tmp_path / str(COUNT)) for name in names}
    with contest(commands, environment(), tmp_path) as contestants:
        results = Results(contestants, ROUNDS, [name for name in names if name not in PEERS], reference="ImageFolder")
    print(results.table(f"batches of 64 images of 256x256, of {COUNT:,}, with two workers"))
    for kind in ("parquet", "tar", "files"):
        small, large = (peaks[f"lit_gen {kind}", count] for count in (counts[-2], counts[-1]))
        assert large["worker"] < small["worker"] * 1.5 + 50, "a worker's memory grows with the number of images"
        assert large["main"] < small["main"] + 200 + COUNT / 1_000, "memory grows with the number of images"
        assert results.ratio(f"lit_gen {kind}") > 0.7
