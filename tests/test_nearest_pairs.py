"""AuthPct compares with the training split, and a page shows the most suspicious samples beside their neighbours."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import run_fit
from PIL import Image

from lit_gen.data import Digits
from lit_gen.media.nearest_pairs import write_pairs_page
from lit_gen.metrics import Pairs
from lit_gen.quantization import to_uint8
from lit_gen.records.record import read_record


def images(page: str) -> list[torch.Tensor]:
    """Pixels of the page's images in order."""
    found = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return [torch.from_numpy(np.array(Image.open(io.BytesIO(base64.b64decode(one))))) for one in found]


def test_the_page_holds_each_sample_and_its_neighbour(tmp_path: Path) -> None:
    samples = torch.arange(2 * 3 * 4 * 4, dtype=torch.uint8).reshape(2, 3, 4, 4)
    pairs = Pairs(torch.tensor([7, 5]), torch.tensor([100, 3]), torch.tensor([0.0, 0.25]))
    page = write_pairs_page(samples, 255 - samples, pairs, tmp_path / "a" / "page.html", space="x<y", total=1234)
    text = page.read_text()
    assert "0.000: sample 7, training image 100" in text
    assert text.index("0.000: sample 7") < text.index("0.250: sample 5, training image 3")
    assert "x&lt;y" in text
    assert "1,234 samples" in text
    expected = [samples[0], 255 - samples[0], samples[1], 255 - samples[1]]
    assert all(torch.equal(a.permute(2, 0, 1), b) for a, b in zip(images(text), expected, strict=True))


def test_a_run_compares_with_the_training_split_and_shows_the_pairs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_fit("vae", tmp_path, "one", "--quality.statistics+=AuthPct", "--quality.every=100")
    record = read_record(run / "record.json")
    (score,) = (s for s in record.scores if s.name == "authpct_mnist_cnn")
    protocol = score.protocol
    assert (protocol.reference_split, protocol.num_examples, protocol.split) == ("train", 1000, None)
    assert protocol.statistic == {"k": 1, "rule": "<"}
    assert (score.unit, score.label) == ("%", "AuthPct-mnist_cnn")
    assert 0 < score.value <= 100
    (baseline,) = (s for s in record.baselines if s.name == "authpct_mnist_cnn")
    assert baseline.value == 0  # real training images are copies of themselves
    assert record.files["nearest_pairs"] == "samples/nearest_pairs.html"
    assert "nearest_pairs.html" in capsys.readouterr().out
    text = (run / record.files["nearest_pairs"]).read_text()
    ratios = [float(one) for one in re.findall(r"([\d.]+): sample", text)]
    assert len(ratios) == 40
    assert ratios == sorted(ratios)
    # The share of ratios above 1 is the score, and the neighbours are training images of the data.
    assert 100 * sum(ratio > 1 for ratio in ratios) / 40 == pytest.approx(score.value)
    data = Digits()
    data.prepare_data()
    data.setup("fit")
    train = to_uint8(data.split("train").x, data.num_levels)
    row = int(re.findall(r"training image (\d+)", text)[0])
    assert torch.equal(images(text)[1], train[row, 0])
