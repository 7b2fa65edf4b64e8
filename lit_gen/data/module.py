"""The abstract data module: interface that every data set implements."""

from __future__ import annotations

import abc
import hashlib
import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import lightning.pytorch as L
import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lit_gen.data.chosen import ChosenLoader
from lit_gen.data.epoch_loader import EpochLoader, LoaderOptions
from lit_gen.data.example_hashes import chosen_examples, example_hashes, examples_in
from lit_gen.data.loader import Loader, Redraw, SliceLoader
from lit_gen.data.placement import place_of, uses_cuda
from lit_gen.errors import UserError, nearest

SplitName = Literal["train", "val", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
Modality = Literal["image", "text", "audio"]
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Split:
    """All examples of one split.

    Attributes:
        x: Integers in {0..num_levels-1}, uint8 ``[N, *shape]``.
        label: Classes, int64 ``[N]``; None if the data has no labels.
        group: Group of dependent examples that each belongs to, such as windows of one recording, int64 ``[N]``; None
            if all examples are independent. Standard errors are over groups.
        group_name: Name of a group, in the singular.
    """

    x: Tensor
    label: Tensor | None = None
    group: Tensor | None = None
    group_name: str = "example"


class DiscreteDataModule(L.LightningDataModule, abc.ABC):
    """Integers in {0..num_levels-1}, kept as one uint8 tensor per split.

    ``name``, ``shape`` and ``num_levels`` are known at construction, before any file is read, so that the model can
    be built from them. A subclass implements ``read``.

    Args:
        name: Name of the data in records and leaderboards.
        shape: Shape of one example: ``(C, H, W)`` for images, ``(T,)`` for text, ``(1, T)`` for audio.
        num_levels: Number of values, at most 256.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, and seed of the training order.

    Attributes:
        modality: Kind of the data, which decides how a sample is shown. Text has ``decode(x) -> str``; audio has
            ``decode(x) ->`` waveform and ``sample_rate``.
        dimension: Name of one of an example's integers, as in bits per dimension.

    Raises:
        UserError: An invalid size or name, at construction; data that does not fit the declaration, in ``setup``.
    """

    modality: ClassVar[Modality] = "image"

    dimension: str = "dim"
    name: str
    shape: tuple[int, ...]
    num_levels: int

    def __init__(
        self, *, name: str, shape: tuple[int, ...], num_levels: int, batch_size: int, loader: LoaderOptions = Loader()
    ) -> None:
        super().__init__()
        _check_name(name)
        sizes = {"batch_size": batch_size, "loader.eval_batch_size": loader.eval_batch_size}
        for option, size in {**sizes, "shape": min(shape, default=0)}.items():
            if size < 1:
                raise UserError(f"{option} of data set '{name}' is {size}: it must be at least 1")
        if loader.seed < 0:
            raise UserError(f"loader.seed of data set '{name}' is {loader.seed}: it must not be negative")
        if not 2 <= num_levels <= 256:
            raise UserError(f"num_levels of data set '{name}' is {num_levels}: it must be in 2..256")
        self.name = name
        self.shape = tuple(shape)
        self.num_levels = num_levels
        self.batch_size = batch_size
        self.loader = loader
        self._splits: dict[SplitName, Split] = {}
        self._fingerprints: dict[SplitName, str] = {}

    @abc.abstractmethod
    def read(self) -> dict[SplitName, Split]:
        """Reads all three splits. Called once, by ``setup``."""

    @override
    def setup(self, stage: str | None = None) -> None:
        """Reads the splits and checks them against the declaration, once."""
        if self._splits:
            return
        splits = self.read()
        for name in SPLITS:
            self._check(name, splits[name])
        self._splits = splits

    def split(self, name: SplitName) -> Split:
        """One split, exactly as the model sees it; reads the data if that has not been done."""
        if name not in SPLITS:
            raise UserError(f"no split '{name}': there are train, val and test{nearest(name, SPLITS)}")
        self.setup()
        return self._splits[name]

    def fingerprint(self, name: SplitName) -> str:
        """SHA-256 (hex) of what the model sees: dtype, shape, num_levels and the bytes of ``x``."""
        if name not in self._fingerprints:
            self._fingerprints[name] = self._digest(self.split(name).x)
        return self._fingerprints[name]

    def fingerprint_of(self, name: SplitName, rows: Tensor) -> str:
        """SHA-256 of some rows of a split, int64 ``[M]``."""
        return self._digest(chosen_examples(self.split(name).x, rows))

    def identity(self, name: SplitName) -> str:
        """What tells whether a run is continued on the split it was trained on, SHA-256 (hex).

        The fingerprint, unless the split is too large to be read for it.
        """
        return self.fingerprint(name)

    def label_range(self, name: SplitName) -> tuple[int, int] | None:
        """Lowest and highest label of a split; None if it has no labels."""
        label = self.split(name).label
        return None if label is None else (int(label.min()), int(label.max()))

    def train_hashes(self) -> np.ndarray | None:
        """Hashes of the training examples, uint64 ``[N]``; None if the split is too large to be read for them."""
        return example_hashes(self.split("train").x)

    @override
    def train_dataloader(self) -> EpochLoader:
        """Shuffled batches; in file order under ``Trainer(overfit_batches=...)``."""
        trainer = self.trainer
        if trainer is None:
            return self.train_loader(shuffle=True)
        loader = self.train_loader(
            shuffle=not trainer.overfit_batches,  # type: ignore[attr-defined]  # Trainer sets it by setattr
            drop_last=True,
            limit=trainer.limit_train_batches,
            **self._ranks(),
        )
        loader.set_epoch(trainer.current_epoch)
        return loader

    def train_loader(self, **options: Any) -> EpochLoader:
        """Batches of the training split.

        Args:
            **options: Of the loader: ``shuffle``, ``drop_last``, ``rank``, ``world_size``, ``limit``.

        Raises:
            UserError: The batch size cannot be divided among the processes.
        """
        split = self.split("train")
        placement = self.loader.placement if isinstance(self.loader, Loader) else "host"
        place = place_of(self._training_bytes(), self.trainer, placement)
        x, redraw = self._training(place)
        loader = SliceLoader(
            x, split.label, batch_size=self.batch_size, seed=self.loader.seed, redraw=redraw, **options
        )
        loader.pin_memory = uses_cuda(self.trainer) and place.type == "cpu"
        return loader

    @override
    def val_dataloader(self) -> EpochLoader:
        """Every validation example once, in file order."""
        return self.eval_loader("val")

    @override
    def test_dataloader(self) -> EpochLoader:
        """Every test example once, in file order."""
        return self.eval_loader("test")

    def eval_loader(self, name: SplitName, rows: Tensor | None = None) -> EpochLoader:
        """Every example of a split once, in file order; or those in ``rows``, int64 ``[M]``, in that order."""
        split = self.split(name)
        options: dict[str, Any] = {"batch_size": self.loader.eval_batch_size, **self._ranks()}
        loader: SliceLoader
        if rows is None:
            loader = SliceLoader(split.x, split.label, shuffle=False, **options)
        else:
            loader = ChosenLoader(split.x, split.label, rows=rows, shuffle=False, **options)
        loader.pin_memory = uses_cuda(self.trainer)
        return loader

    def _ranks(self) -> dict[str, int]:
        """This process's number among the Trainer's processes, and theirs."""
        trainer = self.trainer
        return {
            "rank": 0 if trainer is None else trainer.global_rank,
            "world_size": 1 if trainer is None else trainer.world_size,
        }

    def _training(self, device: torch.device) -> tuple[Tensor, Redraw | None]:
        """The tensor that training batches are sliced from, on a device, and the function that redraws a batch, if any.

        If the tensor does not hold the examples themselves, the function makes them of its rows.
        """
        return self.split("train").x.to(device), None

    def _training_bytes(self) -> int:
        """Size of what training batches are made of."""
        return self.split("train").x.numel()

    def _digest(self, x: Tensor, rule: str = "") -> str:
        header = {"dtype": str(x.dtype), "shape": list(x.shape), "num_levels": self.num_levels}
        if rule:
            header["rule"] = rule
        digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
        # in pieces: a memory-mapped split need not fit into memory
        for piece in x.split(examples_in(2**26, x)):
            digest.update(np.ascontiguousarray(piece.numpy()).data)
        return digest.hexdigest()

    def _check(self, name: str, split: Split) -> None:
        x, where = split.x, f"split '{name}' of data set '{self.name}'"
        if len(x) == 0:
            raise UserError(f"{where} is empty; it needs at least one example")
        if x.dtype != torch.uint8:
            raise UserError(f"{where} holds {x.dtype}: lit_gen takes uint8 integers, before any scaling")
        if tuple(x.shape[1:]) != self.shape:
            raise UserError(
                f"{where} holds examples of shape {tuple(x.shape[1:])}, the data module declares "
                f"{self.shape}; correct one of the two"
            )
        if self.num_levels < 256 and (highest := int(x.max())) >= self.num_levels:
            row = int((x.flatten(1).amax(1) >= self.num_levels).nonzero()[0])
            raise UserError(
                f"{where} holds values up to {highest} (first in example {row}), outside "
                f"0..{self.num_levels - 1}; set num_levels to {highest + 1}, or quantize the data again"
            )
        label = split.label
        if label is not None and (label.dtype != torch.int64 or label.shape != (len(x),)):
            raise UserError(f"{where} has labels {label.dtype} {tuple(label.shape)}: need int64 ({len(x)},)")
        group = split.group
        if group is not None and (group.dtype != torch.int64 or group.shape != (len(x),)):
            raise UserError(f"{where} has groups {group.dtype} {tuple(group.shape)}: need int64 ({len(x)},)")


def _check_name(name: str) -> None:
    """Rejects a name that cannot be a part of the name of a folder, which it becomes."""
    if not name.strip() or len(name) > _LONGEST_NAME:
        raise UserError(f"name of the data set has {len(name)} characters: give it 1 to {_LONGEST_NAME}")
    if bad := next((c for c in name if c in "/\\" or not c.isprintable()), None):
        kept = "".join("-" if c in "/\\" or not c.isprintable() else c for c in name)
        raise UserError(f"name of the data set is {name!r}: {bad!r} cannot be in a folder's name; use '{kept}'")
