"""The LightningCLI of ``fit`` and ``evaluate``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import yaml
from lightning.fabric.plugins import CheckpointIO
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import lit_gen.families
import lit_gen.metrics
import lit_gen.nets  # noqa: F401
from lit_gen.callbacks import (
    EMA,
    BestCheckpoint,
    Budget,
    Curves,
    Interrupt,
    KeepConfig,
    KeepMetrics,
    ProgressBar,
    Rescue,
    SameBuffers,
    SampleGrid,
    SampleQuality,
    Schedule,
    StepSeed,
    Throughput,
)
from lit_gen.cli import checks
from lit_gen.cli.messages import explain
from lit_gen.cli.optimizer_checks import check_optimizers, check_resume
from lit_gen.cli.parser import Parser
from lit_gen.cli.run_folder import make_run_folder
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.runs import tracking
from lit_gen.runs.checkpoint_file import WholeCheckpointIO
from lit_gen.runs.run import Run
from lit_gen.scoring.settings import Scoring
from lit_gen.stopping.trainers import take_over

# Lightning 2.6 uses deprecated functions of jsonargparse, which is its concern (pyproject.toml pins jsonargparse).
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")


# Configurable callbacks, in their order in the Trainer. Budget is first, because others read its count.
_CALLBACKS: dict[str, type[Callback]] = {
    "budget": Budget,
    "schedule": Schedule,
    "ema": EMA,
    "checkpoint": BestCheckpoint,
    "grid": SampleGrid,
    "quality": SampleQuality,
}

# Trainer options that apply to training only; a score is computed on the whole split.
_ONLY_SCORING = {
    "logger": False,
    "enable_checkpointing": False,
    "max_epochs": None,
    "limit_test_batches": 1.0,
    "fast_dev_run": False,
    "overfit_batches": 0.0,
}


class CLI(LightningCLI):
    """Parses the command line and builds data, model and Trainer; does not train.

    Args:
        args: The command line, without the program's name.
        purpose: ``fit``, or ``evaluate`` for a Trainer without loggers, checkpoints and callbacks.
    """

    def __init__(self, args: list[str], purpose: Literal["fit", "evaluate"] = "fit") -> None:
        self.purpose = purpose
        self.run_folder: Path | None = None
        super().__init__(
            GenerativeModule,
            DiscreteDataModule,
            save_config_callback=None,
            trainer_defaults={
                "max_epochs": -1,
                # No effective limit, but not -1: Lightning restores the loader's position in a run that was stopped
                # inside an epoch only if the number of steps is limited. The budget in examples ends a run.
                "max_steps": 10**15,
                "num_sanity_val_steps": 0,
                "use_distributed_sampler": False,
                "inference_mode": False,
                "log_every_n_steps": 50,
                "default_root_dir": "runs",
            },
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={
                "prog": "python -m lit_gen.fit",
                "description": fit_description(),
                "allow_abbrev": False,
            },
            subclass_mode_model=True,
            subclass_mode_data=True,
            args=args,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parses without Lightning's warning about arguments passed by a program."""
        self.config = parser.parse_args(args)
        checks.check_linked(self.config)
        checks.check_seed(self.config["seed_everything"])

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds lit_gen's own groups of options, one for the arguments of each class."""
        for name, callback in _CALLBACKS.items():
            parser.add_class_arguments(callback, name)
        parser.add_class_arguments(Scoring, "scoring")
        parser.add_class_arguments(tracking.Wandb, "wandb")
        parser.add_argument(
            "--ckpt_path", type=str | None, default=None, help="Checkpoint of an unfinished run to resume."
        )
        parser.add_argument(
            "--run_name", type=str | None, default=None, help="Name of this run's folder in trainer.default_root_dir."
        )
        parser.link_arguments("data.shape", "model.init_args.shape", apply_on="instantiate")
        parser.link_arguments("data.num_levels", "model.init_args.num_levels", apply_on="instantiate")

    # -------------------------------------------------------------- building

    def instantiate_classes(self) -> None:
        """Builds all objects; keeps the messages of user errors, which the parser would wrap in its own.

        Raises:
            UserError: If a constructor rejects its arguments.
        """
        try:
            super().instantiate_classes()
        except MisconfigurationException as error:
            raise UserError(checks.one_line(error)) from error
        except ValueError as error:
            inner: BaseException | None = error
            while inner is not None and not isinstance(inner, UserError):
                inner = inner.__cause__ or inner.__context__
            if inner is not None:
                raise inner from None
            if "Given value" not in str(error):  # not the parser's message about an argument
                raise
            raise UserError(str(explain(str(error), self.parser, error))) from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Builds the Trainer with the run's folder, loggers and callbacks, and a strategy that supports the model.

        All checks run before a folder or a W&B run is created: first the data are read and a Trainer without
        loggers is built.
        """
        config = self.config_init["trainer"]
        self._check(config)
        self._allow_two_losses(config)
        bar = [] if config["enable_progress_bar"] is False else [ProgressBar()]
        if self.purpose == "evaluate":
            scoring = {**config, **_ONLY_SCORING, "callbacks": bar}
            return take_over(checks.rejected_in_one_line(lambda: Trainer(**scoring)))
        callbacks = [*_listed(config["callbacks"]), self.config_init["checkpoint"]]
        checks.rejected_in_one_line(lambda: Trainer(**{**config, "logger": False, "callbacks": callbacks}))
        root, name = config["default_root_dir"], self.config["run_name"]
        stem = f"{type(self.model).__name__.lower()}-{self.datamodule.name}"
        folder = self.run_folder = make_run_folder(root, name, stem)
        config["default_root_dir"] = str(folder)
        if config["fast_dev_run"]:
            config["logger"] = False
        elif config["logger"] in (None, True):
            config["logger"] = tracking.loggers(folder, self.config_init["wandb"], self.plain_config())
        configured = [self.config_init[name] for name in _CALLBACKS]
        own = [KeepConfig(self.config_text()), StepSeed(int(self.config["seed_everything"]))]
        own += [SameBuffers(), Curves(), KeepMetrics(), Throughput(), Interrupt(), *bar, Rescue()]
        config["callbacks"] = [*configured, *own, *_listed(config["callbacks"])]
        plugins = _listed(config["plugins"])
        usual = str(config["strategy"]).startswith(("auto", "ddp"))  # others write files of their own
        if usual and not any(isinstance(plugin, CheckpointIO) for plugin in plugins):
            config["plugins"] = [*plugins, WholeCheckpointIO()]
        return take_over(checks.rejected_in_one_line(super().instantiate_trainer))

    def _check(self, config: Any) -> None:
        """Validates what would otherwise fail during or after training; reads the data."""
        self.model.check_estimator(self.config_init["scoring"].estimator)
        checks.check_extractor(self.config_init["quality"].extractor, self.datamodule)
        checks.check_statistics(self.config_init["quality"])
        if self.purpose == "fit":
            checks.check_trainer_options(config, self.model)
            checks.check_scores(self.model, self.config_init["scoring"], self.config_init["ema"])
            check_optimizers(self.model)
            check_resume(self.model, self.config["ckpt_path"], self.plain_config())
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        if self.purpose == "fit":
            checks.check_shares(self.datamodule, checks.processes(config))

    def _allow_two_losses(self, config: Any) -> None:
        """Supports two losses: each backward pass leaves out some parameters (Lightning issue 20866)."""
        if config["strategy"] in ("auto", "ddp") and checks.processes(config) > 1:
            automatic = self.model.automatic_optimization
            config["strategy"] = "ddp" if automatic else "ddp_find_unused_parameters_true"

    def as_run(self) -> Run:
        """Returns the built objects as a :class:`Run`."""
        config = self.config_init
        return Run(
            model=self.model,
            data=self.datamodule,
            trainer=self.trainer,
            scoring=config["scoring"],
            quality=config["quality"],
            grid=config["grid"],
            ema=config["ema"],
            seed=int(self.config["seed_everything"]),
            config=self.config_text(),
            trainer_options=config["trainer"],
            folder=self.run_folder,
            checkpoint=Path(path) if (path := self.config["ckpt_path"]) else None,
        )

    def config_text(self) -> str:
        """The resolved configuration as YAML, without values that are linked from the data."""
        return self.parser.dump(self.config, skip_none=False, format="yaml")

    def plain_config(self) -> dict[str, Any]:
        """The resolved configuration as nested plain values."""
        return yaml.safe_load(self.config_text())


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]


def fit_description() -> str:
    """Introduction of ``--help``."""
    return (
        "Trains a generative model, scores it in a fresh Trainer, and writes the run's record."
        " Start from a recipe: --config configs/recipes/digits/vae.yaml; later options win."
    )
