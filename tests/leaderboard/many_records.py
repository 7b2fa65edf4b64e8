"""Synthetic records in any number, as a sweep of several families and seeds leaves them."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from pathlib import Path

from records.makers import make_bpd, make_fd, make_record

from lit_gen.records.record import SCHEMA_VERSION, Cost, Record
from lit_gen.records.schema import encode

FAMILIES = ("vae", "gan", "flow", "autoregressive", "diffusion")


def synthetic(i: int, seeds: int = 1) -> Record:
    """Record number i: a trial of a sweep, each with so many seeds."""
    rng, trial = random.Random(i), i // seeds
    family = FAMILIES[trial % len(FAMILIES)]
    level = random.Random(-trial).gauss(2.5, 0.3)
    value = level + rng.gauss(0, 0.02)
    scores = [make_fd(abs(20 * level + rng.gauss(0, 1)) + 1, 0.2)]
    if family != "gan":
        scores += [make_bpd(value, 0.01), make_bpd(value - 0.1, 0.01, split="train", data_hash="d" * 64)]
    base = make_record()
    cost = dataclasses.replace(
        base.cost, parameters=round(10 ** rng.uniform(4, 7)), train_seconds=10 ** rng.uniform(1, 4),
        examples_seen=round(10 ** rng.uniform(4, 7)), seconds_per_1000_samples=math.exp(rng.gauss(0, 1)),
    )
    assert isinstance(cost, Cost)
    baselines = [make_bpd(4.09, 0.0, "exact", weights="none", ema_halflife_examples=None, estimator="uniform noise",
                          draws=None, seed=None, precision=None)]
    model = {"class_path": family, "init_args": {"lr": 0.001 * (1 + trial), "widths": [200] * 20}}
    return dataclasses.replace(base, run_name=f"{family}-{trial}-s{i % seeds}", family=family, model=family.upper(),
                               scores=scores, baselines=baselines, cost=cost, seed=i % seeds,
                               config={"model": model, "trainer": {f"option_{k}": None for k in range(40)}})


def write_many(root: Path, count: int, seeds: int = 1) -> None:
    """Writes synthetic records, each into a directory of its own; not synchronized with the disk, which takes long."""
    for i in range(count):
        folder = root / f"{i:05}"
        folder.mkdir(parents=True)
        record = synthetic(i, seeds)
        tree = {"schema_version": SCHEMA_VERSION, **encode(record)}
        for part in ("scores", "baselines"):
            for item, score in zip(tree[part], getattr(record, part), strict=True):
                item["protocol_hash"] = score.protocol.hash
        (folder / "record.json").write_text(json.dumps(tree, indent=1))
