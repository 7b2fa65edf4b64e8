"""Parameter groups that every optimizer understands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


def parameter_groups(
    parameters: nn.Module | Iterable[nn.Parameter],
    hidden: Iterable[nn.Parameter] = (),
    no_decay: Iterable[nn.Parameter] = (),
) -> list[dict[str, Any]]:
    """Splits parameters into groups by whether they are hidden weights and whether they are decayed.

    Each group has a key ``hidden``, which :class:`~lit_gen.optim.Muon` reads and other optimizers ignore. Groups that
    are not decayed set ``weight_decay`` to 0; others leave it out, since the value of a group overrides the
    optimizer's argument. Empty groups are omitted; hidden groups come first, and decayed before others. The order
    within a group is the order of ``parameters``, which keeps sums over all parameters reproducible.

    Args:
        parameters: A module, or parameters.
        hidden: Weights ``[outputs, ...]`` between layers of features: neither those that read the data nor those that
            give the output.
        no_decay: Parameters without weight decay.

    Returns:
        The groups, as ``torch.optim`` takes them.

    Raises:
        ValueError: ``hidden`` or ``no_decay`` contains something that is not in ``parameters``.

    >>> model = nn.Linear(2, 3)
    >>> groups = parameter_groups(model, hidden=[model.weight], no_decay=[model.bias])
    >>> [{**group, "params": len(group["params"])} for group in groups]
    [{'params': 1, 'hidden': True}, {'params': 1, 'hidden': False, 'weight_decay': 0.0}]
    """
    listed = list(parameters.parameters() if isinstance(parameters, nn.Module) else parameters)
    # Compared by identity: == of tensors is elementwise.
    ids, hidden_ids, fixed_ids = ({id(p) for p in some} for some in (listed, hidden, no_decay))
    if not hidden_ids | fixed_ids <= ids:
        raise ValueError("hidden and no_decay must be among the parameters")
    groups: list[dict[str, Any]] = []
    for is_hidden in (True, False):
        for decayed in (True, False):
            params = [p for p in listed if (id(p) in hidden_ids) == is_hidden and (id(p) in fixed_ids) != decayed]
            if params:
                groups.append({"params": params, "hidden": is_hidden, **({} if decayed else {"weight_decay": 0.0})})
    return groups
