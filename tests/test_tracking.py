"""Weights & Biases: online only where it can be, offline otherwise, never in the way of a run."""

from __future__ import annotations

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import run_fit, the_record
from conftest import REPO
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only
from offline_runs import inspect, read_offline_run

from lit_gen.errors import UserError
from lit_gen.runs import tracking
from lit_gen.runs.tracking import Wandb

STAND_IN = REPO.parent / "shared" / "tools" / "wandb_loopback"
KEY = "a" * 40


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user without a key, a mode or a server of their own."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


@pytest.fixture
def client(bare: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same, and a client that reads the environment anew."""
    import wandb

    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    wandb.teardown()
    yield bare
    wandb.teardown()


@pytest.fixture
def mute_server() -> Iterator[str]:
    """The address of a server that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


# ---------------------------------------------------------------- online or not


@pytest.mark.parametrize(
    ("asked", "mode"),
    [
        ("disabled", "disabled"),
        ("offline", "offline"),
        ("dryrun", "offline"),
        ("run", "online"),
        ("online", "online"),
    ],
)
def test_the_environment_decides_before_the_key(
    bare: Path, monkeypatch: pytest.MonkeyPatch, asked: str, mode: str
) -> None:
    monkeypatch.setenv("WANDB_MODE", asked)
    assert Wandb().resolved_mode() == mode
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert Wandb().resolved_mode() == mode
    assert Wandb(mode="offline").resolved_mode() == "offline"


def test_online_only_with_a_key_for_this_server(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Wandb().resolved_mode() == "offline"
    (bare / "netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    assert Wandb().resolved_mode() == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org")
    assert Wandb().resolved_mode() == "offline"
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert Wandb().resolved_mode() == "online"


def test_bad_wishes_are_told(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"wandb.mode is 'ofline'.*did you mean 'offline'"):
        Wandb(mode="ofline")
    with pytest.raises(
        UserError, match=r"wandb\.upload_timeout is 0"
    ):  # which the client takes for "for ever"
        Wandb(upload_timeout=0)
    with pytest.raises(UserError, match="wandb: Invalid project name 'a/b'"):
        tracking.loggers(client, Wandb(mode="offline", project="a/b"), {})
    with pytest.raises(UserError, match="Tags must be between"):
        tracking.loggers(client, Wandb(mode="offline", tags=["x" * 65]), {})
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(UserError, match=r"WANDB_MODE is 'onlin'.*did you mean 'online'"):
        Wandb().resolved_mode()


def test_other_processes_start_no_run(client: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    found = tracking.loggers(client, Wandb(mode="offline"), {})
    assert [type(logger).__name__ for logger in found] == ["MetricsFile", "WandbLogger"]
    tracking.write_summary(found, {"val/bpd": 1.0})
    tracking.finish(found)
    assert not list(client.rglob("*run-*"))


# ---------------------------------------------------------------- what a run holds


def test_an_offline_run_holds_curves_axis_and_summary(client: Path) -> None:
    folder = client / "vae-digits-1"
    folder.mkdir()
    found = tracking.loggers(folder, Wandb(mode="offline", tags=["t"]), {"model": {"lr": 1.0e-3}})
    values = [3.0, 2.0, 2.5]
    for step, value in enumerate(values):
        found[1].log_metrics({"val/bpd": value, "examples_seen": 100.0 * step}, step=step)
    tracking.write_summary(found, {"val/bpd": 2.0, "test/bpd": 2.1})
    tracking.finish(found)

    shown, run = json.loads(inspect(folder, "--summary")), read_offline_run(folder)
    assert (shown["name"], shown["project"], shown["tags"]) == ("vae-digits-1", "lit_gen", ["t"])
    assert (shown["state"], shown["exit_code"]) == ("finished", 0)
    assert shown["config"]["model"]["lr"] == 1.0e-3
    assert shown["summary"]["val/bpd"] == 2.0, "the best, not the last"
    assert shown["summary"]["test/bpd"] == 2.1
    assert run.column("val/bpd") == values
    assert run.axes["val/*"] == run.axes["train/*"] == "examples_seen"


def test_fit_puts_the_best_score_the_record_and_pictures_there(client: Path) -> None:
    # The score falls from validation to validation; asked for the largest, the run must choose the first.
    folder = run_fit(
        "vae", client, "run", "--wandb.mode=offline", "--checkpoint.mode=max", "--budget.max_examples=3000"
    )
    record = the_record(client)
    shown = json.loads(inspect(folder, "--summary"))["summary"]
    run = read_offline_run(folder)
    bpd = run.column("val/bpd")
    assert len(bpd) == 3
    assert bpd[-1] < max(bpd), "the test is void where the last is the chosen one"
    assert shown["val/bpd"] == pytest.approx(max(bpd))
    assert shown["val/bpd"] == pytest.approx(record.selection.value)
    for score in record.scores:
        split = score.protocol.split or "samples"
        matching = [value for name, value in shown.items() if name.startswith(f"{split}/{score.name}")]
        assert score.value in [pytest.approx(value) for value in matching], score.name
    assert len(run.column("samples._type")) == len(bpd)
    images = run.column("examples_seen")
    assert images == sorted(images)
    assert images[-1] == 3000


# ---------------------------------------------------------------- servers that do not answer


def test_a_closed_port_makes_the_run_an_offline_one(
    client: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{free_port()}")
    since = time.monotonic()
    found = tracking.loggers(client, Wandb(timeout=2.0), {})
    assert time.monotonic() - since < 30, "the client's own patience is 90 s"
    found[1].log_metrics({"val/bpd": 2.0}, step=1)
    tracking.finish(found)
    assert read_offline_run(client).column("val/bpd") == [2.0]
    assert "W&B cannot be reached" in capsys.readouterr().out


def test_a_mute_server_holds_up_neither_start_nor_exit(bare: Path, mute_server: str) -> None:
    code = f"""
import sys
from pathlib import Path
from lit_gen.runs import tracking
assert "wandb" not in sys.modules, "--help would pay for it"
found = tracking.loggers(Path({str(bare)!r}), tracking.Wandb(timeout=2.0), {{}})
assert type(found[1]).__name__ == "WandbLogger"
found[1].log_metrics({{"val/bpd": 2.0}}, step=1)
tracking.finish(found)
print("ended", flush=True)
"""
    environment = {**os.environ, "WANDB_API_KEY": KEY, "WANDB_BASE_URL": mute_server}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
    ) as run:
        assert run.stdout is not None
        lines = list(itertools.takewhile(lambda line: line != "ended\n", run.stdout))
        since = time.monotonic()
        run.wait(timeout=60)
        assert time.monotonic() - since < 12, "something still waits for the server; it was 24 s"
    assert run.returncode == 0
    assert any("W&B cannot be reached" in line for line in lines)
    assert read_offline_run(bare).column("val/bpd") == [2.0]


@pytest.mark.slow
def test_a_server_that_dies_does_not_hold_up_the_end(
    client: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not STAND_IN.is_dir():
        pytest.skip(f"needs the stand-in server at {STAND_IN}")
    command = [sys.executable, str(STAND_IN / "server.py"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        monkeypatch.setenv("WANDB_BASE_URL", server.stdout.readline().split()[-1])
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        found = tracking.loggers(client, Wandb(upload_timeout=3.0), {})
        server.kill()
    assert isinstance(found[1], WandbLogger)
    assert not found[1].experiment.offline
    found[1].log_metrics({"val/bpd": 2.0}, step=1)
    since = time.monotonic()
    tracking.finish(found)
    assert time.monotonic() - since < 20
    assert "to send the rest: wandb sync" in capsys.readouterr().out
