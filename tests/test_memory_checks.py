"""A model that does not fit into memory is rejected before it is built, with the option to lower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from commands import RECIPES

from lit_gen import fit
from lit_gen.cli import memory_checks
from lit_gen.cli.memory_checks import check_memory, free_memory
from lit_gen.cli.outlines import outline
from lit_gen.cli.process import run_command
from lit_gen.errors import UserError
from lit_gen.families import DDPM, GAN, MADE, MAF, VAE, Glow, Transformer
from lit_gen.nets import MLPNets
from lit_gen.optim import AdamW

MODELS: dict[str, tuple[Any, dict[str, Any]]] = {
    "MADE": (MADE, {"hidden_sizes": (300,), "num_orders": 3}),
    "MAF": (MAF, {}),
    "Glow": (Glow, {}),
    "Transformer": (Transformer, {}),
    "VAE": (VAE, {}),
    "GAN": (GAN, {}),
    "DDPM": (DDPM, {}),
}


def config(halflife: float | None = None, **trainer: Any) -> dict[str, Any]:
    given = {"accelerator": "cpu", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    return {"ema": {"halflife_examples": halflife}, "trainer": given | trainer}


@pytest.mark.parametrize(("model", "options"), MODELS.values(), ids=MODELS.keys())
def test_an_outline_counts_what_the_model_has_and_leaves_the_generator(model: Any, options: dict[str, Any]) -> None:
    arguments = {"shape": (1, 8, 8), "num_levels": 256, **options}
    before = torch.get_rng_state()
    found = outline(lambda: model(**arguments))
    assert torch.equal(torch.get_rng_state(), before)
    built = model(**arguments)
    parameters, buffers = list(built.parameters()), list(built.buffers())
    assert found.parameters == sum(p.numel() for p in parameters)
    assert found.parameter_bytes == 4 * found.parameters
    assert found.buffer_bytes == sum(b.numel() * b.element_size() for b in buffers)


def test_an_outline_of_25_gb_takes_no_memory() -> None:
    found = outline(lambda: MADE((3, 32, 32), 256, hidden_sizes=(8000,)))
    assert found.parameters == 3072 * 8000 + 8000 + 8000 * 3072 * 255 + 3072 * 255
    assert found.buffer_bytes > 25e9
    assert outline(lambda: MADE((1, 8, 8), 17, hidden_sizes=(10**6,))).parameters == 1_089_001_024


@pytest.mark.parametrize(
    ("halflife", "optimizer", "copies"),
    [(None, AdamW, 4), (1000.0, AdamW, 5), (None, torch.optim.SGD, 2), (1000.0, torch.optim.SGD, 3)],
)
def test_gradients_states_and_the_average_are_counted(
    halflife: float | None, optimizer: Any, copies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {"shape": (1, 8, 8), "num_levels": 17, "nets": MLPNets([400]), "optimizer": optimizer}
    size = 4 * sum(p.numel() for p in VAE(**arguments).parameters())
    monkeypatch.setattr(memory_checks, "free_memory", lambda: copies * size)
    check_memory(VAE, arguments, config(halflife))
    monkeypatch.setattr(memory_checks, "free_memory", lambda: copies * size - 1)
    with pytest.raises(UserError, match=r"; lower model\.nets\.hidden_sizes \(now \[400\]\), or the size of the data"):
        check_memory(VAE, arguments, config(halflife))
    monkeypatch.setattr(memory_checks, "free_memory", lambda: 2 * copies * size - 1)
    check_memory(VAE, arguments, config(halflife))
    with pytest.raises(UserError, match="would take"):
        check_memory(VAE, arguments, config(halflife, devices=2))


def test_the_command_names_size_memory_and_option_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(memory_checks, "free_memory", lambda: 10**8)
    options = ["--model.hidden_sizes=[10000]", f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    assert run_command(fit.main, [f"--config={RECIPES['autoregressive']}", "--model=MADE", *options]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: model: MADE has 10,891,024 parameters and would take ")
    assert line.endswith(
        " GB of memory (weights, gradients, optimizer state, average, masks), of which 0.1 GB are free;"
        " lower model.hidden_sizes (now [10000]), or the size of the data's examples"
    )
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("limit", "free"), [("max", 3000 * 1024), ("2000000", 1_500_300)])
def test_free_memory_is_the_systems_or_that_of_its_control_group(
    limit: str, free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"meminfo": "MemTotal: 9000 kB\nMemAvailable: 3000 kB\n", "max": limit, "current": "500000"}
    files["stat"] = "anon 7\ninactive_file 300\n"
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory_checks, "_MEMINFO", tmp_path / "meminfo")
    group = (*(str(tmp_path / name) for name in ("max", "current", "stat")), "inactive_file")
    monkeypatch.setattr(memory_checks, "_CGROUPS", (group,))
    assert free_memory() == free
    (tmp_path / "meminfo").unlink()
    assert free_memory() is None


def test_a_model_whose_constructor_fails_is_left_to_its_own_message() -> None:
    check_memory(MADE, {"shape": (1, 8, 8), "num_levels": 17, "num_orders": 0}, config())
