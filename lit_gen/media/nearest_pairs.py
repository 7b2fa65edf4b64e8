"""A page of samples beside the training examples that are nearest to them."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from lit_gen.metrics import Pairs

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>
body {{ font: 14px/1.5 sans-serif; margin: 2em auto; max-width: 60em; color: #222; }}
.pairs {{ display: flex; flex-wrap: wrap; gap: 14px; }}
figure {{ margin: 0; }} figcaption {{ font-size: 12px; }}
img {{ width: 112px; image-rendering: pixelated; border: 1px solid #999; }}
</style></head><body><h1>{title}</h1>
<p>Left of each pair is a sample, right the training image that is nearest to it in the features of {space}. The number
is the distance of the two, divided by that of the training image from its own nearest other training image. Below 1 a
sample counts as not authentic, and a copy has 0. The pairs with the smallest numbers of {total:,} samples are shown.
No number proves that a sample is a copy, or that it is none: look at the pictures.</p>
<div class="pairs">
{figures}
</div></body></html>
"""


def _image(x: Tensor) -> str:
    """A picture uint8 [C, H, W] as an element of the page."""
    pixels = np.ascontiguousarray(x.permute(1, 2, 0).numpy())
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def write_pairs_page(
    samples: Tensor, examples: Tensor, pairs: Pairs, path: Path, *, space: str, total: int
) -> Path:
    """Writes the page, one file without links; its folder is created.

    Args:
        samples: Images uint8 [n, C, H, W], C of 1 or 3, the most suspicious first.
        examples: The nearest training images, of the same shape.
        pairs: Numbers of both, and ratios of distances.
        path: Path of the file.
        space: Name of the feature space.
        total: Number of samples that were looked at.
    """
    figures = "\n".join(
        f"<figure>{_image(sample)}{_image(example)}<figcaption>{ratio:.3f}: sample {number}, training image {row}"
        "</figcaption></figure>"
        for sample, example, number, row, ratio in zip(
            samples, examples, *(part.tolist() for part in pairs), strict=True
        )
    )
    page = _PAGE.format(title="Samples and their nearest training images", space=html.escape(space), total=total,
                        figures=figures)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")
    return path
