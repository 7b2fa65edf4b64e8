"""The LightningCLI of ``fit`` and ``evaluate``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

import lit_gen.families
import lit_gen.metrics
import lit_gen.nets  # noqa: F401
from lit_gen.callbacks import ProgressBar
from lit_gen.cli import checks, early_checks
from lit_gen.cli.config_files import check_config_files
from lit_gen.cli.data_checks import check_sizes
from lit_gen.cli.fit_options import CONFIGURABLE, DESCRIPTION, TRAINER_DEFAULTS, add_fit_options, compile_callbacks
from lit_gen.cli.import_paths import OF_USERS, import_paths, named_packages, of_checkpoint
from lit_gen.cli.memory_checks import built_within_memory
from lit_gen.cli.messages import explain
from lit_gen.cli.null_checks import check_nulls
from lit_gen.cli.optimizer_checks import check_optimizers, check_resume
from lit_gen.cli.parser import Parser
from lit_gen.cli.plugins import import_plugins
from lit_gen.cli.resume import check_unfinished
from lit_gen.cli.run_folder import make_run_folder, remove_run_folder
from lit_gen.cli.shipped import with_shipped_configs
from lit_gen.cli.trainer_parts import kept_data, run_callbacks, with_whole_checkpoints
from lit_gen.contract import GenerativeModule
from lit_gen.data import DiscreteDataModule
from lit_gen.errors import UserError
from lit_gen.runs import tracking
from lit_gen.runs.newest_checkpoint import Position
from lit_gen.runs.run import Run
from lit_gen.runs.weights import start_from
from lit_gen.scoring.arithmetic import use_tf32
from lit_gen.screen.quietness import SETTINGS
from lit_gen.stopping.trainers import take_over

# Lightning 2.6 uses deprecated functions of jsonargparse, which is its concern (pyproject.toml pins jsonargparse).
os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")


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
        purpose: ``fit``; ``evaluate`` for a Trainer without loggers, checkpoints and callbacks; or ``sample`` for the
            same without reading the data.
        resumed: Folder of the run to continue, and the checkpoint to continue from; None for a new run.
        of_checkpoint: File with the configuration of a checkpoint, which ``args`` override, and the packages that it
            may name beyond the usual ones; None if there is none.
    """

    def __init__(
        self,
        args: list[str],
        purpose: Literal["fit", "evaluate", "sample"] = "fit",
        resumed: tuple[Path, Position] | None = None,
        of_checkpoint: tuple[str, Sequence[str]] | None = None,
    ) -> None:
        self.of_checkpoint = of_checkpoint
        import_plugins()
        self.purpose = purpose
        self.run_folder: Path | None = None
        self.position: Position | None = None
        if resumed is not None:
            self.run_folder, self.position = resumed
        super().__init__(
            GenerativeModule,
            DiscreteDataModule,
            save_config_callback=None,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_class=Parser,
            parser_kwargs={
                "prog": "python -m lit_gen.fit",
                "description": DESCRIPTION,
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
        self.config = self._parsed(parser, args)
        self._inherits_space = self.purpose == "fit" and self.run_folder is None and not checks.names_extractor(args)
        checks.check_linked(self.config)
        checks.check_seed(self.config["seed_everything"])
        plain = self.plain_config()
        early_checks.check_numbers(plain)
        check_nulls(plain)
        if self.run_folder is not None and self.position is not None:
            self.config["ckpt_path"] = None  # of the run's first start, if any
            check_unfinished(self.run_folder, self.position, self.plain_config())

    def _parsed(self, parser: LightningArgumentParser, args: list[str]) -> Any:
        """The configuration; class paths may name what is listed, and what the user's own options and files name."""
        check_config_files(with_shipped_configs(args))  # before any of them is read: aliases may expand to anything
        named, first = named_packages(args), []
        if self.of_checkpoint is not None:
            file, allow = self.of_checkpoint
            first, named = ["--config", file], [*named, *allow]
            with of_checkpoint(allow):  # alone, so that an option of the user's allows it nothing
                parser.parse_args(first)
        with import_paths([*OF_USERS, *named]):
            return parser.parse_args([*first, *args])

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds lit_gen's own options."""
        add_fit_options(parser)

    # -------------------------------------------------------------- building

    def instantiate_classes(self) -> None:
        """Builds all objects; keeps the messages of user errors, which the parser would wrap in its own.

        Raises:
            UserError: If a constructor rejects its arguments.
        """
        if self.purpose == "fit":
            self.parser.add_instantiator(built_within_memory(self.config), GenerativeModule, subclasses=True)
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
        use_tf32(self.config["tf32"])
        self._check(config)
        self._allow_two_losses(config)
        if SETTINGS.quiet and config["enable_model_summary"] is None:
            config["enable_model_summary"] = False
        bar = [] if config["enable_progress_bar"] is False else [ProgressBar()]
        if self.purpose != "fit":
            scoring = {**config, **_ONLY_SCORING, "callbacks": bar}
            return take_over(checks.rejected_in_one_line(lambda: Trainer(**scoring)))
        callbacks = [*_listed(config["callbacks"]), self.config_init["checkpoint"]]
        checks.rejected_in_one_line(lambda: Trainer(**{**config, "logger": False, "callbacks": callbacks}))
        if self.run_folder is not None:
            return self._trainer_in(self.run_folder, config, bar)
        stem = f"{type(self.model).__name__.lower()}-{self.datamodule.name}"
        folder = self.run_folder = make_run_folder(config["default_root_dir"], self.config["run_name"], stem)
        try:
            return self._trainer_in(folder, config, bar)
        except UserError:
            remove_run_folder(folder)
            raise

    def _trainer_in(self, folder: Path, config: Any, bar: Sequence[Callback]) -> Trainer:
        """Builds the Trainer that writes into a folder."""
        config["default_root_dir"] = str(folder)
        if config["fast_dev_run"]:
            config["logger"] = False
        elif config["logger"] in (None, True):
            config["logger"] = tracking.loggers(folder, self.config_init["wandb"], self.plain_config())
        configured = [self.config_init[name] for name in CONFIGURABLE]
        kept, seed = kept_data(folder, self.datamodule, self.config["weights"]), int(self.config["seed_everything"])
        others = [*compile_callbacks(self.config["compile"]), *bar]
        own = run_callbacks(configured, self.config_text(), seed, kept, others, self.config_init["scoring"])
        config["callbacks"] = [*own, *_listed(config["callbacks"])]
        config["plugins"] = with_whole_checkpoints(_listed(config["plugins"]), str(config["strategy"])) or None
        return take_over(checks.rejected_in_one_line(super().instantiate_trainer))

    def _check(self, config: Any) -> None:
        """Validates what would otherwise fail during or after training; reads the data."""
        self.model.check_estimator(self.config_init["scoring"].estimator)
        checks.check_extractor(self.config_init["quality"].extractor, self.datamodule, self._inherits_space)
        checks.check_statistics(self.config_init["quality"])
        if self.purpose == "fit":
            checks.check_trainer_options(config, self.model)
            early_checks.check_limits(config)
            checks.check_scores(self.model, self.config_init["scoring"], self.config_init["ema"])
            check_optimizers(self.model)
            check_resume(self.model, self._checkpoint(), self.plain_config())
            self._start_from_weights()
        if self.purpose == "sample":
            return
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        check_sizes(self.datamodule, self.config_init["scoring"])
        device = checks.device_type(config)
        trains_on = device if self.purpose == "fit" else None
        checks.check_counts(self.config_init["quality"], self.config_init["scoring"], self.datamodule, trains_on)
        if self.purpose == "fit":
            checks.check_shares(self.datamodule, checks.processes(config))
            checks.check_same_data(self.datamodule, self._checkpoint())
            early_checks.check_epoch(config, self.model, self.datamodule, self.config_init["budget"].max_examples)
            monitor, quality = self.config["checkpoint"]["monitor"], self.config_init["quality"]
            own = bool(config["callbacks"])
            early_checks.check_monitor(monitor, self.model, self.datamodule, quality, own, device)

    def _start_from_weights(self) -> None:
        """Loads the weights that a new run starts from, if it does."""
        path = self.config["weights"]
        if path is None or self.position is not None:
            return
        if self.config["ckpt_path"] is not None:
            raise UserError("weights starts a new run, ckpt_path continues one: leave one of them out")
        start_from(self.model, Path(path), self.config["weights_kind"])

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
            checkpoint=self._checkpoint(),
            resumed=self.position is not None,
        )

    def _checkpoint(self) -> Path | None:
        """Checkpoint to continue training from."""
        if self.position is not None:
            return self.position.path
        return Path(path) if (path := self.config["ckpt_path"]) else None

    def config_text(self) -> str:
        """The resolved configuration as YAML, without values that are linked from the data."""
        return self.parser.dump(self.config, skip_none=False, format="yaml")

    def plain_config(self) -> dict[str, Any]:
        """The resolved configuration as nested plain values."""
        return yaml.safe_load(self.config_text())


def _listed(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, list) else [value]
