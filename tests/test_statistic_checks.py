"""Statistics that the numbers of samples or examples do not allow are rejected before a run has a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import options

from lit_gen import fit
from lit_gen.cli.command_line import CLI
from lit_gen.cli.process import run_command


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            ["PrecisionRecall", "k=36"],
            "PrecisionRecall: k is 36, and there are 40 samples; give 1 to 35, or more samples",
        ),
        (
            ["DensityCoverage", "k=350"],
            "val split: DensityCoverage: k is 350, and there are 350 reference examples; give 1 to 349,"
            " or more reference examples",
        ),
        (
            ["KID", "num_subsets=10"],
            "KID: subset_size is 1000, and there are 40 samples; give 2 to 40, or num_subsets=0 for the statistic over"
            " all pairs",
        ),
        (["NGramOverlap"], "NGramOverlap takes symbols, and the features of MnistCNN are vectors"),
    ],
)
def test_too_few_for_a_statistic_is_one_line(
    given: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, *settings = given
    more = [f"--quality.statistics+={name}", *(f"--quality.statistics.{setting}" for setting in settings)]
    assert run_command(fit.main, options("vae", tmp_path / "runs", *more)) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: quality.statistics: {line}"
    assert not (tmp_path / "runs").exists()


def test_the_validation_split_is_not_asked_where_samples_are_scored_at_the_end_alone(tmp_path: Path) -> None:
    """The test split has 447 examples, validation 350."""
    more = ["--quality.statistics+=DensityCoverage", "--quality.statistics.k=400", "--quality.during_training=false"]
    CLI(options("vae", tmp_path, *more))
