"""A checkpoint is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import REPO

from lit_gen.errors import FileError
from lit_gen.records.atomic import leftovers, write_atomically
from lit_gen.runs.checkpoint_file import WholeCheckpointIO, remove_leftovers

CONTENT = {"state_dict": {"w": torch.arange(50_000.0)}, "global_step": 7}

KILLED = """
import sys, time
import torch
from pathlib import Path
from lit_gen.runs import checkpoint_file

class Slow(checkpoint_file._Sink):
    def write(self, data):
        before = self.file.tell()
        count = super().write(data)
        if before <= {at} <= self.file.tell():
            print("there", flush=True)
            time.sleep(60)
        return count

checkpoint_file._Sink = Slow
new = {{"state_dict": {{"w": torch.ones(50_000)}}, "global_step": 8}}
checkpoint_file.WholeCheckpointIO().save_checkpoint(new, Path(sys.argv[1]))
"""


def loaded(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(file, weights_only=True)
    return content


@pytest.mark.parametrize("at", [0, 1000, 190_000])
def test_a_kill_while_writing_leaves_the_previous_file_whole(at: int, tmp_path: Path) -> None:
    """SIGKILL at the first byte, inside the tensor and near the end of about 200,000 bytes."""
    file = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(CONTENT, file)
    before = file.read_bytes()
    command = [sys.executable, "-c", KILLED.format(at=at), str(file)]
    environment = {**os.environ, "PYTHONPATH": str(REPO), "CUDA_VISIBLE_DEVICES": ""}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert file.read_bytes() == before
    assert loaded(file)["global_step"] == 7
    (left,) = leftovers(file.parent, 0)
    assert leftovers(file.parent) == [], "it may still be being written"
    remove_leftovers(tmp_path, None)
    assert not left.exists()
    assert sorted(file.parent.iterdir()) == [file]


def test_what_is_written_is_what_torch_would_write(tmp_path: Path) -> None:
    WholeCheckpointIO().save_checkpoint(CONTENT, tmp_path / "a.ckpt")
    WholeCheckpointIO().save_checkpoint(CONTENT, tmp_path / "a.ckpt")
    assert torch.equal(loaded(tmp_path / "a.ckpt")["state_dict"]["w"], CONTENT["state_dict"]["w"])  # type: ignore[index]
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]
    assert (tmp_path / "a.ckpt").stat().st_mode & 0o777 == 0o644


class _Disk:
    """Stands for a file on a disk with room for some bytes."""

    def __init__(self, file: Any, room: int, code: int) -> None:
        self.file, self.room, self.code = file, room, code

    def write(self, data: memoryview) -> int:
        if not self.room:
            raise OSError(self.code, os.strerror(self.code))
        taken = min(len(data), self.room)
        self.room -= taken
        return int(self.file.write(data[:taken]))


@pytest.mark.parametrize("room", [0, 1, 1000, 190_000])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_leaves_the_previous_file_and_no_other(
    room: int, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lit_gen.runs import checkpoint_file

    file = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpointIO().save_checkpoint(CONTENT, file)
    before, sink = file.read_bytes(), checkpoint_file._Sink
    monkeypatch.setattr(checkpoint_file, "_Sink", lambda raw: sink(_Disk(raw, room, code)))
    with pytest.raises(FileError, match=f"cannot write {file}: {os.strerror(code)}; .*folder") as error:
        WholeCheckpointIO().save_checkpoint(CONTENT, file)
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(" (trainer.default_root_dir)")
    assert error.value.exit_code == 1
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_the_name_is_given_only_to_what_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content first, then the name, then the folder; a failing first synchronization leaves the previous file."""
    steps: list[str] = []
    sync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append(_kind(handle)), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda old, new: (steps.append("rename"), replace(old, new)))
    WholeCheckpointIO().save_checkpoint(CONTENT, tmp_path / "a.ckpt")
    assert steps == ["file", "rename", "folder"]
    before = (tmp_path / "a.ckpt").read_bytes()

    def failing(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(FileError, match=r"a\.ckpt: Input/output error; the disk failed"):
        WholeCheckpointIO().save_checkpoint(CONTENT, tmp_path / "a.ckpt")
    assert (tmp_path / "a.ckpt").read_bytes() == before


def _kind(handle: int) -> str:
    return "folder" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"


def test_a_run_folder_that_was_deleted_is_not_created_again(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"last\.ckpt: No such file or directory; was its folder deleted"):
        WholeCheckpointIO().save_checkpoint(CONTENT, tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert not (tmp_path / "run").exists()


def test_leftovers_in_another_run_s_folder_are_removed_once_they_are_old(tmp_path: Path) -> None:
    old = tmp_path / "old" / "checkpoints"
    old.mkdir(parents=True)
    others = [".best.ckpt.12_4abcd.part", ".hidden.template", ".last.ckpt.abcdefgh", "last.ckpt", "last.ckpt.part"]
    for name in (".last.ckpt.abcdefgh.part", *others):
        (old / name).write_text("")
    long_ago = time.time() - 3600
    for name in (".last.ckpt.abcdefgh.part", *others[1:]):
        os.utime(old / name, (long_ago, long_ago))
    remove_leftovers(tmp_path / "new", old / "last.ckpt")
    assert sorted(file.name for file in old.iterdir()) == others


def test_text_files_report_their_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *args: Any, **kwargs: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space") as error:
        write_atomically(tmp_path / "record.json", "{}")
    assert error.value.filename == str(tmp_path / "record.json")
    assert not list(tmp_path.iterdir())
