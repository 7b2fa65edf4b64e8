"""Inception weights drawn at random, so that everything but their values can be tested without a download."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn


@pytest.fixture(scope="session")
def inception_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weight file in torch-fidelity's format: He-initialised, batch norms with statistics of their own."""
    import torch_fidelity.feature_extractor_inceptionv3 as fidelity

    class Uninitialised(fidelity.FeatureExtractorInceptionV3):
        def load_state_dict(self, *args: object, **kwargs: object) -> None:
            """Leaves the net as it was built."""

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(fidelity, "load_state_dict_from_url", lambda *args, **kwargs: {})
        net = Uninitialised("inception-v3-compat", ["2048"])
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.weight, 0.7, 1.3)
                nn.init.normal_(module.bias, std=0.1)
                module.get_buffer("running_mean").normal_(std=0.1)
                module.get_buffer("running_var").uniform_(0.7, 1.3)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.3)
                # What all images have in common would drown the classes.
                module.weight.sub_(module.weight.mean(dim=1, keepdim=True))
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(net.state_dict(), path)
    return path
