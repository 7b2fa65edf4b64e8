"""The options of ``fit`` beside those of data, model and Trainer, and the Trainer's defaults."""

from __future__ import annotations

from typing import Any, Literal

from lightning.pytorch import Callback
from lightning.pytorch.cli import LightningArgumentParser

from lit_gen.callbacks import EMA, BestCheckpoint, Budget, Compile, SampleGrid, SampleQuality, Schedule
from lit_gen.runs.tracking import Wandb
from lit_gen.scoring.settings import Scoring

DESCRIPTION = (
    "Trains a generative model, scores it in a fresh Trainer, and writes the run's record."
    " Start from a recipe: --config configs/recipes/digits/vae.yaml; later options win."
    " To continue a run in its own folder: --resume RUN_FOLDER, with options to change, such as"
    " --budget.max_examples."
)

# Configurable callbacks, in their order in the Trainer. Budget is first, because others read its count.
CONFIGURABLE: dict[str, type[Callback]] = {
    "budget": Budget,
    "schedule": Schedule,
    "ema": EMA,
    "checkpoint": BestCheckpoint,
    "grid": SampleGrid,
    "quality": SampleQuality,
}

TRAINER_DEFAULTS: dict[str, Any] = {
    "max_epochs": -1,
    # No effective limit, but not -1: Lightning restores the loader's position in a run that was stopped
    # inside an epoch only if the number of steps is limited. The budget in examples ends a run.
    "max_steps": 10**15,
    "num_sanity_val_steps": 0,
    "use_distributed_sampler": False,
    "inference_mode": False,
    "log_every_n_steps": 50,
    "default_root_dir": "runs",
}


def add_fit_options(parser: LightningArgumentParser) -> None:
    """Adds lit_gen's own groups of options, one for the arguments of each class, and single options."""
    for name, callback in CONFIGURABLE.items():
        parser.add_class_arguments(callback, name)
    parser.add_class_arguments(Scoring, "scoring")
    parser.add_class_arguments(Wandb, "wandb")
    parser.add_argument(
        "--ckpt_path", type=str | None, default=None, help="Checkpoint that a run in a new folder continues."
    )
    parser.add_argument(
        "--weights",
        type=str | None,
        default=None,
        help="Checkpoint whose weights a new run starts from, also on other data: its average, if it has one.",
    )
    parser.add_argument(
        "--weights_kind",
        type=Literal["auto", "ema", "raw"],
        default="auto",
        help="Weights of that checkpoint: averaged (ema), raw, or averaged if there are any (auto).",
    )
    parser.add_argument(
        "--run_name", type=str | None, default=None, help="Name of this run's folder in trainer.default_root_dir."
    )
    parser.add_argument(
        "--compile",
        type=bool | Literal["inductor", "aot_eager"],
        default=False,
        help="Whether training steps run networks compiled by torch.compile, or by which of its backends. Validation,"
        " samples and scores run them uncompiled.",
    )
    parser.add_argument(
        "--tf32",
        type=bool,
        default=False,
        help="Whether float32 matrix products and convolutions on NVIDIA GPUs use TF32, in training and in scores,"
        " whose protocols then state it. No effect on other devices.",
    )
    parser.link_arguments("data.shape", "model.init_args.shape", apply_on="instantiate")
    parser.link_arguments("data.num_levels", "model.init_args.num_levels", apply_on="instantiate")


def compile_callbacks(option: Any) -> list[Callback]:
    """The callback that ``compile`` asks for, if it does."""
    if option is False:
        return []
    return [Compile("inductor" if option is True else option)]
