"""Takes a few training steps of many models in one process or several, with draws that belong to the global batch.

    python tests/ddp_steps.py --out one --devices 1 conv_vae dcgan
    torchrun --nproc_per_node=2 tests/ddp_steps.py --out two --devices 2 conv_vae dcgan

Each process writes ``OUT/NAME-RANK.pt``: gradients of the first steps, weights and averaged weights at the end, and
what torch's generator would have drawn in the first step.
"""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent)]

import lightning as L  # noqa: E402
import torch  # noqa: E402
from gpu.setups import build, setups, without_dropout  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from lit_gen.callbacks import EMA  # noqa: E402

BATCH = 32
# Optimal transport pairs the examples of each process's share.
_OPTIONS = {"flow_matching": ("--model.init_args.pairing=null",)}
_LIKE = {"rand_like": "rand", "randn_like": "randn"}
_NAMES = ("rand", "randn", "randint", "multinomial", *_LIKE)


class DrawsOfTheGlobalBatch(L.Callback):
    """In training steps, torch's functions draw for the whole batch, and give each process its share.

    Numbers depend on the step alone; a tensor whose first dimension is not the batch is the same in all processes.
    """

    def __init__(self) -> None:
        self._kept: dict[str, Callable[..., Tensor]] = {name: getattr(torch, name) for name in _NAMES}
        self.own = torch.empty(0)

    def on_train_batch_start(self, trainer: L.Trainer, model: Any, batch: Any, batch_idx: int) -> None:
        """Records what the process would have drawn; replaces the functions."""
        if not len(self.own):
            state = torch.get_rng_state()
            self.own = torch.randn(8)
            torch.set_rng_state(state)
        self._generator = torch.Generator().manual_seed(trainer.fit_loop.epoch_loop.total_batch_idx)
        self._share = len(batch[0]), trainer.global_rank, trainer.world_size
        for name in _NAMES:
            setattr(torch, name, lambda *args, name=name, **kwargs: self._draw(name, *args, **kwargs))

    def on_train_batch_end(self, *args: Any) -> None:
        """Puts the functions back."""
        for name, function in self._kept.items():
            setattr(torch, name, function)

    def _draw(self, name: str, *args: Any, **kwargs: Any) -> Tensor:
        kwargs.pop("device", None)
        size, rank, world = self._share
        if name == "multinomial":
            drawn = self._kept[name](args[0], args[1] * world, generator=self._generator, **kwargs)
            return drawn[rank * args[1] : (rank + 1) * args[1]]
        if name in _LIKE:
            name, args = _LIKE[name], (args[0].shape,)
        before = args[:-1] if name == "randint" else ()
        last = args[-1] if name == "randint" or isinstance(args[0], tuple) else args
        shape = tuple(last)
        if not shape or shape[0] != size:
            return self._kept[name](*before, shape, generator=self._generator, **kwargs)
        drawn = self._kept[name](*before, (size * world, *shape[1:]), generator=self._generator, **kwargs)
        return drawn[rank * size : (rank + 1) * size]


class Written(L.Callback):
    """Gradients of each optimizer's steps, and the weights behind them."""

    def __init__(self, steps: int) -> None:
        self.steps, self.gradients = steps, []

    def on_before_optimizer_step(self, trainer: L.Trainer, model: Any, optimizer: Any) -> None:
        """Keeps the gradients, parameters without one as zeros."""
        parts = [p if p.grad is None else p.grad for group in optimizer.param_groups for p in group["params"]]
        zeros = [p.grad is None for group in optimizer.param_groups for p in group["params"]]
        flat = [(part.detach() * (0.0 if zero else 1.0)).flatten() for part, zero in zip(parts, zeros, strict=True)]
        self.gradients.append(torch.cat(flat).clone())

    def on_train_batch_end(self, trainer: L.Trainer, *args: Any) -> None:
        """Ends training after enough steps."""
        trainer.should_stop = trainer.fit_loop.epoch_loop.total_batch_idx + 1 >= self.steps


def without_batch_statistics(model: nn.Module) -> None:
    """Lets batch norm use its running statistics: those of a batch are of each process's share."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.train = lambda mode=True, module=module: module  # type: ignore[method-assign]


def take(name: str, out: Path, devices: int = 1, nodes: int = 1, steps: int = 3, resume: bool = False) -> None:
    """Trains and writes what a process has found.

    Args:
        name: Of a file below configs/families.
        out: Folder of the results, and of the checkpoint to go on from.
        devices: Number of processes of a node.
        nodes: Number of nodes.
        steps: Number of steps, those before a resumption included.
        resume: Whether to go on from the checkpoint.
    """
    setup = next(setup for setup in setups("cpu") if setup.name == name)
    run = build(
        setup, out, "cpu", f"--trainer.devices={devices}", f"--trainer.num_nodes={nodes}",
        f"--data.batch_size={BATCH}", f"--run_name={name}-{steps}", f"--ema.halflife_examples={4 * BATCH}",
        "--ema.every=1", *_OPTIONS.get(name, ()),
    )  # fmt: skip
    without_dropout(run.model)
    without_batch_statistics(run.model)
    draws, written = DrawsOfTheGlobalBatch(), Written(steps)
    run.trainer.callbacks += [draws, written]  # type: ignore[attr-defined]
    checkpoint = out / f"{setup.name}-last.ckpt"
    run.trainer.fit(run.model, run.data, ckpt_path=str(checkpoint) if resume else None, weights_only=True)
    run.trainer.save_checkpoint(checkpoint)
    ema = next(c for c in run.trainer.callbacks if isinstance(c, EMA))  # type: ignore[attr-defined]
    state = {name: t for name, t in run.model.state_dict().items() if isinstance(t, Tensor)}
    found = {"gradients": written.gradients, "state": state, "average": ema.average, "own": draws.own}
    torch.save(found, out / f"{setup.name}-{run.trainer.global_rank}.pt")


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoints in OUT")
    options = vars(parser.parse_args())
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name in options.pop("names"):
        take(name, **options)


if __name__ == "__main__":
    main()
