"""Renamed options: an error for an old name says the new one.

The parser looks here for unknown options and rejected values on the command line, in files and in the configurations
of checkpoints.
"""

from __future__ import annotations

from lit_gen.errors import UserError

_GAN_BETAS = "model.generator_optimizer.betas and model.discriminator_optimizer.betas"

OPTIONS: dict[str, str] = {
    "model.lr": "model.optimizer.lr",
    "model.beta1": f"model.optimizer.betas (of a GAN: {_GAN_BETAS})",
    "model.beta2": f"model.optimizer.betas (of a GAN: {_GAN_BETAS})",
    "model.eps": "model.optimizer.eps",
    "model.weight_decay": "model.optimizer.weight_decay",
    "budget.max_images": "budget.max_examples",
    "ema.halflife_images": "ema.halflife_examples",
    "schedule.warmup_images": "schedule.warmup_examples",
    "schedule.final": "schedule.decay=CosineDecay --schedule.decay.final",
    "model.warmup_images": "model.warmup_examples",
    "model.label_dropout": "model.labels.dropout",
    "model.num_classes": "model.labels.num_classes (of diffusion models; VAEs and GANs have no classes)",
    "model.ode_tolerance": "model.ode.tolerance",
    "model.sigma_min": "model.grid.sigma_min",
    "model.sigma_max": "model.grid.sigma_max",
    "model.rho": "model.grid.rho",
    "model.coupling": "model.pairing",
    "model.r1": "model.penalty=R1 --model.penalty.weight",
    "model.r1_every": "model.penalty.every",
    "model.clip_norm": "model.updates.clip_norm",
    "model.lr_generator": "model.generator_optimizer.lr",
    "model.lr_discriminator": "model.discriminator_optimizer.lr",
    "data.size": "data.transform.size",
    "data.channels": "data.transform.channels",
    "data.crop": "data.transform.crop",
    "data.resize": "data.transform.resize",
    "data.subset": "data.hub.subset",
    "data.revision": "data.hub.revision",
    "data.root": "data.hub.root",
    "data.image_column": "data.columns.image",
    "data.label_column": "data.columns.label",
    "data.column": "data.columns.audio (of text: data.columns.text)",
    "data.separator": "data.columns.separator",
    "data.train_split": "data.splits.train",
    "data.val_split": "data.splits.val",
    "data.test_split": "data.splits.test",
    "data.num_train": "data.splits.num_train",
    "data.num_val": "data.splits.num_val",
    "data.num_test": "data.splits.num_test",
    "data.split_seed": "data.splits.seed",
    "data.max_memory_gb": "data.loader.max_memory_gb",
    "data.eval_batch_size": "data.loader.eval_batch_size",
    "data.seed": "data.loader.seed",
}
"""New names of options by their old names; both without ``init_args``."""

VALUES: dict[tuple[str, str], str] = {
    ("model.nets", "MLPPlayers"): "model.nets=MLPAdversarialNets",
    ("model.nets", "lit_gen.nets.MLPPlayers"): "model.nets=lit_gen.nets.MLPAdversarialNets",
    ("model.optimizer", "adamw"): "model.optimizer=AdamW",
    ("model.optimizer", "muon"): "model.optimizer=Muon",
}
"""What to give instead, by option and old value."""


class RenamedError(UserError):
    """An option or a value was renamed.

    Args:
        key: The option, as given.
        old: The option, or ``option=value``, as given.
        new: The new option or value.
    """

    def __init__(self, key: str, old: str, new: str) -> None:
        super().__init__(f"{old} is now {new}")
        self.key = key


def find_renamed(key: str, value: str = "") -> RenamedError | None:
    """Returns an error with the new option, if the option was renamed.

    Args:
        key: The dotted option, with or without ``init_args``.
        value: The rejected value; empty if the option itself is unknown.

    >>> print(find_renamed("model.init_args.lr"))
    model.lr is now model.optimizer.lr
    >>> print(find_renamed("model.optimizer", "muon"))
    model.optimizer=muon is now model.optimizer=Muon
    >>> print(find_renamed("model.nets"))
    None
    """
    key = key.replace(".init_args.", ".")
    if value:
        new = VALUES.get((key, value))
        return RenamedError(key, f"{key}={value}", new) if new else None
    return RenamedError(key, key, OPTIONS[key]) if key in OPTIONS else None
