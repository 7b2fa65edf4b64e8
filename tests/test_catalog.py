"""``lit-gen list``, ``lit-gen help NAME`` and ``fit --help``: complete, true, and on one screen."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from conftest import REPO

import lit_gen.families
from lit_gen import data, fit, metrics
from lit_gen.__main__ import COMMANDS, main
from lit_gen.catalog.class_help import GROUPS, class_help
from lit_gen.catalog.listing import SECTIONS, models, recipes, section_text, spaces, statistics
from lit_gen.catalog.sources import find_class
from lit_gen.cli.command_line import CLI
from lit_gen.cli.fit_help import OPTIONS, short_help
from lit_gen.cli.process import run_command
from lit_gen.metrics import FeatureSpace
from lit_gen.metrics.statistics import STATISTICS

MODELS = lit_gen.families.__all__
DATA = [name for name in data.__all__ if isinstance(c := getattr(data, name), type)
        and issubclass(c, data.DiscreteDataModule) and c is not data.DiscreteDataModule]  # fmt: skip


BASES = {"Statistic", "KeptFeatures", "NeighbourBalls", "NGramCounts"}


def names(groups: dict[str, list[tuple[str, str]]]) -> set[str]:
    return {name for entries in groups.values() for name, _ in entries}


def test_source_text_and_imported_classes_agree() -> None:
    """What is read without importing anything is what can be imported."""
    known = {name for name in metrics.__all__ if inspect.isclass(c := getattr(metrics, name))
             and issubclass(c, FeatureSpace) and c is not FeatureSpace}  # fmt: skip
    assert names(models()) == set(MODELS)
    assert set(models()) == {cls.__module__.split(".")[2] for cls in map(lit_gen.families.__dict__.get, MODELS)}
    assert names(spaces()) == known
    assert names(statistics()) == {cls.__name__ for cls in STATISTICS.values()} - BASES
    assert names(recipes()) == {
        f"{path.parent.name}/{path.stem}" for path in (REPO / "configs/recipes").glob("*/*.yaml")
    }


@pytest.mark.parametrize("section", SECTIONS)
def test_every_entry_has_a_line(section: str) -> None:
    for line in section_text(section).splitlines()[1:]:
        if line.startswith("    "):
            name, text = line.split(maxsplit=1)
            assert len(text) > 6, name
            assert not re.search(r":\w+:`|[.:]$|python -m", text), line


@pytest.mark.parametrize("name", [*MODELS, *DATA])
def test_help_of_a_class_shows_all_arguments_on_one_screen(name: str) -> None:
    cls: Any = getattr(lit_gen.families, name, None) or getattr(data, name)
    text = class_help(name, [])
    assert text.startswith(f"{cls.__module__}.{name}\n")
    wanted = [p for p in inspect.signature(cls).parameters if p not in ("shape", "num_levels")]
    source = find_class(name)
    assert source is not None
    if "num_levels" in inspect.signature(cls).parameters and name in DATA:
        wanted = [p for p in wanted if p != "name"]
    shown = [parameter.name for parameter in source.parameters()]
    assert set(wanted) - {"name"} <= set(shown)
    for parameter in source.parameters():
        assert f"\n  {parameter.name}: {parameter.type}" in text
        assert parameter.text, f"{name}.{parameter.name} has no description"
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("name", [*sorted(names(spaces()) | names(statistics())), *GROUPS, "R1", "ConvNets", "Muon"])
def test_help_of_parts(name: str) -> None:
    assert len(class_help(name, []).splitlines()) >= 3


def test_help_of_a_class_says_how_it_is_chosen() -> None:
    assert "chosen by   --model=VDM, and its arguments as --model." in class_help("VDM", [])
    assert "chosen by   --quality.statistics+=KID" in class_help("KID", [])
    assert "takes a Penalty" in class_help("R1", [])
    assert "arXiv:2107.00630" in class_help("lit_gen.families.VDM", [])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["help", "VMD"], "there is no command or class 'VMD'; did you mean 'VDM'?"),
        (["help", "elsewhere.Model"], "there is no command or class 'elsewhere.Model'"),
        (["list", "recipe"], "there is no section 'recipe'; did you mean 'recipes'?"),
        (["list", "--path", "nothing"], "the package has no file 'nothing'"),
        (["fit"], "no model and no data are given; give a recipe with --config"),
    ],
)
def test_what_is_not_there_is_one_line(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, args) == 2
    found = capsys.readouterr()
    assert message in found.err.splitlines()[-1]
    assert found.out == ""
    if args == ["fit"]:
        assert "lit-gen fit --config configs/recipes/digits/vae.yaml" in found.err


def test_list_shows_the_path_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, ["list", "--path", "sweeps/vae.yaml"]) == 0
    assert capsys.readouterr().out == f"{REPO / 'sweeps/vae.yaml'}\n"


# ------------------------------------------------------------------ fit --help


def test_the_short_help_is_true(capsys: pytest.CaptureFixture[str]) -> None:
    """Each option exists, and has the default that is stated."""
    with pytest.raises(SystemExit, match="0"):
        CLI(["--help"])
    everything = capsys.readouterr().out
    parser = CLI(["--config", str(REPO / "configs/recipes/digits/vae.yaml"), "--trainer.logger=false",
                  "--quality.extractor=null"], purpose="sample").parser  # fmt: skip
    for option, stated, _ in (entry for options in OPTIONS.values() for entry in options):
        name = option.split()[0].removeprefix("--").rstrip("+")
        if name in ("resume", "quiet", "model.optimizer", "data.path"):  # of fit itself, of the model and of the data
            continue
        assert f"--{name}" in everything, name
        if stated:
            default = parser.get_default(name)
            shown = {"None": "null", "True": "true", "False": "false"}.get(str(default), str(default))
            # The Trainer itself takes 32-true for no precision.
            assert shown == ("null" if name == "trainer.precision" else stated), name


def test_help_is_short_and_help_all_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(short_help().splitlines()) <= 50
    assert 20 <= sum(map(len, OPTIONS.values())) <= 26
    fit.main(["--help"])
    assert capsys.readouterr().out == short_help()
    with pytest.raises(SystemExit, match="0"):
        fit.main(["--help=all"])
    assert "--trainer.limit_predict_batches" in capsys.readouterr().out


def test_the_line_for_completion_names_every_command() -> None:
    text = (REPO / "docs/completion.md").read_text()
    found = re.search(r'complete -W "([^"]+)" lit-gen', text)
    assert found is not None
    assert set(found[1].split()) == {*COMMANDS, "help"}
