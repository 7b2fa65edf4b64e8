"""DINOv2's class token, from weights that the user has."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace
from lit_gen.metrics.spaces.vision_transformer import (
    DGM_EVAL,
    SIZE,
    VisionTransformer,
    dgm_eval_input,
    loaded,
    read_weights,
    renamed,
)
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.kernel import KID
from lit_gen.metrics.statistics.statistic import Statistic

PATCH = 14
NAMES = {384: "dinov2_vits14", 768: "dinov2_vitb14", 1024: "dinov2_vitl14"}
"""Names of the published nets by their number of channels."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_OFFSET = 0.1  # added to the sides of the resized map of positions, in the published code

# Names of the hub's files, old and new, and those of the published code.
_RULES = (
    (r"^dinov2\.", ""),
    (r"^embeddings\.cls_token", "cls_token"),
    (r"^embeddings\.position_embeddings", "pos_embed"),
    (r"^embeddings\.patch_embeddings\.projection", "patch_embed.proj"),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.(?:attention\.)?([qkv])(?:uery|ey|alue|_proj)\.", r".attn.\1."),
    (r"\.attention\.(?:output\.dense|o_proj)\.", ".attn.proj."),
    (r"\.layer_scale([12])\.lambda1", r".ls\1.gamma"),
    (r"^layernorm\.", "norm."),
)


def resized_positions(positions: Tensor, side: int) -> Tensor:
    """A map of positions interpolated to another side, as DINOv2's published code does.

    Args:
        positions: [1, 1 + s^2, D], that of the class token first.
        side: Number of patches along a side of the result.

    Returns:
        [1, 1 + side^2, D].
    """
    own = round((positions.shape[1] - 1) ** 0.5)
    if own == side:
        return positions
    grid = positions[:, 1:].unflatten(1, (own, own)).permute(0, 3, 1, 2)
    factor = (side + _OFFSET) / own
    grid = F.interpolate(grid, scale_factor=(factor, factor), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], 1)


class DINOv2(FeatureSpace):
    """The normalized class token of DINOv2 ViT-S/14, B/14 or L/14, which the file decides.

    The scores are FD-dinov2_vits14 and so on: 384, 768 or 1,024 features, no classifier. Images are resized to
    224 x 224 as in dgm-eval, whose published figures are those of ViT-L/14 and 50,000 samples; torch-fidelity resizes
    differently and gives others. It was held to another implementation on random weights; published ones were not at
    hand.

    Args:
        weights: Path of the weights: ``dinov2_vitl14_pretrain.pth`` and its like, or ``model.safetensors`` of the
            hub's ``facebook/dinov2-large``.

    Raises:
        UserError: The file is missing, or of another net; nets with registers, and ViT-g, are not supported.

    References:
        Oquab et al. 2023, DINOv2: learning robust visual features without supervision,
        https://arxiv.org/abs/2304.07193.
        Stein et al. 2023, Exposing flaws of generative model evaluation metrics, https://arxiv.org/abs/2306.04675.
    """

    internal_batch = 8
    slow_on_cpu: ClassVar[bool] = True
    few_examples: ClassVar[int] = 2048

    def __init__(self, weights: str) -> None:
        super().__init__()
        state, self.sha256 = read_weights("DINOv2", weights)
        state = renamed(state, _RULES)
        width = state["cls_token"].shape[-1] if "cls_token" in state else 0
        registers = any("register" in name for name in state)
        if width not in NAMES or registers:
            why = "has registers" if registers else "is none of ViT-S/14, ViT-B/14 and ViT-L/14"
            raise UserError(f"DINOv2: the net in {weights} {why}; give one of {', '.join(NAMES.values())}")
        self.name, self.num_features = NAMES[width], width
        depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))
        if "pos_embed" in state:
            state["pos_embed"] = resized_positions(state["pos_embed"], SIZE // PATCH)
        with torch.random.fork_rng(devices=[]):
            net = VisionTransformer(width, depth, PATCH, 1e-6, F.gelu, dino=True)
        self.net = loaded("DINOv2", net, state, weights)

    @property
    @override
    def transform(self) -> str:
        """dgm-eval's, with ImageNet's means."""
        return DGM_EVAL

    @property
    @override
    def default_statistics(self) -> tuple[type[Statistic], ...]:
        """The Frechet distance and KID."""
        return (FrechetDistance, KID)

    @override
    def extract(self, x: Tensor) -> Features:
        """Features of uint8 [8, C, H, W]."""
        features = self.net(dgm_eval_input(x, MEAN, DEVIATION))
        return Features(features, features.new_zeros(len(x), 0))
