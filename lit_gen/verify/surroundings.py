"""What differs between where a score was recorded and here, and why a score has no counterpart here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lit_gen.records.environment import Environment
from lit_gen.records.protocol import Protocol
from lit_gen.records.score import Score

_DATA = ("data_hash", "reference_hash")
_FOLLOWS_DATA = {*_DATA, "num_examples"}
_DIGITS = 12  # of a checksum in print

Difference = tuple[str, str, str]
"""What differs, its value here, and the recorded one."""


def environment_differences(recorded: Environment, here: Environment) -> list[Difference]:
    """Versions, machine, accelerator and world size that differ."""
    names = dict.fromkeys([*recorded.versions, *here.versions])
    pairs: list[tuple[str, Any, Any]] = [(name, here.versions.get(name), recorded.versions.get(name)) for name in names]
    pairs += [
        (name.replace("_", " "), getattr(here, name), getattr(recorded, name))
        for name in ("machine", "accelerator", "world_size")
    ]
    return [(name, _shown(a), _shown(b)) for name, a, b in pairs if a != b]


def in_words(differences: Iterable[Difference]) -> str:
    """Differences in one line, each once.

    >>> in_words([("torch", "2.14.1", "2.13.0"), ("torch", "2.14.1", "2.13.0")])
    'torch 2.14.1 here, 2.13.0 recorded'
    """
    return "; ".join(f"{name} {here} here, {recorded} recorded" for name, here, recorded in dict.fromkeys(differences))


def nearest_protocol(recorded: Score, taken: Sequence[Score]) -> list[Difference] | None:
    """In what the most similar score of the same name differs from a recorded one.

    Args:
        recorded: The recorded score.
        taken: Scores that were taken again.

    Returns:
        The fields of the protocol that differ; None if no score has the name.
    """
    found = [_protocol_differences(recorded.protocol, s.protocol) for s in taken if s.name == recorded.name]
    return min(found, key=len, default=None)


def _protocol_differences(recorded: Protocol, here: Protocol) -> list[Difference]:
    a, b = here.flat(), recorded.flat()
    names = [name for name in dict.fromkeys([*a, *b]) if a.get(name) != b.get(name)]
    return [(name, _shown(a.get(name)), _shown(b.get(name))) for name in names]


def data_differences(differences: Iterable[Difference]) -> list[Difference]:
    """Those of the differences that are of the data's content."""
    return [(name.replace("_", " "), here, recorded) for name, here, recorded in differences if name in _DATA]


def only_data(differences: Iterable[Difference]) -> bool:
    """Whether nothing but the data differ."""
    return {name for name, _, _ in differences} <= _FOLLOWS_DATA


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text[:_DIGITS] if len(text) == 64 and text.isalnum() else text
