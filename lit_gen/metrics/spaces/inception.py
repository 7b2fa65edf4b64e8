"""The Inception net that FID and IS are defined by, as torch-fidelity ships it."""

from __future__ import annotations

import pickle
from pathlib import Path
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace, sha256_of_file


def downloaded_weights() -> Path:
    """torch-fidelity's own weights in torch's hub cache, downloaded there first if need be.

    Raises:
        UserError: when they cannot be had.
    """
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    path = Path(torch.hub.get_dir()) / "checkpoints" / URL_INCEPTION_V3.rsplit("/", 1)[1]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        checksum = path.stem.rsplit("-", 1)[1]
        try:
            torch.hub.download_url_to_file(URL_INCEPTION_V3, str(path), hash_prefix=checksum, progress=False)
        except (URLError, OSError, RuntimeError) as error:
            raise UserError(
                f"the Inception weights cannot be downloaded ({error}); fetch {URL_INCEPTION_V3} where "
                "there is a network and give the file's path as `weights`"
            ) from error
    return path


def is_torch_fidelitys(sha256: str) -> bool:
    """Whether a weight file is the one that torch-fidelity publishes, whose name holds its checksum's first digits."""
    from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3

    return sha256.startswith(URL_INCEPTION_V3.rsplit("-", 1)[1].removesuffix(".pth"))


def checked_weights(weights: str | None) -> Path:
    """The path of a weight file that is there and holds nothing but tensors.

    torch-fidelity unpickles whatever it is given; this looks first, with the loader that runs no code.

    Raises:
        UserError: for a file that is missing or is not a dictionary of tensors.
    """
    path = downloaded_weights() if weights is None else Path(weights).expanduser()
    if not path.is_file():
        raise UserError(
            f"Inception weights: there is no file {path}; leave `weights` out to have it downloaded"
        )
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"Inception weights: {path} is not a PyTorch file of weights ({reason})") from error
    return path


def fold_batch_norms(net: nn.Module) -> None:
    """Multiplies every batch norm into the convolution before it, in place: one pass over memory less."""
    for module in list(net.modules()):
        conv, norm = getattr(module, "conv", None), getattr(module, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(conv, norm)
            module.bn = nn.Identity()


class Inception(FeatureSpace):
    """torch-fidelity's "inception-v3-compat": TensorFlow 1's resize, 2,048 pool features, 1,008 logits.

    Batch norms are folded and the layout is channels-last, which gives 1.45 times the images per second;
    values equal torch-fidelity's to float32 rounding. Grey images are repeated to three channels. The
    distance in this space, with torch-fidelity's own weights, is what the field calls FID; with any others it is
    named fd_inception, and the score is_inception.

    Args:
        weights: path of a weight file in torch-fidelity's format; None downloads it once into torch's hub
            cache.

    Raises:
        UserError: when the file is missing, is something else, or cannot be downloaded.

    References:
        Szegedy et al. 2015, Rethinking the Inception architecture, https://arxiv.org/abs/1512.00567.
        Obukhov et al. 2020, torch-fidelity, https://github.com/toshas/torch-fidelity.
    """

    name = "inception"
    internal_batch = 25
    few_examples = 2048

    def __init__(self, weights: str | None = None) -> None:
        super().__init__()
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        path = checked_weights(weights)
        self.sha256 = sha256_of_file(path)
        self.num_features, self.num_classes = 2048, 1008
        # The initial weights are thrown away, and must not move the training's generator.
        with torch.random.fork_rng(devices=[]):
            try:
                net = FeatureExtractorInceptionV3(
                    "inception-v3-compat",
                    ["2048", "logits_unbiased"],
                    feature_extractor_weights_path=str(path),
                )
            except RuntimeError as error:
                raise UserError(f"Inception weights: {path} holds the weights of another net") from error
        fold_batch_norms(net)
        self.net = net.to(memory_format=torch.channels_last)
        self.requires_grad_(False)
        self.eval()

    @property
    @override
    def network(self) -> str | None:
        """None with the weights that define FID and IS, which then need no name of a network."""
        return None if is_torch_fidelitys(self.sha256) else self.name

    def extract(self, x: Tensor) -> Features:
        """Features of uint8 [25, C, H, W]."""
        features, logits = self.net(x.expand(-1, 3, -1, -1))
        return Features(features, logits)
