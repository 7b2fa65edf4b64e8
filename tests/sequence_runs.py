"""Small runs on text and sound that a test makes itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conftest import REPO
from data.test_audio import RATE, store, wav

from lit_gen import fit

LETTERS = "\nabcé"
LENGTH, SAMPLES = 12, 48
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
SHORT = ["--budget.max_examples=160", "--ema.halflife_examples=50"]
SHORT += ["--quality.num_samples=20", "--scoring.num_samples=40"]


def fit_text(root: Path, *more: str) -> Path:
    """A transformer of characters; returns the run's folder."""
    fit.main(text_options(root, *more))
    return root / "text"


def text_options(root: Path, *more: str) -> list[str]:
    """The command line of that run. Each of five letters is followed by itself or the next."""
    rng, place, text = np.random.default_rng(0), 0, []
    for step in rng.integers(0, 2, 4_000):
        place = (place + int(step)) % len(LETTERS)
        text.append(LETTERS[place])
    root.mkdir(parents=True, exist_ok=True)
    (root / "text.txt").write_text("".join(text), encoding="utf-8")
    data = [f"path={root / 'text.txt'}", "unit=characters", f"length={LENGTH}", "batch_size=20", "splits.num_val=0.2"]
    return [
        *(f"--config={REPO / 'configs' / name}" for name in ("base.yaml", "data/text_file.yaml")),
        *(f"--data.init_args.{option}" for option in data),
        "--quality.extractor.init_args.num_symbols=5",
        *("--model=Transformer", "--model.width=16", "--model.num_blocks=1"),
        *(f"--trainer.default_root_dir={root}", "--run_name=text", "--grid.num_samples=3", *QUIET, *SHORT, *more),
    ]


def fit_audio(root: Path, *more: str) -> Path:
    """A WaveNet of tones; returns the run's folder."""
    fit.main(audio_options(root, *more))
    return root / "audio"


def audio_options(root: Path, *more: str) -> list[str]:
    """The command line of that run."""
    times = np.arange(SAMPLES * 6) / RATE
    tones = [wav((12_000 * np.sin(2 * np.pi * (300 + 40 * (7 * i % 30)) * times)).astype(int)) for i in range(30)]
    if not (root / "tones").exists():
        store(root / "tones", {"train": tones[:20], "test": tones[20:]})
    data = [f"path={root / 'tones'}", "name=tones", f"length={SAMPLES}", "splits.num_val=4", "batch_size=20"]
    bank = ["num_bands=6", "frame=32", "hop=16"]
    return [
        *(f"--config={REPO / 'configs' / name}" for name in ("base.yaml", "data/spoken_digits.yaml")),
        *(f"--data.init_args.{option}" for option in data),
        *(f"--quality.extractor.init_args.{option}" for option in bank),
        *("--model=WaveNet", "--model.layers_per_block=2", "--model.channels=8"),
        *(f"--trainer.default_root_dir={root}", "--run_name=audio", "--grid.num_samples=3", *QUIET, *SHORT, *more),
    ]
