"""The models that are compared can be built for any data, and grow."""

from __future__ import annotations

import pytest

from lit_gen.cli.command_line import CLI
from lit_gen.compare.ladders import FAMILIES, ladder

SHAPES = {
    "digits": ("image", (1, 8, 8), 17),
    "mnist": ("image", (1, 28, 28), 256),
    "odd": ("image", (3, 30, 30), 256),
    "cifar10": ("image", (3, 32, 32), 256),
    "audio": ("audio", (1, 128), 256),
    "text": ("text", (32,), 65),
}


@pytest.mark.parametrize("data", SHAPES)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_two_smallest_models_are_built_and_grow(family: str, data: str) -> None:
    modality, shape, levels = SHAPES[data]
    candidates = ladder(family, modality, shape)
    if modality == "text" and family not in ("vae", "autoregressive"):
        assert candidates == []
        return
    assert len(candidates) >= 3
    sizes = []
    for candidate in candidates[:2]:
        data_options = ["--data=shaped.Shaped", f"--data.shape={list(shape)}", f"--data.num_levels={levels}"]
        run = CLI([*data_options, *candidate.options], purpose="sample").as_run()
        assert type(run.model).__module__.split(".")[2] == family
        sizes.append(sum(p.numel() for p in run.model.parameters()))
    assert sizes[0] < sizes[1]
