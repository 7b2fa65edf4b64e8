"""Checks that a model fits into memory, before it is built: the kernel ends a process without a word."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lit_gen.cli import checks
from lit_gen.cli.outlines import Outline, outline
from lit_gen.errors import UserError

_MEMINFO = Path("/proc/meminfo")
# Limit, use, and the use that can be reclaimed: of control groups of version 2, and of version 1.
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat", "inactive_file"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)
_GAIN = 0.9  # the share to which an option has to lower the memory when it is halved, to be named


def built_within_memory(config: Any) -> Callable[..., nn.Module]:
    """The parser's function that builds a model, which first calls :func:`check_memory`."""

    def build(
        model: type[nn.Module], *, applied_instantiation_links: Any = None, **arguments: Any
    ) -> nn.Module:
        check_memory(model, arguments, config)
        return model(**arguments)

    return build


def check_memory(model: type[nn.Module], arguments: dict[str, Any], config: Any) -> None:
    """Validates that weights, gradients, optimizer state and average of a model fit into memory.

    Activations are not counted, so that a model that passes can still be too large. A model whose size is not known
    without its weights passes.

    Args:
        model: The model's class.
        arguments: Arguments of its constructor.
        config: The whole configuration; ``ema`` and ``trainer`` are read.

    Raises:
        UserError: If they do not fit; the message names the option to lower.
    """
    size = _outline(model, arguments)
    if size is None:
        return
    trainer = config["trainer"]
    averages = config["ema"]["halflife_examples"] is not None
    copies = 2 + _states(model, arguments) + averages
    whole = round(size.parameter_bytes * copies + size.buffer_bytes * (1 + averages))
    sharded = not str(trainer["strategy"]).startswith(("auto", "ddp"))
    if _on_gpu(trainer["accelerator"]):
        # A model is built on the CPU before it is moved, or sharded.
        needs = [("of memory", size.parameter_bytes + size.buffer_bytes, free_memory())]
        if not sharded:
            needs.append(("of the GPU's memory", whole, torch.cuda.mem_get_info()[0]))
    else:
        needs = [("of memory", whole * (1 if sharded else checks.processes(trainer)), free_memory())]
    for what, needed, free in needs:
        if free is not None and needed > free:
            raise UserError(
                f"model: {model.__name__} has {size.parameters:,} parameters and would take"
                f" {needed / 1e9:,.1f} GB {what} (weights, gradients, optimizer state, average, masks), of which"
                f" {free / 1e9:,.1f} GB are free; {_remedy(model, arguments, size)}"
            )


def free_memory() -> int | None:
    """Memory that this process can take, in bytes: the system's, or its control group's if that is less.

    None if the system does not say.
    """
    found = []
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines())
        found.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        return None
    for limit, used, statistics, reclaimable in _CGROUPS:
        try:
            stat = dict(line.split() for line in Path(statistics).read_text().splitlines())
            free = int(Path(limit).read_text()) - int(Path(used).read_text()) + int(stat.get(reclaimable, 0))
        except (OSError, ValueError):  # no such group, or no limit ("max")
            continue
        found.append(max(0, free))
    return min(found)


def _on_gpu(accelerator: Any) -> bool:
    return accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _outline(model: type[nn.Module], arguments: dict[str, Any]) -> Outline | None:
    """The outline of a model; None if it cannot be built, for which building it gives the reason."""
    try:
        return outline(lambda: model(**arguments))
    except Exception:
        return None


def _states(model: type[nn.Module], arguments: dict[str, Any]) -> float:
    """Number of values that the optimizers keep for each parameter: 2 for Adam."""
    defaults = {name: p.default for name, p in inspect.signature(model).parameters.items()}
    found = [_states_of(value) for name, value in (defaults | arguments).items() if name.endswith("optimizer")]
    return max(found, default=2.0)


def _states_of(optimizer: Any) -> float:
    weight = nn.Parameter(torch.zeros(4, 4))
    weight.grad = torch.zeros_like(weight)
    try:
        built = optimizer([weight])
        built.step()
    except Exception:  # its own check reports it
        return 2.0
    kept = [value for state in built.state.values() for value in state.values() if isinstance(value, torch.Tensor)]
    return sum(value.numel() for value in kept if value.ndim) / weight.numel()


def _remedy(model: type[nn.Module], arguments: dict[str, Any], size: Outline) -> str:
    """Names the option that lowers the memory most if it is halved."""
    best, best_bytes = "", (size.parameter_bytes + size.buffer_bytes) * _GAIN
    for option, value, changed in _halved(arguments):
        found = _outline(model, changed)
        if found is not None and found.parameter_bytes + found.buffer_bytes < best_bytes:
            best, best_bytes = f"{option} (now {value})", found.parameter_bytes + found.buffer_bytes
    return f"lower model.{best}, or the size of the data's examples" if best else "choose a smaller model"


def _halved(arguments: dict[str, Any]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Options that are whole numbers or lists of them, their values, and the arguments with each of them halved."""
    for name, value in arguments.items():
        if name in ("shape", "num_levels"):
            continue
        if (half := _half(value)) is not None:
            yield name, value, arguments | {name: half}
        elif type(value).__module__.startswith("lit_gen.nets"):  # a factory of networks, with its own options
            for inner, inner_value in vars(value).items():
                if (half := _half(inner_value)) is not None:
                    factory = copy.copy(value)
                    setattr(factory, inner, half)
                    yield f"{name}.{inner}", inner_value, arguments | {name: factory}


def _half(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value > 1:
        return value // 2
    if isinstance(value, list | tuple) and value and all(type(item) is int for item in value):
        return type(value)(max(1, item // 2) for item in value)
    return None
