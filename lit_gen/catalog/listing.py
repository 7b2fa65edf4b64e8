"""The lists of ``lit-gen list``: models, recipes, data sets, feature spaces, statistics, parts and plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from lit_gen.catalog.sources import PACKAGE, ancestors, classes_below, concrete, first_sentence
from lit_gen.cli.plugins import plugin_packages
from lit_gen.cli.shipped import shipped_root

Entry = tuple[str, str]
"""A name and a line about it."""
Groups = dict[str, list[Entry]]
"""Entries by the heading that they stand under."""


def models() -> Groups:
    """Models by family."""
    folders = sorted(path.parent for path in (PACKAGE / "families").glob("*/__init__.py"))
    return {
        folder.name: [(s.name, s.summary) for s in concrete(f"families/{folder.name}", "GenerativeModule")]
        for folder in folders
    }


def recipes() -> Groups:
    """Recipes by data set: a run that needs nothing else."""
    root = shipped_root() / "configs/recipes"
    found: Groups = {}
    for file in sorted(root.glob("*/*.yaml")):
        found.setdefault(file.parent.name, []).append((f"{file.parent.name}/{file.stem}", _header(file)))
    return found


def data_sets() -> Groups:
    """Data sets, each a file to put before a family's."""
    files = sorted((shipped_root() / "configs/data").glob("*.yaml"))
    return {"--config data/NAME": [(f"data/{file.stem}", _header(file)) for file in files]}


def spaces() -> Groups:
    """Feature spaces, in which samples are compared with data."""
    found = concrete("metrics/spaces", "FeatureSpace")
    return {"--quality.extractor=NAME": [(s.name, s.summary) for s in found]}


def statistics() -> Groups:
    """Statistics of features."""
    found = concrete("metrics/statistics", "Statistic")
    shared = {base for source in found for base in source.bases} - {"FrechetDistance"}
    return {"--quality.statistics+=NAME": [(s.name, s.summary) for s in found if s.name not in shared]}


def parts() -> Groups:
    """Values that models take, such as objectives, penalties, dequantizations and networks, by their base."""
    found: Groups = {}
    known = [*classes_below(PACKAGE / "families"), *classes_below(PACKAGE / "nets")]
    # What stands as a type in the parameters of something that can be chosen.
    types = {word for s in known if not s.is_abstract for p in s.parameters() for word in re.findall(r"\w+", p.type)}
    bases = {s.name for s in known if s.is_abstract and "GenerativeModule" not in ancestors(s.name)} & types
    for source in known:
        base = next((name for name in ancestors(source.name) if name in bases), None)
        if base is not None and not source.is_abstract:
            found.setdefault(base, []).append((source.name, source.summary))
    return dict(sorted(found.items()))


def sweeps() -> Groups:
    """Searches of settings by W&B."""
    files = sorted((shipped_root() / "sweeps").glob("*.yaml"))
    return {"wandb sweep": [(f"sweeps/{file.name}", _header(file)) for file in files]}


def plugins() -> Groups:
    """Installed packages whose classes can be chosen by their short names."""
    return {"installed": [(name, "its classes can be named on the command line") for name in plugin_packages()]}


SECTIONS: dict[str, Callable[[], Groups]] = {
    "models": models,
    "recipes": recipes,
    "data": data_sets,
    "spaces": spaces,
    "statistics": statistics,
    "parts": parts,
    "sweeps": sweeps,
    "plugins": plugins,
}


def section_text(name: str) -> str:
    """A section as lines: a heading with what it holds, then names, each with a line.

    Args:
        name: One of :data:`SECTIONS`.
    """
    make = SECTIONS[name]
    groups = {heading: entries for heading, entries in make().items() if entries}
    what = (make.__doc__ or "").strip().rstrip(".")
    lines = [f"{name.upper()}: {what[0].lower()}{what[1:]}"]
    width = max((len(entry) for entries in groups.values() for entry, _ in entries), default=0)
    for heading, entries in groups.items():
        lines.append(f"  {heading}")
        lines += [f"    {entry:<{width}}  {line}".rstrip() for entry, line in entries]
    return "\n".join(lines if groups else [*lines, "  none"])


def _header(file: Path) -> str:
    """The first sentence of a file's comments, without the command that follows it."""
    comments: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        comments.append(line.lstrip("# "))
    text = re.split(r":? (?:python -m|lit-gen )", " ".join(comments))[0]
    return first_sentence(text.removesuffix(", for one GPU")).rstrip(":.")
