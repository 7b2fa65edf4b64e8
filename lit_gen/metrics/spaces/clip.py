"""CLIP's image encoder, from weights that the user has."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from lit_gen.metrics.spaces.feature_space import Features, FeatureSpace
from lit_gen.metrics.spaces.vision_transformer import (
    DGM_EVAL,
    VisionTransformer,
    dgm_eval_input,
    fast_gelu,
    loaded,
    read_weights,
    renamed,
)
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.kernel import KID
from lit_gen.metrics.statistics.statistic import Statistic

WIDTH, DEPTH, PATCH = 768, 12, 32
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)

# Names of OpenAI's and OpenCLIP's files, then of the hub's.
_RULES = (
    (r"^visual\.", ""),
    (r"^(?:class_embedding|(?:vision_model\.)?embeddings\.class_embedding)$", "cls_token"),
    (r"^(?:positional_embedding|(?:vision_model\.)?embeddings\.position_embedding\.weight)$", "pos_embed"),
    (r"^(?:conv1|(?:vision_model\.)?embeddings\.patch_embedding)\.", "patch_embed.proj."),
    (r"^(?:ln_pre|(?:vision_model\.)?pre_layrnorm)\.", "norm_pre."),
    (r"^(?:ln_post|(?:vision_model\.)?post_layernorm)\.", "norm."),
    (r"^(?:transformer\.resblocks|(?:vision_model\.)?encoder\.layers)\.", "blocks."),
    (r"^(blocks\.\d+)\.(?:ln_|layer_norm)([12])\.", r"\1.norm\2."),
    (r"\.attn\.in_proj_(weight|bias)$", r".attn.qkv.\1"),
    (r"\.attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.([qkv])_proj\.", r".attn.\1."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
)


class CLIP(FeatureSpace):
    """The normalized class token of CLIP's image encoder ViT-B/32: 768 features before the projection to text.

    These are the features that dgm-eval takes, with its transform. The scores are FD-clip_vitb32, or with
    ``quick_gelu=false`` FD-openclip_vitb32. It was held to another implementation on random weights; published ones
    were not at hand.

    Args:
        weights: Path of the weights: the ``state_dict`` of OpenAI's or OpenCLIP's model, or ``model.safetensors`` of
            the hub's ``openai/clip-vit-base-patch32``; the text encoder's are not read.
        quick_gelu: Whether the net was trained with OpenAI's approximation of GELU, which a file does not say: true for
            OpenAI's weights, false for LAION's.

    Raises:
        UserError: The file is missing, or of another net.

    References:
        Radford et al. 2021, Learning transferable visual models from natural language supervision,
        https://arxiv.org/abs/2103.00020.
    """

    internal_batch = 8
    slow_on_cpu: ClassVar[bool] = True
    few_examples: ClassVar[int] = 2048

    def __init__(self, weights: str, quick_gelu: bool = True) -> None:
        super().__init__()
        state, self.sha256 = read_weights("CLIP", weights)
        # The text encoder's names are those of the images' but for the prefix.
        own = {name: value for name, value in state.items() if name.startswith(("visual.", "vision_model."))}
        state = renamed(own or state, _RULES)
        self.name = "clip_vitb32" if quick_gelu else "openclip_vitb32"
        self.num_features = WIDTH
        for name, shape in (("cls_token", (1, 1, WIDTH)), ("pos_embed", (1, -1, WIDTH))):
            if name in state and state[name].shape[-1] == WIDTH:
                state[name] = state[name].reshape(shape)
        activation = fast_gelu if quick_gelu else F.gelu
        with torch.random.fork_rng(devices=[]):
            net = VisionTransformer(WIDTH, DEPTH, PATCH, 1e-5, activation, dino=False)
        self.net = loaded("CLIP", net, state, weights)

    @property
    @override
    def transform(self) -> str:
        """dgm-eval's, with CLIP's means."""
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
