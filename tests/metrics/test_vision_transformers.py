"""DINOv2 and CLIP against another implementation on random weights, and the layouts of their files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics import CLIP, DINOv2, chosen
from lit_gen.metrics.spaces import clip
from lit_gen.metrics.spaces.dinov2 import MEAN, resized_positions
from lit_gen.metrics.spaces.resizing import bicubic
from lit_gen.metrics.spaces.vision_transformer import dgm_eval_input
from lit_gen.metrics.statistics.frechet import FrechetDistance
from lit_gen.metrics.statistics.kernel import KID


def transformers() -> Any:
    return pytest.importorskip("transformers", reason="needs the package transformers")


def images(n: int = 3) -> Tensor:
    return torch.randint(0, 256, (n, 3, 40, 40), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def randomized(net: torch.nn.Module) -> torch.nn.Module:
    """The net with weights that no layer could be exchanged for: norms and scales too."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + noise * (0.02 if parameter.ndim > 1 else 0.2))
            if "lambda" in name:
                parameter.clamp_(min=0.1)
    return net.eval()


SIZES = [
    (384, 12, "dinov2_vits14"),
    pytest.param(768, 12, "dinov2_vitb14", marks=pytest.mark.slow),
    pytest.param(1024, 24, "dinov2_vitl14", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("width", "depth", "name"), SIZES)
def test_dinov2_equals_transformers_on_copied_weights(width: int, depth: int, name: str, tmp_path: Path) -> None:
    peers = transformers()
    config = peers.Dinov2Config(
        hidden_size=width, num_attention_heads=width // 64, num_hidden_layers=depth, image_size=224
    )
    net = randomized(peers.Dinov2Model(config))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    space = DINOv2(str(tmp_path / "net.pth"))
    assert (space.name, space.num_features, space.num_classes) == (name, width, 0)
    with torch.no_grad():
        theirs = net(dgm_eval_input(images(), MEAN, (0.229, 0.224, 0.225))).last_hidden_state[:, 0]
    torch.testing.assert_close(space(images()).features, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    assert float(theirs.std()) > 0.1


@pytest.mark.parametrize(
    ("activation", "depth"),
    [("quick_gelu", 2), ("gelu", 2), pytest.param("quick_gelu", 12, marks=pytest.mark.slow)],
)
def test_clip_equals_transformers_on_copied_weights(
    activation: str, depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peers = transformers()
    monkeypatch.setattr(clip, "DEPTH", depth)
    net = randomized(peers.CLIPVisionModel(peers.CLIPVisionConfig(hidden_act=activation, num_hidden_layers=depth)))
    torch.save(net.state_dict(), tmp_path / "net.pth")
    space = CLIP(str(tmp_path / "net.pth"), quick_gelu=activation == "quick_gelu")
    x = dgm_eval_input(images(), (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    with torch.no_grad():
        theirs = net(x).pooler_output
    torch.testing.assert_close(space(images()).features, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    other = CLIP(str(tmp_path / "net.pth"), quick_gelu=activation != "quick_gelu")
    assert (space(images()).features - other(images()).features).abs().max() > 1e-3
    assert {space.name, other.name} == {"clip_vitb32", "openclip_vitb32"}


def published_dinov2(width: int = 384, depth: int = 1, grid: int = 37) -> dict[str, Tensor]:
    """Random weights under the names of the published code's files."""
    generator = torch.Generator().manual_seed(2)
    shapes: dict[str, tuple[int, ...]] = {
        "cls_token": (1, 1, width), "pos_embed": (1, 1 + grid**2, width), "mask_token": (1, width),
        "patch_embed.proj.weight": (width, 3, 14, 14), "patch_embed.proj.bias": (width,),
        "norm.weight": (width,), "norm.bias": (width,),
    }
    for i in range(depth):
        shapes |= {f"blocks.{i}.{name}": shape for name, shape in {
            "norm1.weight": (width,), "norm1.bias": (width,), "norm2.weight": (width,), "norm2.bias": (width,),
            "attn.qkv.weight": (3 * width, width), "attn.qkv.bias": (3 * width,),
            "attn.proj.weight": (width, width), "attn.proj.bias": (width,),
            "ls1.gamma": (width,), "ls2.gamma": (width,),
            "mlp.fc1.weight": (4 * width, width), "mlp.fc1.bias": (4 * width,),
            "mlp.fc2.weight": (width, 4 * width), "mlp.fc2.bias": (width,),
        }.items()}
    return {name: 0.05 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def hub_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same weights as the hub's files have them, with queries, keys and values apart."""
    found = {}
    for name, value in state.items():
        name = name.replace("blocks.", "encoder.layer.").replace("attn.proj", "attention.output.dense")
        name = name.replace("ls1.gamma", "layer_scale1.lambda1").replace("ls2.gamma", "layer_scale2.lambda1")
        name = {"cls_token": "embeddings.cls_token", "pos_embed": "embeddings.position_embeddings"}.get(name, name)
        name = name.replace("patch_embed.proj", "embeddings.patch_embeddings.projection")
        name = f"layernorm.{name[5:]}" if name.startswith("norm.") else name
        if "attn.qkv" in name:
            for part, chunk in zip(("query", "key", "value"), value.chunk(3), strict=True):
                found[name.replace("attn.qkv", f"attention.attention.{part}")] = chunk.contiguous()
        else:
            found[name] = value
    return found


def test_both_layouts_of_files_give_the_same_features(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = published_dinov2()
    torch.save(state, tmp_path / "published.pth")
    save_file(hub_names(state), tmp_path / "hub.safetensors")
    published, hub = DINOv2(str(tmp_path / "published.pth")), DINOv2(str(tmp_path / "hub.safetensors"))
    features = published(images()).features
    assert torch.equal(features, hub(images()).features)
    assert published.sha256 != hub.sha256
    assert (features[0] - features[1]).abs().max() > 1e-4
    assert published.transform == "dgm_eval_bicubic224"
    assert chosen(published, None, 1000) == [KID, FrechetDistance]


def test_positions_are_interpolated_with_the_published_offset() -> None:
    """Of a linear map it is about the line itself: place i of 16 lies at (i + 0.5) 37 / 16.1 - 0.5."""
    place = torch.arange(37.0)
    grid = torch.stack([place[:, None].expand(37, 37), place.expand(37, 37)], -1).reshape(1, -1, 2)
    found = resized_positions(torch.cat([torch.tensor([[[7.0, 8.0]]]), grid], 1), 16)
    assert found[0, 0].tolist() == [7, 8]
    rows = found[0, 1:].unflatten(0, (16, 16))
    expected = (torch.arange(16) + 0.5) * 37 / 16.1 - 0.5
    torch.testing.assert_close(rows[1:15, 3, 0], expected[1:15], rtol=0, atol=0.05)
    torch.testing.assert_close(rows[3, 1:15, 1], expected[1:15], rtol=0, atol=0.05)
    assert abs(float(rows[14, 0, 0]) - (14.5 * 37 / 16 - 0.5)) > 0.15  # where it would lie without the offset
    assert torch.equal(resized_positions(found, 16), found)


def test_the_transform_is_pillows_bicubic_in_0_to_1_normalized() -> None:
    x = images(1)
    found = dgm_eval_input(x, MEAN, (0.229, 0.224, 0.225))
    back = found * torch.tensor([0.229, 0.224, 0.225])[:, None, None] + torch.tensor(MEAN)[:, None, None]
    torch.testing.assert_close(255 * back, bicubic(x, 224), rtol=0, atol=1e-3)
    assert found.shape == dgm_eval_input(x[:, :1], MEAN, (0.229, 0.224, 0.225)).shape


def test_openais_layout_keeps_the_text_encoder_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its names are those of the images' encoder without the prefix."""
    peers = transformers()
    monkeypatch.setattr(clip, "DEPTH", 1)
    net = randomized(peers.CLIPVisionModel(peers.CLIPVisionConfig(num_hidden_layers=1)))
    theirs = net.state_dict()
    own: dict[str, Tensor] = {
        "visual.class_embedding": theirs["embeddings.class_embedding"],
        "visual.positional_embedding": theirs["embeddings.position_embedding.weight"],
        "visual.conv1.weight": theirs["embeddings.patch_embedding.weight"],
        "positional_embedding": torch.zeros(77, 512),
        "transformer.resblocks.0.ln_1.weight": torch.zeros(512),
        "visual.proj": torch.zeros(768, 512),
    }
    for kind in ("weight", "bias"):
        own[f"visual.ln_pre.{kind}"] = theirs[f"pre_layrnorm.{kind}"]
        own[f"visual.ln_post.{kind}"] = theirs[f"post_layernorm.{kind}"]
        for i in range(1):
            to, of = f"visual.transformer.resblocks.{i}", f"encoder.layers.{i}"
            own[f"{to}.attn.in_proj_{kind}"] = torch.cat([theirs[f"{of}.self_attn.{p}_proj.{kind}"] for p in "qkv"])
            own[f"{to}.attn.out_proj.{kind}"] = theirs[f"{of}.self_attn.out_proj.{kind}"]
            for ours, their in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2"), ("mlp.c_fc", "mlp.fc1"),
                                ("mlp.c_proj", "mlp.fc2")):
                own[f"{to}.{ours}.{kind}"] = theirs[f"{of}.{their}.{kind}"]
    torch.save(own, tmp_path / "openai.pth")
    torch.save(theirs, tmp_path / "hub.pth")
    found = [CLIP(str(tmp_path / name))(images()).features for name in ("openai.pth", "hub.pth")]
    assert torch.equal(*found)


@pytest.mark.parametrize("space", [DINOv2, CLIP])
def test_other_files_are_rejected_in_one_line(space: type[DINOv2] | type[CLIP], tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    with pytest.raises(UserError, match=r"there is no file of weights .*net\.pth"):
        space(str(path))
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"net\.pth is no file of tensors") as error:
        space(str(path))
    assert "\n" not in str(error.value)
    torch.save(torch.nn.Linear(2, 2), path)
    with pytest.raises(UserError, match="it holds objects"):
        space(str(path))
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(UserError, match=r"lacks 'cls_token'|is none of ViT-S/14"):
        space(str(path))


def test_nets_with_registers_and_other_sizes_are_rejected(tmp_path: Path) -> None:
    path = str(tmp_path / "net.pth")
    torch.save({**published_dinov2(), "register_tokens": torch.zeros(1, 4, 384)}, path)
    with pytest.raises(UserError, match="has registers; give one of dinov2_vits14, dinov2_vitb14, dinov2_vitl14"):
        DINOv2(path)
    state = published_dinov2()
    torch.save({name: value for name, value in state.items() if name != "blocks.0.ls1.gamma"}, path)
    with pytest.raises(UserError, match=r"lacks 'blocks\.0\.ls1\.gamma', so it holds the weights of another net"):
        DINOv2(path)
