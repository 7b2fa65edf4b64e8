"""``docs/results/run.py`` goes on where it was stopped, and past what fails."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from results_scripts import first_record, listing, run

from lit_gen.records.record import write_record


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """``run.py`` in an empty folder, with commands that copy a record, and fail for seed 1; the calls."""
    source = first_record()
    calls: list[str] = []
    monkeypatch.setattr(run, "REPO", tmp_path)
    monkeypatch.setattr(listing.Listed, "record", lambda self, seed: tmp_path / "kept" / self.folder(seed) / "r.json")

    def call(command: list[str], log: Path, threads: int) -> None:
        calls.append(" ".join(command))
        if "--seed_everything=1" in command:
            raise run.subprocess.CalledProcessError(1, command)
        write_record(log.with_suffix("") / "record.json", source)

    monkeypatch.setattr(run, "_call", call)
    return calls


def test_a_failed_run_does_not_stop_the_others_and_is_tried_again(
    fake: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run.main(["--only", "digits-vae"]) == 1
    said = capsys.readouterr()
    assert [("done" in line, "failed" in line) for line in said.out.splitlines() if "started" not in line] == [
        (True, False), (False, True), (True, False)
    ]
    assert "failed: digits-vae-1" in said.err
    fake.clear()
    assert run.main(["--only", "digits-vae"]) == 1
    assert len(fake) == 1, "what is kept is not run again"
    assert run.main(["--only", "digits-vae", "--seeds", "0", "--again"]) == 0


def test_a_stopped_run_goes_on(fake: list[str], tmp_path: Path) -> None:
    folder = tmp_path / run.WORK / "digits-vae-0"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints/last.ckpt").touch()
    assert run.main(["--only", "digits-vae", "--seeds", "0"]) == 0
    assert fake == ["python -m lit_gen.fit --resume runs/results/digits-vae-0"]


def test_a_trained_run_is_scored_alone(fake: list[str], tmp_path: Path) -> None:
    folder = tmp_path / run.WORK / "digits-vae-0"
    folder.mkdir(parents=True)
    (folder / "training.json").touch()
    assert run.main(["--only", "digits-vae", "--seeds", "0"]) == 0
    assert fake == ["python -m lit_gen.evaluate runs/results/digits-vae-0/checkpoints/best.ckpt"]


def test_a_signal_reaches_the_command_and_stops_the_queue(tmp_path: Path) -> None:
    """The command has a session of its own: a terminal's Ctrl-C would otherwise reach it twice."""
    log, parent = tmp_path / "log", os.getpid()
    wait = (
        f"import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: (print('stopped'), exit(143)));"
        f"os.kill({parent}, signal.SIGTERM); time.sleep(60)"
    )
    with pytest.raises(SystemExit) as end:
        run._call(["python", "-c", wait], log, 1)
    assert end.value.code == 128 + signal.SIGTERM
    assert log.read_text().splitlines()[-1] == "stopped"
    with pytest.raises(run.subprocess.CalledProcessError):
        run._call(["python", "-c", "exit(3)"], log, 1)


def test_dry_run_and_unknown_names(fake: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--dry-run", "--only", "digits-flow-matching-classes"]) == 0
    said = capsys.readouterr().out
    assert "evaluate runs/results/digits-flow-matching-classes-0/checkpoints/best.ckpt --guidance 0 1 1.5 2 4" in said
    assert run.main(["--only", "digits-vea"]) == 2
    assert "there is no run 'digits-vea'; did you mean 'digits-vae'" in capsys.readouterr().err
    assert not fake
