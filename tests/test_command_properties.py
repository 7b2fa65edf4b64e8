"""Light commands with any words end with exit code 0, 1 or 2 in lines, and write nothing outside the test's folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from properties import lengths
from records.makers import make_bpd, make_record

from lit_gen.__main__ import COMMANDS, main
from lit_gen.cli.process import run_command
from lit_gen.errors import without_controls
from lit_gen.records.record import write_record

# What a command line can hold: no zero bytes, and half characters for bytes that are not UTF-8. No word names anything
# outside the current folder, since `clean --delete` and `leaderboard --html` do what they are told.
WORDS = st.text(st.characters(exclude_characters="\0/~", exclude_categories=["Cs"]), max_size=6).filter(
    lambda word: ".." not in word
) | st.sampled_from([
    *("", "-", "--", "=", "--=", "---", "--x", "-h", "--help", "--help=1", "0", "-1", "nan", "1e999", "1M"),
    *("10min", ".", "no/such", "x" * 300, "a" * 70_000, "\udcff", "runs/\udce9", "\x1b[2J\n", "%s", "{}"),
])
COMMON = ["runs", "runs/a", "runs/a/record.json", "runs/note.txt", "--quiet"]
OPTIONS = {
    "leaderboard": ["--compare", "--check", "--html", "--html=runs/note.txt/x", "page.html", "--markdown", "--latex",
                    "--csv", "--over-examples", "--json", "--sort", "bpd", "--strict", "--compare-weights",
                    "--at-most", "1M", "--each-run"],
    "list": ["recipes", "data", "sweeps", "--path", "--path=digits/vae", "--path=", "models"],
    "help": ["VDM", "lit_gen.data.Digits", "scoring", "clean", ".", "...", "a.b", "os.path.x", "lit_gen.", ".lit_gen"],
    "clean": ["--delete", "--delete=1"],
    "cache": ["--delete", "mnist_cnn"],
    "verify": ["--only", "bpd", "--tolerance", "--tolerance=0.1", "--any-checkpoint"],
    "convert": ["--data", "--data=runs/note.txt", "--out", "--out=new", "--averaged"],
    "no-such-command": ["--version"],
}


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with up to five words, most of them of its own."""
    name = draw(st.sampled_from([*OPTIONS]))
    own = st.sampled_from([*OPTIONS[name], *COMMON])
    joined = st.builds(lambda option, word: f"{option}={word}", st.sampled_from(OPTIONS[name]), WORDS)
    return [name, *draw(st.lists(own | own | WORDS | joined, max_size=5))]


def _files(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_every_light_command_is_tried() -> None:
    """The others train, score or draw, and have tests of their own."""
    heavy = {"fit", "evaluate", "sample", "encode", "compare", "doctor"}
    assert {*COMMANDS} - heavy == {*OPTIONS} - {"help", "no-such-command"}


@lengths(few=60, many=3000)
def test_any_command_line_ends_in_lines(
    length: settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("LIT_GEN_CACHE", str(folder / "cache"))
    write_record(folder / "runs/a/record.json", make_record(make_bpd()))
    (folder / "runs/note.txt").write_text("no configuration")
    before = _files(tmp_path)

    @length
    @given(command_lines())
    @example(["leaderboard", "x" * 300])
    @example(["clean", "x" * 300])
    @example(["verify", "x" * 300])
    @example(["leaderboard", "runs", "\x1b[2J\n"])
    def holds(args: list[str]) -> None:
        capsys.readouterr()
        try:
            exit_code = run_command(main, args)
        except SystemExit as end:
            exit_code = end.code if isinstance(end.code, int) else 0
        assert exit_code in (0, 1, 2)
        err = capsys.readouterr().err
        assert "Traceback" not in err
        assert all(without_controls(line) == line for line in err.splitlines())
        made = {path for path in _files(tmp_path).items() if path not in before.items()}
        assert all(path.parent == folder and "--html" in " ".join(args) for path, _ in made)
        assert before.items() <= _files(tmp_path).items()
        for path, _ in made:
            path.unlink()

    holds()
