"""``lit-gen fit --help``: the options that matter first. Importing this is cheap, since it is text."""

from __future__ import annotations

from collections.abc import Sequence

START = """Start with a recipe; the data of the first need no download:

  lit-gen fit --config configs/recipes/digits/vae.yaml
  lit-gen fit --config configs/recipes/digits/vae.yaml --model.optimizer.lr=1.0e-3 --trainer.default_root_dir=runs
  lit-gen fit --config configs/base.yaml --config configs/data/mnist.yaml --config configs/families/vae/vae.yaml

lit-gen list        recipes, models, data sets, feature spaces and statistics
lit-gen help VAE    the arguments of a model, data module, statistic or network
"""

# Options with what they do and their defaults, which tests hold to the parser's.
OPTIONS: dict[str, list[tuple[str, str, str]]] = {
    "what is trained": [
        ("--config FILE", "", "options from a YAML file, of the disk or the package; later ones win"),
        ("--model CLASS", "", "the model, with its arguments as --model.num_latents=16: lit-gen help VAE"),
        ("--model.optimizer CLASS", "", "any of torch.optim or lit_gen.optim, as --model.optimizer.lr=3.0e-4"),
        ("--data CLASS", "", "the data, with their arguments as --data.batch_size=64: lit-gen list data"),
        ("--data.path PATH", "", "folder of your own images or recordings, file of text, or name on the hub"),
    ],
    "how long, and where": [
        ("--budget.max_examples N", "", "training ends at this number of examples, repetitions counted"),
        ("--trainer.accelerator NAME", "auto", "cpu, cuda, mps, or whatever there is"),
        ("--trainer.devices N", "auto", "number of devices, each with a process of its own"),
        ("--trainer.precision NAME", "32-true", "bf16-mixed is faster where lit-gen doctor says so"),
        ("--compile BOOL", "false", "whether training steps are compiled"),
        ("--seed_everything SEED", "0", "seed of the training"),
        ("--trainer.default_root_dir DIR", "runs", "folder of all runs"),
        ("--run_name NAME", "null", "folder of this run; model, data and time if not given"),
        ("--resume RUN", "", "continues a run in its folder; options given beside it change it"),
        ("--weights CHECKPOINT", "null", "starts from these weights, also on other data"),
    ],
    "validation and scores": [
        ("--trainer.check_val_every_n_epoch N", "1", "epochs from one validation to the next"),
        ("--checkpoint.monitor SCORE", "null", "what the best checkpoint is chosen by; the family's own if null"),
        ("--ema.halflife_examples N", "", "halflife of the averaged weights, in examples; null for none"),
        ("--quality.extractor CLASS", "", "feature space of sample scores: lit-gen list spaces"),
        ("--quality.statistics+ CLASS", "", "a further statistic: lit-gen list statistics"),
        ("--scoring.num_samples N", "1000", "samples behind the final scores"),
        ("--scoring.estimator NAME", "null", "estimator of the likelihood, such as elbo or iwae"),
    ],
    "output": [
        ("--wandb.mode MODE", "auto", "online, offline or disabled"),
        ("--quiet", "", "scores, warnings and errors alone, for every command"),
        ("--print_config", "", "prints what all options come to, as a file for --config"),
    ],
}

HEAD = "usage: python -m lit_gen.fit --config FILE [--config FILE ...] [--SECTION.OPTION=VALUE ...]"


def is_short_help(args: Sequence[str]) -> bool:
    """Whether a command line asks for the short help."""
    return not {"-h", "--help"}.isdisjoint(args)


def without_value(args: Sequence[str]) -> list[str]:
    """The command line with ``--help=all`` as the parser has it."""
    return ["--help" if arg == "--help=all" else arg for arg in args]


def short_help() -> str:
    """Text of ``fit --help``."""
    width = max(len(name) for options in OPTIONS.values() for name, _, _ in options)
    lines = [HEAD, "", "Trains a generative model, scores it in a fresh Trainer, and writes the run's record.", ""]
    for heading, options in OPTIONS.items():
        lines.append(f"{heading}:")
        lines += [
            f"  {name:<{width}}  {text}" + (f" ({default})" if default not in ("", "null") else "")
            for name, default, text in options
        ]
        lines.append("")
    return "\n".join([*lines, "All options, the Trainer's too: lit-gen fit --help=all", "", START])


def names_a_run(args: Sequence[str]) -> bool:
    """Whether a command line says what to train at all."""
    return any(arg == "-c" or arg.startswith(("--config", "--model", "--data", "--resume", "--print")) for arg in args)
