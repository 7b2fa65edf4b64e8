"""Records of schema version 1: their names and their hashes, translated to version 2 as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lit_gen.records.protocol import Protocol, sha256_of

_RECORD = {"floors": "baselines"}
_COST = {"images_seen": "examples_seen", "images_per_second": "examples_per_second"}
_PROTOCOL = {"ema_halflife_images": "ema_halflife_examples"}
_OLD_NAMES = {new: old for old, new in _PROTOCOL.items()}

# Literal, since version 1 hashed all of its fields: one that is added later is none of them.
_HASHED = (
    *("metric", "data", "data_hash", "split", "num_examples", "reference_split", "reference_hash", "num_samples"),
    *("extractor", "extractor_sha256", "transform", "is_splits", "weights", "ema_halflife_examples"),
    *("sampler", "sampler_settings", "estimator", "draws", "precision", "seed"),
)


def translate(tree: dict[str, Any]) -> dict[str, Any]:
    """A record's tree under the names of version 2. What is not of the expected type is left to `schema.decode`.

    Raises:
        ValueError: A key stands beside its own later name.
    """
    tree = _renamed(tree, _RECORD, "")
    if isinstance(tree.get("cost"), dict):
        tree["cost"] = _renamed(tree["cost"], _COST, "cost.")
    for part in ("scores", "baselines"):
        scores = tree.get(part)
        for i, score in enumerate(scores if isinstance(scores, list) else []):
            if isinstance(score, dict) and isinstance(score.get("protocol"), dict):
                score["protocol"] = _renamed(score["protocol"], _PROTOCOL, f"{part}[{i}].protocol.")
    return tree


def protocol_hash(protocol: Protocol) -> str:
    """sha256 (hex) of a protocol by the rule of version 1, which covers all of its fields, defaults included."""
    fields = {_OLD_NAMES.get(name, name): getattr(protocol, name) for name in _HASHED}
    return sha256_of({**fields, **protocol.extra})


def _renamed(tree: dict[str, Any], names: Mapping[str, str], prefix: str) -> dict[str, Any]:
    for old, new in names.items():
        if old in tree and new in tree:
            raise ValueError(f"'{prefix}{old}' stands beside '{prefix}{new}', its name in version 2")
    return {names.get(name, name): value for name, value in tree.items()}
