"""``python -m lit_gen.convert FOLDER --data CONFIG.yaml``: converts a published DDPM into a run."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from lit_gen.cli.arguments import Arguments, path_first
from lit_gen.cli.process import configure_process, run_command
from lit_gen.cli.shipped import shipped_file
from lit_gen.convert.architecture import attended, model_config, shape_of
from lit_gen.convert.published import SCHEDULER, Published, read_folder
from lit_gen.errors import UserError

USAGE = """usage: python -m lit_gen.convert FOLDER --data CONFIG.yaml [--out RUN_FOLDER] [--averaged]
                                 [--SECTION.OPTION=VALUE ...]

Converts a DDPM that was published for diffusers, and writes a run's folder that lit_gen.evaluate scores and
lit_gen.sample samples like any other; on the leaderboard it is listed with the models trained here. Nothing is
downloaded, and diffusers is not needed.

  hf download google/ddpm-cifar10-32 --local-dir ddpm-cifar10-32
  python -m lit_gen.convert ddpm-cifar10-32 --data configs/data/cifar10.yaml
  python -m lit_gen.evaluate runs/<run>/checkpoints/pretrained.ckpt --scoring.num_samples=50000

FOLDER              a pipeline (model_index.json, unet/, scheduler/), or a UNet2DModel alone (config.json,
                    diffusion_pytorch_model.safetensors or .bin, scheduler_config.json); without a scheduler's file, the
                    defaults of diffusers' DDPMScheduler are used, and the command says so
--data CONFIG.yaml  the data to score the model with, such as configs/data/cifar10.yaml, in the network's image size
--out RUN_FOLDER    a new folder; ddpm-<data>-<date>-<time> below trainer.default_root_dir if not given
--averaged          the weights are an average over training, such as google/ddpm-ema-church-256: scores then say "ema
                    weights", of an unknown halflife. Else they say "raw weights"

The cost of training is unknown: it is missing in the record, and the leaderboard shows n/a. Networks and processes
that lit_gen does not support are rejected. Other options are those of lit_gen.fit (python -m lit_gen.fit --help),
such as --model.init_args.sampling.steps=250 or --quality.extractor=null."""


@dataclass(frozen=True)
class Options:
    """The command's own options.

    Attributes:
        data: YAML file of the data.
        out: The run's folder; None for a new one in the Trainer's root.
        averaged: Whether the weights are an average.
    """

    data: Path
    out: Path | None
    averaged: bool


def parse(args: list[str]) -> tuple[Options, list[str]]:
    """Parses the command's own options; returns them and those of ``lit_gen.fit`` in their order.

    Raises:
        UserError: If no data are given, or a file is missing, or the folder exists.
    """
    parser = Arguments()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--averaged", action="store_true")
    found, rest = parser.split(args)
    if found["data"] is not None and not found["data"].exists():
        found["data"] = shipped_file(str(found["data"])) or found["data"]
    options = Options(**found)
    if options.data is None or not options.data.is_file():
        given = "which data?" if options.data is None else f"there is no file {options.data};"
        raise UserError(f"--data: {given} give a YAML file, such as configs/data/cifar10.yaml")
    if options.out is not None and options.out.exists():
        raise UserError(f"--out: {options.out} exists already; give a new folder")
    return options, rest


def convert(folder: Path, options: Options, rest: list[str]) -> Path:
    """Converts a folder; nothing is written before everything is read, validated and converted.

    Args:
        folder: Folder in the format of diffusers.
        options: The command's own options.
        rest: Options of ``lit_gen.fit``.

    Returns:
        Path of the checkpoint.

    Raises:
        UserError: If the folder, its model or the data are invalid or not supported.
    """
    published = read_folder(folder)
    model, shape = model_config(published), shape_of(published)
    attends = attended(published.net, published.net_file)
    # Errors of the folder are reported without importing torch and Lightning.
    from lit_gen.convert.converted_run import Converting, make_folder, write_run
    from lit_gen.convert.state_dict import read_weights, translated

    tensors = read_weights(published.weights)
    configure_process(rest)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"model": model}, file)
        file.flush()
        cli = Converting([f"--config={options.data}", f"--config={file.name}", *rest], model, shape, folder)
    state = translated(tensors, cli.model.net, attends, published.net.layers_per_block, published.weights)
    state = {f"net.{name}": tensor for name, tensor in state.items()}
    path = write_run(cli.as_run(), state, published, make_folder(cli, options.out), options.averaged)
    _report(published, path)
    return path


def _report(published: Published, path: Path) -> None:
    if published.process_file is None:
        print(f"no {SCHEDULER} there: using diffusers' default, {published.process}")
    print(f"run          {path.parent.parent}")
    print(f"checkpoint   {path}")
    print(f"to score it  python -m lit_gen.evaluate {path}")


def main(args: list[str]) -> None:
    """Runs the command."""
    path = path_first(args, USAGE, "which folder? give its path first")
    if path is None:
        return
    options, rest = parse(args[1:])
    convert(path, options, rest)


if __name__ == "__main__":
    sys.exit(run_command(main, sys.argv[1:]))
