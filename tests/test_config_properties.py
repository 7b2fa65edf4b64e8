"""A recipe with any one thing changed is a configuration, or an error of one line; nothing is trained or left."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import RECIPES
from hypothesis import example, given, settings
from hypothesis import strategies as st
from properties import JSON, TEXTS, inside, lengths, places

from lit_gen import fit
from lit_gen.cli.process import run_command
from lit_gen.errors import without_controls

TEXT = RECIPES["vae"].read_text()
TREE: dict[str, Any] = yaml.safe_load(TEXT)
VALUES = JSON | st.sampled_from(
    ["lit_gen.data.Digits", "lit_gen.families", "os.system", ".", "a.b", "1e400", "null", "x" * 10_000]
)
SCALAR_KEYS = st.none() | st.booleans() | st.integers(-1, 2) | st.just(0.5)


@st.composite
def changed_trees(draw: st.DrawFn) -> bytes:
    """The recipe with a key dropped, renamed or added, or a value replaced."""
    tree = copy.deepcopy(TREE)
    path = draw(st.sampled_from(places(TREE)))
    holder, how = inside(tree, path), draw(st.sampled_from(["replaced", "replaced", "dropped", "added"]))
    if how == "dropped":
        del holder[path[-1]]
    elif how == "replaced":
        holder[path[-1]] = draw(VALUES)
    elif isinstance(holder, dict):
        holder[draw(TEXTS | SCALAR_KEYS)] = draw(st.just(holder.pop(path[-1])) | VALUES)
    else:
        holder.append(draw(VALUES))
    return yaml.dump(tree, allow_unicode=draw(st.booleans())).encode("utf-8", "surrogatepass")


@st.composite
def changed_texts(draw: st.DrawFn) -> bytes:
    """The recipe with bytes inserted or removed somewhere."""
    text = TEXT.encode()
    start = draw(st.integers(0, len(text)))
    end = start + draw(st.sampled_from([0, 0, 1, 5, len(text)]))
    pieces = st.sampled_from(
        [b"\0", b"\x07", b"\xff", b"\t", b"\n", b"{", b"[" * 3000, b"- " * 3000, b"&a *a", b"? ", b"%", b"---\n", b": ",
         b"<<: 3\n", b"!!python/name:os.system", b"!!binary x", b"!!timestamp x", b"2001-99-99", b"0x", b"1_0",
         b"!!int x", b"!!float [1]"]
    )
    return text[:start] + draw(st.binary(max_size=6) | TEXTS.map(str.encode) | pieces) + text[end:]


CONTENTS = changed_trees() | changed_texts()
# What was once a traceback, or an error of several lines or with control characters.
BUDGET = "budget:\n  max_examples: 250000"
GROUP_OF_ONE_VALUE = TEXT.replace(BUDGET, "budget: 250000").encode()
GROUP_OF_NULL = TEXT.replace(BUDGET, "budget: null").encode()
GROUP_OF_A_LIST = TEXT.replace(BUDGET, "budget: [[]]").encode()
TAG = (TEXT + "run_name: !!timestamp x\n").encode()
NO_DATE = (TEXT + "run_name: 2001-99-99\n").encode()
CONTROLS = (TEXT + '"a\\x90\\x1b\\n": {b: 3}\n').encode()

_OF_OTHERS = "classes      of the package "


def _outcome(args: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    """Exit code of ``fit``, and the lines on stderr but those that name another package's classes."""
    capsys.readouterr()
    exit_code = 0
    try:
        exit_code = run_command(fit.main, args)
    except SystemExit as end:
        exit_code = end.code if isinstance(end.code, int) else 0
    lines = capsys.readouterr().err.splitlines()
    return exit_code, [line for line in lines if not line.startswith(_OF_OTHERS)]


@pytest.mark.parametrize(
    ("option", "exit_codes"),
    # With the second, the model is built, and then the space of recordings is found not to fit pictures.
    [("--print_config", (0, 2)), ("--quality.extractor=lit_gen.metrics.LogMel", (2,))],
)
@lengths(few=8, many=400)
def test_a_changed_recipe_is_read_or_is_an_error_of_one_line(
    length: settings, option: str, exit_codes: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "changed.yaml"

    @length
    @given(CONTENTS)
    @example(GROUP_OF_ONE_VALUE)
    @example(GROUP_OF_NULL)
    @example(GROUP_OF_A_LIST)
    @example(CONTROLS)
    @example(TAG)
    @example(NO_DATE)
    def holds(content: bytes) -> None:
        file.write_bytes(content)
        exit_code, lines = _outcome([f"--config={file}", option], capsys)
        assert exit_code in exit_codes
        assert len(lines) == (1 if exit_code else 0)
        assert all(line.startswith("error: ") and without_controls(line) == line for line in lines)
        assert [*tmp_path.iterdir()] == [file]

    holds()
