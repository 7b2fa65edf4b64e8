"""The command's own options; other options are passed on to ``lit_gen.fit``."""

from __future__ import annotations

import argparse
import math
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lit_gen.cli.arguments import Arguments
from lit_gen.errors import UserError, nearest


@dataclass(frozen=True)
class Options:
    """The command's own options.

    Attributes:
        n: Number of samples; None for the modality's default.
        seed: Seed of all noise.
        label: Class of the samples, its number or its name; None for all classes.
        temperature: Temperature of sampling; None for the model's own.
        sampler: Sampler of a diffusion model; None for the model's own.
        sampler_steps: Number of the sampler's steps; None for the model's own.
        guidance: Guidance scale of a diffusion model with classes; None for the model's own.
        truncation: Largest latent of a GAN; None for the model's own.
        out: The file, or the common name of audio files; None for the run's samples folder.
        interpolate: Pairs of rows of the split to interpolate between.
        steps: Number of images of an interpolation, a walk or a traversal.
        linear: Whether to interpolate along straight lines.
        split: ``test`` or ``val``.
        nearest: Whether to show samples beside their nearest neighbours.
        complete: Rows of the split whose first part is kept and whose rest is sampled.
        prompt: Beginning of every text sample; None for none.
        given: Kept share of an example: of the rows of an image, of the length of anything else.
        k: Number of neighbours, or of completions, of each example; of latents; or of samples of each class.
        walk: Pairs of samples, by number, to go between through the latents.
        traverse: Samples, by number, of which one latent at a time is changed.
        invert: Rows of the split to reconstruct through the latents.
        classes: Whether to show samples of every class.
        field: Whether to draw the scores or the density, and the samples' paths, of a model of two-dimensional data.
    """

    n: int | None = None
    seed: int = 0
    label: int | str | None = None
    temperature: float | None = None
    sampler: str | None = None
    sampler_steps: int | None = None
    guidance: float | None = None
    truncation: float | None = None
    out: Path | None = None
    interpolate: tuple[tuple[int, int], ...] = ()
    steps: int = 10
    linear: bool = False
    split: Literal["test", "val"] = "test"
    nearest: bool = False
    complete: tuple[int, ...] = ()
    prompt: str | None = None
    given: float = 0.5
    k: int = 5
    walk: tuple[tuple[int, int], ...] = ()
    traverse: tuple[int, ...] = ()
    invert: tuple[int, ...] = ()
    classes: bool = False
    field: bool = False

    @property
    def class_number(self) -> int | None:
        """Number of the class; None for all classes, and for a name before `of_class`."""
        return self.label if isinstance(self.label, int) else None

    @property
    def picture(self) -> str:
        """The kind of output that is requested."""
        asked = {
            "interpolation": bool(self.interpolate),
            "nearest": self.nearest,
            "completions": bool(self.complete),
            "prompted": self.prompt is not None,
            "walk": bool(self.walk),
            "traversal": bool(self.traverse),
            "inversion": bool(self.invert),
            "classes": self.classes,
            "field": self.field,
        }
        return next((picture for picture, wanted in asked.items() if wanted), "samples")

    def count(self, modality: str) -> int:
        """Number of samples; by default 64 images, or 8 texts or recordings."""
        usual = 64 if modality == "image" else 8
        return usual if self.n is None else self.n

    @property
    def name(self) -> str:
        """Name of the output file, which depends on the options, so that outputs do not replace one another.

        The number of samples is left out, because more samples begin with the same ones.
        """
        said = [self.picture]
        said += [_short("-".join(str(row) for pair in self.interpolate for row in pair))] if self.interpolate else []
        said += [_short("-".join(str(number) for pair in self.walk for number in pair))] if self.walk else []
        for numbers in (self.complete, self.traverse, self.invert):
            said += [_short("-".join(map(str, numbers)))] if numbers else []
        said += [_short(self.prompt)] if self.prompt else []
        said += [f"given{self.given:g}"] if self.given != Options.given else []
        said += [f"k{self.k}"] if self.k != Options.k else []
        said += [f"images{self.steps}"] if self.steps != Options.steps else []
        said += [self.split] if self.split != Options.split else []
        said += [f"label{_short(str(self.label))}"] if self.label is not None else []
        said += [f"temperature{self.temperature:g}"] if self.temperature is not None else []
        said += [self.sampler] if self.sampler is not None else []
        said += [f"steps{self.sampler_steps}"] if self.sampler_steps is not None else []
        said += [f"guidance{self.guidance:g}"] if self.guidance is not None else []
        said += [f"truncation{self.truncation:g}"] if self.truncation is not None else []
        said += ["linear"] if self.linear else []
        said += [f"seed{self.seed}"] if self.seed else []
        return "-".join(part for part in said if part)


def _short(text: str) -> str:
    """A text reduced to characters for file names, at most 20; with a checksum if information is lost."""
    words = re.sub(r"[^\w-]+", "_", text)
    start = words[:20].strip("_")
    return start if start.replace("_", " ") == text else f"{start}_{zlib.crc32(text.encode()):08x}"


# Options that apply to some kinds of output only; elsewhere they would be ignored silently.
_MEANT_FOR = {
    "n": ("samples", "nearest", "prompted", "field"),
    "label": ("samples", "nearest", "completions", "prompted", "walk", "traversal"),
    "temperature": ("samples", "nearest", "completions", "prompted", "classes", "field"),
    "sampler": ("samples", "nearest", "classes", "field"),
    "sampler_steps": ("samples", "nearest", "interpolation", "classes", "field"),
    "guidance": ("samples", "nearest", "classes"),
    "truncation": ("samples", "nearest", "classes", "walk", "traversal"),
    "split": ("interpolation", "nearest", "completions", "inversion", "field"),
    "steps": ("interpolation", "walk", "traversal"),
    "linear": ("interpolation", "walk"),
    "given": ("completions",),
    "k": ("nearest", "completions", "traversal", "classes"),
}
_ASKED_BY = {
    "samples": "samples",
    "interpolation": "--interpolate",
    "nearest": "--nearest",
    "completions": "--complete",
    "prompted": "--prompt",
    "walk": "--walk",
    "traversal": "--traverse",
    "inversion": "--invert",
    "classes": "--classes",
    "field": "--field",
}
SUFFIXES = {"image": ".png", "text": ".txt", "audio": ".wav"}
"""Suffixes of the files of each modality."""
_LEAST = {"sampler_steps": 1, "guidance": 0, "n": 1, "seed": 0, "steps": 2, "k": 1, "temperature": 0, "given": 0}
_LEAST |= {"truncation": 0}


def parse(args: list[str]) -> tuple[Options, list[str]]:
    """Parses the command's own options; returns them and the others in their order.

    Raises:
        UserError: If a value is invalid, or an option does not apply to the requested output.
    """
    parser = _parser()
    given, rest = parser.split(args)
    if "interpolate" in given:
        given["interpolate"] = tuple(map(tuple, given["interpolate"]))
    if "walk" in given:
        given["walk"] = tuple(map(tuple, given["walk"]))
    for name in ("complete", "traverse", "invert"):
        if name in given:
            given[name] = tuple(given[name])
    options = Options(**given)
    _check(options, given)
    return options, rest


def of_class(options: Options, names: Sequence[str]) -> Options:
    """The options with the number of the class that the user named.

    Args:
        options: The options as they were parsed.
        names: Names of the classes in the order of their labels; empty if they are unknown. A name comes before an
            equal number.

    Raises:
        UserError: There is no class of this name.

    >>> of_class(Options(label=10), ["2", "10"]).label
    1
    """
    name = str(options.label)
    if options.label is not None and name in names:
        return replace(options, label=names.index(name))
    if isinstance(options.label, str):
        known = f"the classes are {', '.join(names[:20])}" if names else "the checkpoint has no names of classes"
        raise UserError(f"--label: no class '{name}', {known}{nearest(name, names)}; give a name or a number")
    return options


def _parser() -> Arguments:
    parser = Arguments(argument_default=argparse.SUPPRESS)
    for name in ("n", "seed", "steps", "k"):
        parser.add_argument(f"--{name}", type=_whole)
    parser.add_argument("--label", type=_class)
    parser.add_argument("--sampler-steps", type=_whole)
    parser.add_argument("--sampler")
    for name in ("temperature", "guidance", "truncation"):
        parser.add_argument(f"--{name}", type=_number)
    for name in ("complete", "traverse", "invert"):
        parser.add_argument(f"--{name}", type=_whole, nargs="+", metavar="I")
    parser.add_argument("--given", type=_number)
    parser.add_argument("--prompt")
    for name in ("interpolate", "walk"):
        parser.add_argument(f"--{name}", type=_whole, nargs=2, action="append", metavar=("I", "J"))
    parser.add_argument("--classes", action="store_true")
    parser.add_argument("--linear", action="store_true")
    parser.add_argument("--nearest", action="store_true")
    parser.add_argument("--field", action="store_true")
    parser.add_argument("--split", choices=("test", "val"))
    parser.add_argument("--out", type=Path)
    return parser


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number") from None


def _class(text: str) -> int | str:
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,9}", text) else text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number") from None


def _check(options: Options, given: dict[str, object]) -> None:
    pictures = ("interpolate", "nearest", "complete", "prompt", "walk", "traverse", "invert", "classes", "field")
    asked = [name for name in pictures if getattr(options, name)]
    if len(asked) > 1:
        raise UserError(f"--{asked[0]} and --{asked[1]} cannot be combined; give one at a time")
    if options.prompt == "":
        raise UserError("--prompt is empty; give a beginning, or leave it out")
    # Python represents bytes of the command line that are not UTF-8 as lone surrogates.
    bad = [i for i, c in enumerate(options.prompt or "", 1) if "\ud800" <= c <= "\udfff"]
    if bad:
        raise UserError(f"--prompt: its character {bad[0]} is not UTF-8; set the terminal's encoding to UTF-8")
    if options.given > 1:
        raise UserError(f"--given is {options.given:g}; give a share, at most 1")
    for name in given:
        if (meant_for := _MEANT_FOR.get(name)) and options.picture not in meant_for:
            wanted = " or ".join(_ASKED_BY[picture] for picture in meant_for)
            raise UserError(f"--{name.replace('_', '-')} applies to {wanted} only; leave it out")
    if options.truncation == 0:
        raise UserError("--truncation is 0, which leaves one sample; give a positive number")
    if negative := [i for i in (*options.traverse, *(i for pair in options.walk for i in pair)) if i < 0]:
        raise UserError(f"--{'walk' if options.walk else 'traverse'}: there is no sample {negative[0]}; the first is 0")
    for name, least in _LEAST.items():
        value = getattr(options, name)
        if value is not None and not least <= value < math.inf:
            raise UserError(f"--{name.replace('_', '-')} is {value}; give at least {least}")
    if options.out is not None and options.out.suffix.lower() not in SUFFIXES.values():
        raise UserError(f"--out: {options.out} does not end in .png (images), .txt (text) or .wav (audio)")
