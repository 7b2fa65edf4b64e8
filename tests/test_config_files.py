"""Configuration files that the parser would misread are rejected in one line with the file and the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import RECIPES
from conftest import REPO

from lit_gen import fit
from lit_gen.cli.config_files import check_config_files
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
FILES: dict[str, tuple[bytes, str]] = {
    "UTF-16": ("budget: {}\n".encode("utf-16"), ", line 1: this is UTF-16 or no text; save the file as UTF-8"),
    "UTF-16 without a mark": (b"a\0:\0 \0b\0", ", line 1: this is UTF-16 or no text; save the file as UTF-8"),
    "Latin-1": (
        "budget:\n  # café\n".encode("latin-1"),
        ", line 2: the byte 0xe9 is not UTF-8, but perhaps Latin-1; save the file as UTF-8",
    ),
    "a key twice": (
        b"budget:\n  max_examples: 3\nema: {}\nbudget:\n  max_examples: 4\n",
        ", line 4: the key 'budget' stands in line 1 already; keep one of the two",
    ),
    "an inner key twice": (
        b"model:\n  init_args:\n    num_latents: 3\n    num_latents: 4\n",
        ", line 4: the key 'num_latents' stands in line 3 already; keep one of the two",
    ),
    "empty": (b"", " is empty; write options into it, such as 'budget: ...', or leave it out"),
    "comments alone": (b"# budget: 3\n", " is empty; write options into it, such as 'budget: ...', or leave it out"),
    "aliases": (BOMB.encode(), ", line 6: with its aliases, this has more than 100,000 values; shorten it"),
    "itself": (b"a: &a\n- *a\n", ", line 1: this value contains itself; write it out without an alias"),
    "depth": (b"[" * 5000, " is nested too deeply; correct it"),
    "syntax": (b"a: 1\nb: [c\n", ", line 3: not YAML: expected ',' or ']', but got '<stream end>'; correct it"),
    "control character": (b"a: 1\nb: \x07\n", ", line 2: not YAML: it has a control character; remove it"),
    "large": (b"#" * (2**20 + 1), " has 1,048,577 bytes, and a configuration at most 1,048,576; give a YAML file"),
}


@pytest.mark.parametrize(("content", "reason"), FILES.values(), ids=FILES.keys())
def test_a_bad_file_is_one_line_with_its_place(
    content: bytes, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    args = [f"--config={RECIPES['vae']}", "--config", str(file), f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    assert run_command(fit.main, args) == 2
    assert capsys.readouterr().err.splitlines() == [f"error: --config: {file}{reason}"]
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("form", ["--config={}", "--config {}", "-c {}"])
def test_all_forms_of_the_option_are_checked(form: str, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(UserError, match="is empty"):
        check_config_files(form.format(tmp_path / "empty.yaml").split())


def test_equal_keys_of_different_mappings_and_few_aliases_are_allowed(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("\ufeffa: &a {b: 1}\nc: {b: 2}\nd: *a\ne: *a\nf: caf\u00e9\n", encoding="utf-8")
    check_config_files(["--config", str(file), "--config", str(tmp_path / "absent.yaml"), "--config"])


def test_every_file_of_the_package_passes() -> None:
    files = sorted(REPO.glob("configs/**/*.yaml"))
    assert len(files) > 30
    check_config_files([f"--config={file}" for file in files if "sweeps" not in file.parts])
