"""Vision transformers whose weights come from a file: the net, and reading published layouts of weights."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from lit_gen.errors import UserError
from lit_gen.metrics.spaces.feature_space import sha256_of_file
from lit_gen.metrics.spaces.resizing import bicubic

HEAD_WIDTH = 64
"""Channels of an attention head, in all of these nets."""
SIZE = 224
DGM_EVAL = "dgm_eval_bicubic224"
"""Name of dgm-eval's transform: Pillow's bicubic to 224 x 224, 0..1, normalized by channel."""


def fast_gelu(x: Tensor) -> Tensor:
    """X * sigmoid(1.702 x), the activation of OpenAI's CLIP."""
    return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self-attention with one matrix for queries, keys and values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Attends over float32 [B, T, D]."""
        q, k, v = (part.unflatten(2, (-1, HEAD_WIDTH)).transpose(1, 2) for part in self.qkv(x).chunk(3, 2))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Scales float32 [B, T, D]."""
        return x * self.gamma


class MLP(nn.Module):
    """Two layers of 4 D and D channels."""

    def __init__(self, width: int, activation: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.fc1, self.fc2, self.activation = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), activation

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Maps float32 [B, T, D]."""
        return self.fc2(self.activation(self.fc1(x)))


class Layer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width: int, eps: float, activation: Callable[[Tensor], Tensor], scaled: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=eps), nn.LayerNorm(width, eps=eps)
        self.attn, self.mlp = Attention(width), MLP(width, activation)
        self.ls1 = LayerScale(width) if scaled else nn.Identity()
        self.ls2 = LayerScale(width) if scaled else nn.Identity()

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Maps float32 [B, T, D]."""
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class VisionTransformer(nn.Module):
    """A vision transformer up to its normalized class token; attributes are named as in DINOv2's files.

    Args:
        width: Number of channels D.
        depth: Number of layers.
        patch: Side of a patch in pixels.
        eps: Of the layer norms.
        activation: Of the MLPs.
        dino: Whether it is DINOv2's: with a patch bias and layer scales; else CLIP's, with a norm before the layers.

    References:
        Dosovitskiy et al. 2021, An image is worth 16x16 words, https://arxiv.org/abs/2010.11929, section 3.1.
    """

    def __init__(
        self, width: int, depth: int, patch: int, eps: float, activation: Callable[[Tensor], Tensor], dino: bool
    ) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (SIZE // patch) ** 2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch, bias=dino)})
        self.norm_pre = nn.Identity() if dino else nn.LayerNorm(width, eps=eps)
        self.blocks = nn.Sequential(*(Layer(width, eps, activation, scaled=dino) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=eps)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """The class token [B, D] of normalized images, float32 [B, 3, 224, 224]."""
        patches = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), patches], 1) + self.pos_embed
        return self.norm(self.blocks(self.norm_pre(tokens))[:, 0])


def dgm_eval_input(x: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """Images uint8 [B, C, H, W] as dgm-eval gives them to its encoders: float32 [B, 3, 224, 224].

    Args:
        x: Images; grey ones are repeated.
        mean: Of each channel, in 0..1.
        deviation: Standard deviation of each channel.

    References:
        Stein et al. 2023, https://arxiv.org/abs/2306.04675; https://github.com/layer6ai-labs/dgm-eval.
    """
    pixels = (bicubic(x, SIZE) / 255).expand(-1, 3, -1, -1)
    return (pixels - pixels.new_tensor(mean)[:, None, None]) / pixels.new_tensor(deviation)[:, None, None]


def read_weights(space: str, weights: str) -> tuple[dict[str, Tensor], str]:
    """Reads a file of tensors, ``.safetensors`` or PyTorch's, without running code from it; returns its SHA-256 too.

    Args:
        space: Name of the feature space, for messages.
        weights: Path of the file.

    Raises:
        UserError: The file is missing or is none of tensors.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise UserError(f"{space}: there is no file of weights {path}")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path), sha256_of_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each format has its own
        reason = str(error).splitlines()[0] if not isinstance(error, pickle.UnpicklingError) else "it holds objects"
        raise UserError(
            f"{space}: {path} is no file of tensors ({reason}); of a TorchScript archive, save the state_dict()"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise UserError(f"{space}: {path} is no dictionary of tensors")
    return found, sha256_of_file(path)


def renamed(state: Mapping[str, Tensor], rules: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    """The tensors under the net's names, with separate queries, keys and values put together.

    Args:
        state: The file's tensors.
        rules: Regular expressions and what replaces them, applied to each name in their order.
    """
    found = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        found[name] = value.float()
    for name in [name for name in found if re.search(r"\.attn\.q\.", name)]:
        parts = [found.pop(name.replace(".q.", f".{part}."), None) for part in "qkv"]
        if all(part is not None for part in parts):
            found[name.replace(".q.", ".qkv.")] = torch.cat([part for part in parts if part is not None])
    return found


def loaded(space: str, net: VisionTransformer, state: Mapping[str, Tensor], weights: str) -> VisionTransformer:
    """The net with these weights, in eval mode; a file may hold more.

    Raises:
        UserError: Weights are missing, or have other shapes.
    """
    own = net.state_dict()
    missing = [name for name in own if name not in state]
    other = [name for name in own if name in state and state[name].shape != own[name].shape]
    if wrong := missing or other:
        what = "lacks" if missing else "has another shape of"
        raise UserError(f"{space}: {weights} {what} '{wrong[0]}', so it holds the weights of another net")
    net.load_state_dict({name: state[name] for name in own})
    return net.requires_grad_(False).eval()
