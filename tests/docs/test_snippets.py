"""Every command and Python snippet of the README and the docs runs, or, where a comment says why not, parses.

Commands that train or score are run with small counts behind their own options; all else is run as it stands.
``runs/<run>`` is a run of the digits' VAE, ``runs/<other>`` another, ``CHECKPOINT`` the first one's.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from commands import SMALL
from conftest import REPO
from PIL import Image
from snippets import PAGES, Snippet, commands, snippets

from lit_gen import fit
from lit_gen.__main__ import COMMANDS, main
from lit_gen.cli.command_line import CLI
from lit_gen.cli.sampling_options import parse
from lit_gen.compare.__main__ import _parsed
from lit_gen.entries.foreign import names_entry
from lit_gen.entries.foreign import parser as entry_parser
from lit_gen.errors import UserError

ALL = snippets()
FEW = ["--scoring.num_samples=40", "--scoring.max_examples=40", "--scoring.draws=1"]
BRIEF = [*SMALL, *FEW, "--budget.max_examples=300", "--data.batch_size=20"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a user: the checkout's files, and what the pages' earlier blocks left."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("configs", "sweeps", "docs", "tests", "pyproject.toml", "constraints.txt"):
        (folder / name).symlink_to(REPO / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        yield folder


def trained(name: str, family: str) -> Path:
    """A run of a family's recipe on the digits, trained once."""
    folder = Path("runs") / name
    if not folder.is_dir():
        recipe = REPO / f"configs/recipes/digits/{family}.yaml"
        options = [*BRIEF, "--trainer.default_root_dir=runs", f"--run_name={name}"]
        options += ["--model.nets=MLPDenoiser"] if family == "diffusion" else []
        fit.main(["--config", str(recipe), *options])
    return folder


def filled(snippet: Snippet) -> str:
    """The code with names of runs in place of what stands for them."""
    family = snippet.marks.get("with", "vae")
    code = snippet.code
    if "CHECKPOINT" in code:
        code = code.replace("CHECKPOINT", str(trained(family, family) / "checkpoints/best.ckpt"))
    if "<run>" in code:
        code = code.replace("<run>", trained(family, family).name)
    return code.replace("<other>", trained("other", "vae").name) if "<other>" in code else code


def bring(what: str) -> None:
    """Makes the data that a block needs."""
    if what == "images":
        Path("images").mkdir()
        for i, x in enumerate(np.random.default_rng(0).integers(256, size=(60, 20, 24, 3), dtype=np.uint8)):
            Image.fromarray(x).save(f"images/{i}.png")
    if what == "samples":
        np.savez("samples.npz", samples=np.random.default_rng(0).integers(17, size=(40, 1, 8, 8)))
        Path("nats.csv").write_text("".join(f"{nats}\n" for nats in np.random.default_rng(0).normal(100, 9, 447)))
    if what == "text":
        Path("text.txt").write_text("It was the best of times, it was the worst of times. " * 80)


def run(command: list[str]) -> None:
    """Runs a command in this process."""
    assert command[0] == "lit-gen", f"a block with {command[0]} must say why it is not run"
    name, *args = command[1:]
    if name == "fit" and "--resume" not in args:
        args += [*BRIEF, "--trainer.default_root_dir=runs"]
    if names_entry(args):
        args += ["--trainer.default_root_dir=runs", "--scoring.num_samples=40"]
    elif name == "evaluate":
        args += [*FEW, *(["--scoring.max_examples=4"] if "--scoring.estimator=ode" in args else [])]
    assert not main([name, *args])


@pytest.mark.parametrize("snippet", [s for s in ALL if s.is_run], ids=lambda s: s.name)
def test_snippet_runs(snippet: Snippet, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = filled(snippet)
    if "file" in snippet.marks:
        (place / snippet.marks["file"]).write_text(code)
        compile(code, snippet.marks["file"], "exec")
    elif snippet.language == "python":
        exec(compile(code, snippet.name, "exec"), {"__name__": "snippet"})
        assert capsys.readouterr().out
    else:
        bring(snippet.marks.get("needs", ""))
        for command in commands(code):
            run(command)


# ------------------------------------------------------------------ blocks that are not run


def parsed(args: list[str]) -> None:
    """Parses options of ``fit`` by the real parser, which builds nothing."""
    with pytest.raises(SystemExit) as end:
        CLI([*args, "--print_config"])
    assert end.value.code == 0


def check_lit_gen(name: str, args: list[str]) -> None:
    """A command of lit_gen has options that exist, and names files that exist."""
    assert name in COMMANDS
    if name == "fit" and "--resume" not in args:
        parsed(args)
    elif names_entry(args):
        _, rest = entry_parser().split(args)
        parsed(["--config=configs/base.yaml", "--config=configs/data/folder.yaml", "--model=VAE", *rest])
    elif name == "evaluate":
        _, rest = parse(args[1:])
        parsed(["--config=configs/recipes/digits/diffusion.yaml", *rest])
    elif name == "compare":
        own, rest = _parsed(args)
        assert own["minutes"] > 0
        assert all(option.startswith("--data.path") for option in rest)
    elif name == "convert":
        with pytest.raises(UserError, match=re.escape(args[0])):  # all that is missing is the folder itself
            main([name, *args])


def check(command: list[str]) -> None:
    """A command of any program has options and files that exist."""
    program, *args = command
    if program == "lit-gen":
        check_lit_gen(args[0], args[1:])
    elif program == "torchrun":
        from torch.distributed.run import get_args_parser

        options = get_args_parser().parse_args(args)
        assert options.training_script.startswith("lit_gen.")
        check_lit_gen(options.training_script.removeprefix("lit_gen."), options.training_script_args)
    elif program == "wandb":
        cli = pytest.importorskip("wandb.cli.cli").cli
        cli.commands[args[0]].make_context(args[0], args[1:])
        for file in (arg for arg in args if arg.endswith(".yaml")):
            assert yaml.safe_load(Path(file).read_text())["command"]
    elif program == "python" and args[0] == "-m":
        assert importlib.util.find_spec(args[1])
    elif program == "python":
        script = Path(args[0]).read_text()
        assert all(f'"{option}"' in script for option in args[1:] if option.startswith("--"))
    elif program.endswith("pip") and "-c" in args:
        extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert Path(args[args.index("-c") + 1]).is_file()
        assert not (named := re.search(r"\[(\w+)\]", args[-1])) or named[1] in extras
    else:
        assert program in SHELL | SLURM or shutil.which(program), program


SHELL = {"docker", "complete", "export", "unset", "pip", "exit", "compgen", "[", "options=", "code=$?", "code=1"}
SLURM = {"srun", "scontrol", "run=runs/cifar-ddpm"}


@pytest.mark.parametrize("snippet", [s for s in ALL if "not run" in s.marks], ids=lambda s: s.name)
def test_snippet_that_is_not_run_says_why_and_parses(snippet: Snippet, place: Path) -> None:
    assert len(snippet.marks["not run"]) > 8
    if snippet.language == "python":
        ast.parse(snippet.code)
        return
    subprocess.run(["bash", "-n"], input=snippet.code, text=True, check=True)
    if "#SBATCH" in snippet.code:
        (options,) = re.findall(r"options=\((--config .*)\)", snippet.code)
        parsed(options.split())
        return
    for command in commands(snippet.code):
        check(command)


def test_blocks_of_other_languages_hold_no_commands() -> None:
    for page in PAGES:
        languages = re.findall(r"^```([\w{}-]+)", page.read_text(), re.MULTILINE)
        assert set(languages) <= {"bash", "python", "{literalinclude}", "{toctree}", "{eval-rst}", "toml"}, page.name


def test_most_snippets_are_run() -> None:
    assert sys.version_info >= (3, 11)
    assert len([s for s in ALL if s.is_run]) > 2 * len([s for s in ALL if "not run" in s.marks])
