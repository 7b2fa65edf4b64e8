"""Small diffusion models, and levels for them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lit_gen.families import DDPM, EDM, VDM, FlowMatching, ImprovedDDPM, ImprovedDDPMVLB

from . import conformance as laws

FAMILIES = [DDPM, ImprovedDDPM, ImprovedDDPMVLB, VDM, EDM, FlowMatching]
SHAPE, LEVELS = (1, 2, 2), 5


def stirred(family: type, **options: Any) -> Any:
    torch.manual_seed(0)
    model = family(SHAPE, LEVELS, **options)
    laws.stir(model, scale=0.1)
    return model.eval()


def levels(n: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(LEVELS, (n, *SHAPE), generator=generator).to(torch.uint8)
