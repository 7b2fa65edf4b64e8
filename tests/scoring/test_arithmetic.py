"""TF32 is off unless it is asked for, and a protocol states it where it is in effect."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import REPO

from lit_gen.cli.command_line import CLI
from lit_gen.metrics.spaces.feature_space import full_float32
from lit_gen.scoring.arithmetic import stated_precision, use_tf32

VAE = f"--config={REPO / 'configs/recipes/digits/vae.yaml'}"


@pytest.fixture(autouse=True)
def _off_again() -> Iterator[None]:
    yield
    use_tf32(False)


def trainer_on(device: str, precision: str) -> Any:
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)), precision=precision)


def switches() -> list[str]:
    backends: Any = torch.backends
    return [backends.cuda.matmul.fp32_precision, backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision]


def test_off_means_off_for_convolutions_too() -> None:
    """For which PyTorch's own default is TF32."""
    torch.backends.cudnn.allow_tf32 = True
    use_tf32(False)
    assert "tf32" not in switches()
    assert torch.get_float32_matmul_precision() == "highest"
    use_tf32(True)
    assert switches() == ["tf32"] * 3
    assert torch.get_float32_matmul_precision() == "high"
    assert torch.backends.mkldnn.matmul.fp32_precision == "ieee"  # type: ignore[attr-defined]


@pytest.mark.parametrize("allowed", [True, False])
def test_features_are_in_float32_whatever_the_option_and_keep_it(allowed: bool) -> None:
    use_tf32(allowed)
    before = switches()
    with full_float32():
        assert switches()[:2] == ["ieee", "ieee"]
    assert switches() == before


def test_the_protocol_states_what_is_in_effect() -> None:
    use_tf32(True)
    assert stated_precision(trainer_on("cuda", "32-true")) == "32-true+tf32"
    assert stated_precision(trainer_on("cuda", "bf16-mixed")) == "bf16-mixed+tf32"
    # Autocast does not reach these numbers, but TF32 does.
    assert stated_precision(trainer_on("cuda", "bf16-mixed"), in_float32=True) == "32-true+tf32"
    assert stated_precision(trainer_on("cpu", "32-true")) == "32-true"
    assert stated_precision(trainer_on("cpu", "bf16-mixed"), in_float32=True) is None
    use_tf32(False)
    assert stated_precision(trainer_on("cuda", "32-true")) == "32-true"
    assert stated_precision(trainer_on("cuda", "bf16-mixed"), in_float32=True) is None


@pytest.mark.parametrize(("option", "expected"), [([], False), (["--tf32=true"], True)])
def test_the_option_is_that_of_the_run_that_was_built_last(option: list[str], expected: bool) -> None:
    use_tf32(not expected)
    CLI([VAE, *option, "--trainer.enable_progress_bar=false"], purpose="evaluate")
    assert ("tf32" in switches()) is expected
