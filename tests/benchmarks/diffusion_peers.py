"""The peers' DDPM on the architecture of ours; programs that take turns.

    python -m benchmarks.diffusion_peers train|sample diffusers|denoising-diffusion-pytorch

A U-Net of 28-14-7 with 32, 64 and 64 channels, a block a level, attention on the smallest. ``diffusers`` is its own
``UNet2DModel`` in the plain loop of its documentation, without the average of the weights that is an option there.
``denoising-diffusion-pytorch`` trains by its own ``Trainer``, with its average, around *our* network, which is the
faster of the two; and on a tensor in memory, as all others here, since its own folder of PNG files costs it a hundredth
of a step more. Of lit_gen only that network is imported, which needs torch alone.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.turns import is_over, take_turns, tell, wait_for_turn

BATCH, LEVELS, TIMESTEPS = 32, 256, 1000
SAMPLES, EVALUATIONS = 64, 50  # images at a time, and how often the network sees each of them
PACKAGES = {"diffusers": "diffusers", "denoising-diffusion-pytorch": "denoising_diffusion_pytorch"}


def is_there(peer: str) -> bool:
    """Whether it can be imported."""
    return importlib.util.find_spec(PACKAGES[peer]) is not None


def batches() -> Iterator[Tensor]:
    """Levels from the usual loader over a tensor in memory, for ever."""
    x = torch.randint(0, LEVELS, (60_000, 1, 28, 28), dtype=torch.uint8)
    loader = DataLoader(TensorDataset(x), batch_size=BATCH, shuffle=True, drop_last=True)
    while True:
        for (batch,) in loader:
            yield batch


def count(model: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


# ------------------------------------------------------------------ diffusers


def unet() -> nn.Module:
    """The architecture, without its defaults where they are not the paper's."""
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        block_out_channels=(32, 64, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        attention_head_dim=None,
        norm_num_groups=8,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
    )


def scheduler() -> Any:
    from diffusers import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=TIMESTEPS)


def diffusers_loss(net: nn.Module, noise_scheduler: Any, x: Tensor) -> Tensor:
    """The noise's squared error for levels ``[B, 1, 28, 28]``, as in the documentation's training loop."""
    clean = x.float() / 127.5 - 1
    noise = torch.randn_like(clean)
    timesteps = torch.randint(0, noise_scheduler.config.num_train_timesteps, (len(clean),))
    noisy = noise_scheduler.add_noise(clean, noise, timesteps)
    return F.mse_loss(net(noisy, timesteps, return_dict=False)[0], noise)


def train_diffusers() -> None:
    """The plain loop."""
    net, noise_scheduler, stream = unet(), scheduler(), batches()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)

    def step() -> int:
        x = next(stream)
        diffusers_loss(net, noise_scheduler, x).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return len(x)

    take_turns(step, count(net), lambda: math.nan)


def sample_diffusers() -> None:
    """The pipeline, ancestral, without its progress bar."""
    from diffusers import DDPMPipeline

    net = unet().eval()
    pipeline = DDPMPipeline(net, scheduler())
    pipeline.set_progress_bar_config(disable=True)

    def draw() -> int:
        images = pipeline(batch_size=SAMPLES, num_inference_steps=EVALUATIONS, output_type="np").images
        return len((images * (LEVELS - 1)).round().astype("uint8")) * EVALUATIONS

    take_turns(draw, count(net), lambda: math.nan)


# ------------------------------------------------------------------ denoising-diffusion-pytorch


class Wrapped(nn.Module):
    """Our network with the attributes and the arguments that the package expects of one."""

    channels, out_dim, self_condition = 1, 1, False

    def __init__(self) -> None:
        super().__init__()
        from lit_gen.nets import UNetNets

        self.net = UNetNets(32, (1, 2, 2), 1, (7,), num_groups=8).build((1, 28, 28), 1, 1, 0)

    def forward(self, x: Tensor, time: Tensor, x_self_cond: None = None) -> Tensor:
        return self.net(x, time)


def gaussian_diffusion() -> nn.Module:
    from denoising_diffusion_pytorch import GaussianDiffusion

    return GaussianDiffusion(
        Wrapped(),
        image_size=28,
        timesteps=TIMESTEPS,
        sampling_timesteps=EVALUATIONS,
        objective="pred_noise",
        beta_schedule="linear",
    )


def scaled(x: Tensor) -> Tensor:
    """Levels as its own data set gives them, in [0, 1]."""
    return x.float() / (LEVELS - 1)


def batches_in_turns(parameters: int) -> Iterator[Tensor]:
    """For a loop that is not ours: what lies between two batches is a step."""
    since, images = wait_for_turn(), 0
    for x in batches():
        yield scaled(x)
        images += len(x)
        if is_over(since):
            tell(images, since, parameters, math.nan)
            since, images = wait_for_turn(), 0


def train_denoising_diffusion_pytorch() -> None:
    """Its trainer, which measures FID by a network that must be downloaded unless it is told not to."""
    from denoising_diffusion_pytorch import Trainer
    from PIL import Image

    diffusion = gaussian_diffusion()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(100):  # it refuses to start with less, and reads none of them here
            Image.new("L", (28, 28)).save(Path(folder) / f"{i}.png")
        trainer = Trainer(
            diffusion,
            folder,
            train_batch_size=BATCH,
            train_num_steps=10**9,
            save_and_sample_every=10**9,
            results_folder=folder,
            calculate_fid=False,
        )
        trainer.dl = batches_in_turns(count(diffusion))
        trainer.train()


def sample_denoising_diffusion_pytorch() -> None:
    """DDIM: what it does wherever there are fewer steps than timesteps."""
    diffusion = gaussian_diffusion().eval()

    def draw() -> int:
        images = diffusion.sample(batch_size=SAMPLES)  # type: ignore[operator]
        return len((images * (LEVELS - 1)).round().to(torch.uint8)) * EVALUATIONS

    take_turns(draw, count(diffusion), lambda: math.nan)


if __name__ == "__main__":
    {
        ("train", "diffusers"): train_diffusers,
        ("sample", "diffusers"): sample_diffusers,
        ("train", "denoising-diffusion-pytorch"): train_denoising_diffusion_pytorch,
        ("sample", "denoising-diffusion-pytorch"): sample_denoising_diffusion_pytorch,
    }[sys.argv[1], sys.argv[2]]()
