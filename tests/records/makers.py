"""Makers of small protocols, scores and records; each test states only what it is about."""

from __future__ import annotations

import dataclasses
from typing import Any

from lit_gen.records.record import Cost, Environment, Protocol, Record, Score, Selection

BPD = Protocol(
    metric="bpd", data="digits", data_hash="a" * 64, split="test", num_examples=447, weights="ema",
    ema_halflife_examples=5000.0, precision="32-true", seed=0, estimator="elbo", draws=1,
)
FD = Protocol(
    metric="fd_mnist_cnn", data="digits", data_hash="a" * 64, split="test", num_examples=447, weights="ema",
    ema_halflife_examples=5000.0, precision="32-true", seed=0, reference_split="test", reference_hash="a" * 64,
    num_samples=1000, extractor="mnist_cnn", extractor_sha256="c" * 64, transform="grey-28-v1",
    sampler="decoder", sampler_settings={"function_evaluations": 1},
)
# For every field another legal value.
OTHER: dict[str, Any] = {
    "replicates": 2,
    "metric": "kid_mnist_cnn", "data": "mnist", "data_hash": "b" * 64, "split": "val", "num_examples": 350,
    "reference_split": "train", "reference_hash": "b" * 64, "num_samples": 10_000, "extractor": "inception",
    "extractor_sha256": "d" * 64, "transform": "grey-28-v2", "is_splits": 10, "weights": "raw",
    "ema_halflife_examples": 9000.0, "sampler": "ddim", "sampler_settings": {"function_evaluations": 50},
    "estimator": "iwae", "draws": 64, "precision": "bf16-mixed", "seed": 1, "generator": "other",
    "statistic": {"k": 3},
}


def make_bpd(value: float = 2.1, error: float | None = 0.01, kind: Any = "bound", **fields: Any) -> Score:
    protocol = dataclasses.replace(BPD, **fields)
    return Score(name="bpd", value=value, standard_error=error, kind=kind, protocol=protocol)


def make_fd(value: float = 8.0, error: float | None = 0.2, **fields: Any) -> Score:
    protocol = dataclasses.replace(FD, **fields)
    return Score(name=protocol.metric, value=value, standard_error=error, kind=None, protocol=protocol)


def make_record(*scores: Score, **fields: Any) -> Record:
    given: dict[str, Any] = {
        "run_name": "vae-1", "family": "vae", "model": "VAE", "data": "digits", "seed": 1,
        "scores": scores,
        "cost": Cost(parameters=120_000, examples_seen=600_000, train_seconds=83.4,
                     peak_memory_bytes=300_000_000, examples_per_second=7200.0, seconds_per_1000_samples=0.05,
                     function_evaluations_per_sample=1),
        "selection": Selection(rule="best val/bpd of 12", metric="val/bpd", value=2.2, last_value=2.25,
                               checkpoint="best.ckpt", step=600),
        "config": {"model": {"class_path": "VAE", "init_args": {"lr": 0.001, "widths": [200, 200]}}},
        "environment": Environment(versions={"python": "3.11.7"}, machine="laptop", accelerator="cpu",
                                   world_size=1),
        "created": "2025-01-02T03:04:05+00:00", "git_commit": "f" * 40,
    }
    return Record(**(given | fields))
