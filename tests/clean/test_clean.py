"""``lit-gen clean`` lists what is not needed, removes it only when asked, and never what is."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from commands import run_fit

from lit_gen.clean.__main__ import main
from lit_gen.clean.superfluous import find_superfluous
from lit_gen.cli.process import run_command

OLD, END, NEW = 3000.0, 2000.0, 1000.0  # ages in seconds


def write(path: Path, age: float = OLD, text: str = "x" * 2048) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def make_run(root: Path, name: str = "run", scored: str = "best-6.ckpt", finished: bool = True) -> Path:
    """A run that was stopped and resumed in its folder, with three best checkpoints."""
    run = root / name
    for file in ("best-3.ckpt", "best-6.ckpt", "best-9.ckpt", "best.ckpt", "interrupted.ckpt"):
        write(run / "checkpoints" / file)
    write(run / "checkpoints" / "last.ckpt", END)
    write(run / "checkpoints" / ".last.ckpt.abcdefgh.part")
    write(run / "samples" / "0000000100.png")
    write(run / "samples" / "final.png")
    write(run / "evaluations" / "last" / "record.json")
    write(run / "evaluations" / "last" / "samples" / "final.png")
    write(run / "config.yaml")
    write(run / "wandb" / "offline" / ".data.json.abcdefgh.part")
    if finished:
        write(run / "training.json", NEW, json.dumps({"selection": {"checkpoint": scored}}))
        write(run / "record.json", NEW)
    return run


def names(root: Path) -> list[str]:
    return [str(each.path.relative_to(root)) for each in find_superfluous(root)]


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


ALWAYS = ["checkpoints/.last.ckpt.abcdefgh.part"]
FINISHED = ["checkpoints/best-3.ckpt", "checkpoints/best-9.ckpt", "checkpoints/interrupted.ckpt"]
SAMPLES = ["evaluations/last/samples/final.png"]


def test_lists_and_removes_exactly_what_is_not_needed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path)
    before, wanted = files(run), [*ALWAYS, *FINISHED, *SAMPLES]
    assert names(run) == wanted
    main([str(tmp_path)])
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in printed[:-1]] == [str(run / name) for name in wanted]
    assert all(line.split()[:2] == ["2.0", "KiB"] for line in printed[:-1])
    assert printed[-1] == "5 files, 10.0 KiB; nothing was removed: --delete removes them"
    assert files(run) == before
    main([str(tmp_path), "--delete"])
    assert capsys.readouterr().out.splitlines()[-1] == "removed 5 files, 10.0 KiB"
    assert files(run) == before - set(wanted)
    main([str(tmp_path), "--delete"])
    assert "nothing to remove" in capsys.readouterr().out


def test_an_unfinished_run_keeps_all_checkpoints(tmp_path: Path) -> None:
    assert names(make_run(tmp_path, finished=False)) == [*ALWAYS, *SAMPLES]


def test_a_run_that_is_trained_further_keeps_all_checkpoints(tmp_path: Path) -> None:
    """Its last checkpoint is newer than the notes of its former end, and refers to the best ones."""
    run = make_run(tmp_path)
    write(run / "checkpoints" / "last.ckpt", NEW / 2)
    assert names(run) == [*ALWAYS, *SAMPLES]


def test_a_stop_after_the_last_checkpoint_is_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run / "checkpoints" / "interrupted.ckpt", END / 2)
    assert "checkpoints/interrupted.ckpt" not in names(run)


def test_without_the_scored_checkpoint_the_others_are_kept(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    (run / "checkpoints" / "best-6.ckpt").unlink()
    assert "checkpoints/best-3.ckpt" not in names(run)


@pytest.mark.parametrize("notes", ["", "[]", "{}", '{"selection": 3}'])
def test_damaged_notes_are_no_reason_to_remove_anything(notes: str, tmp_path: Path) -> None:
    run = make_run(tmp_path)
    write(run / "training.json", NEW, notes)
    assert names(run) == [*ALWAYS, *SAMPLES]


def test_a_young_temporary_file_may_still_be_being_written(tmp_path: Path) -> None:
    write(tmp_path / ".leaderboard.html.abcdefgh.part", age=60)
    write(tmp_path / ".record.json.abcdefgh.part", age=700)
    assert names(tmp_path) == [".record.json.abcdefgh.part"]


def test_links_are_neither_followed_nor_removed(tmp_path: Path) -> None:
    elsewhere = make_run(tmp_path / "elsewhere")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(elsewhere)
    (root / ".last.ckpt.abcdefgh.part").symlink_to(elsewhere / "checkpoints" / "best.ckpt")
    assert names(root) == []


def test_files_outside_of_runs_are_none_of_its_business(tmp_path: Path) -> None:
    for name in ("checkpoints/best-3.ckpt", "checkpoints/interrupted.ckpt", ".settings.template"):
        write(tmp_path / "mine" / name)
    assert names(tmp_path) == []


def test_a_real_run_has_nothing_to_remove_but_further_best_checkpoints(tmp_path: Path) -> None:
    folder = run_fit("vae", tmp_path, "run", "--checkpoint.save_top_k=-1")
    best = sorted(path.name for path in (folder / "checkpoints").glob("best-*.ckpt"))
    scored = json.loads((folder / "training.json").read_text())["selection"]["checkpoint"]
    assert len(best) == 2
    assert names(folder) == [f"checkpoints/{name}" for name in best if name != scored]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "clean takes one folder of runs"),
        (["a", "b"], "clean takes one folder of runs"),
        (["no-such"], "there is no folder no-such"),
        (["runs", "--delte"], "unknown option --delte; did you mean 'delete'?"),
    ],
)
def test_wrong_input_is_one_line(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(main, args) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {message}")
