"""N-gram counts, and the divergence of two of them: its closed forms, its bias, and what it refuses."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import Tensor

from lit_gen.errors import UserError
from lit_gen.metrics.factory import score_specs
from lit_gen.metrics.quality import score_samples
from lit_gen.metrics.reference import reference_summaries
from lit_gen.metrics.spaces.ngrams import NGrams
from lit_gen.metrics.statistics.jensen_shannon import JensenShannon, jensen_shannon
from lit_gen.metrics.statistics.ngram_overlap import NGramOverlap

from .test_quality import on_ranks


def text(windows: int, length: int = 20, symbols: int = 5, seed: int = 0, skew: float = 1.0) -> Tensor:
    """Symbols that are rarer the higher they are."""
    p = skew ** torch.arange(symbols, dtype=torch.float64)
    drawn = torch.multinomial(p, windows * length, True, generator=torch.Generator().manual_seed(seed))
    return drawn.to(torch.uint8).view(windows, length)


def counts(space: NGrams, x: Tensor) -> Tensor:
    statistic = JensenShannon(space.num_features)
    statistic.update(space(x).features, torch.arange(len(x)))
    return statistic.summary()["count"]


# ------------------------------------------------------------------ counting


@pytest.mark.parametrize("n", [1, 2, 3])
def test_every_n_gram_within_a_window_is_counted_and_none_across(n: int) -> None:
    x = text(7)
    expected = Counter(tuple(row[i : i + n]) for row in x.tolist() for i in range(20 - n + 1))
    count = counts(NGrams(n, 5), x)
    assert len(expected) > 1
    assert float(count.sum()) == 7 * (20 - n + 1)
    for gram, times in expected.items():
        assert float(count[sum(s * 5 ** (n - 1 - i) for i, s in enumerate(gram))]) == times


def test_the_largest_number_is_the_last_n_gram() -> None:
    last = torch.full((1, 3), 255, dtype=torch.uint8)
    count = counts(NGrams(2, 256), last)
    assert (len(count), float(count[-1]), float(count.sum())) == (65_536, 2, 2)


def test_the_batch_changes_nothing() -> None:
    """More windows than are taken at once, in one go and one by one."""
    extractor, x = NGrams(2, 5), text(260)
    whole = extractor(x).features
    assert torch.equal(torch.cat([extractor(row[None]).features for row in x[:9]]), whole[:9])
    assert torch.equal(extractor(x[100:]).features, whole[100:])
    assert torch.equal(counts(extractor, x), counts(extractor, x[:7]) + counts(extractor, x[7:]))


# ------------------------------------------------------------------ the divergence


def test_nothing_lies_between_a_distribution_and_itself() -> None:
    own = counts(NGrams(3, 5), text(50))
    assert jensen_shannon(own, own) == 0
    twice = own + own
    assert jensen_shannon(own, twice) == pytest.approx(0, abs=1e-15)


def test_one_bit_lies_between_those_that_share_nothing() -> None:
    low, high = text(30, symbols=3), text(40, symbols=2) + 3
    extractor = NGrams(2, 5)
    assert jensen_shannon(counts(extractor, low), counts(extractor, high)) == pytest.approx(1, abs=1e-12)


def test_it_is_scipys_distance_squared_and_symmetric() -> None:
    extractor = NGrams(2, 5)
    a, b = counts(extractor, text(30, skew=0.5)), counts(extractor, text(9, skew=0.9, seed=1))
    expected = jensenshannon(a.numpy(), b.numpy(), base=2) ** 2
    assert 0.01 < expected < 0.5
    assert jensen_shannon(a, b) == pytest.approx(expected, rel=1e-12)
    assert jensen_shannon(b, a) == pytest.approx(expected, rel=1e-12)


def test_a_case_by_hand() -> None:
    """All of one symbol against a fair coin: m = (3/4, 1/4)."""
    a, b = (torch.tensor(c, dtype=torch.float64) for c in ([4, 0], [1, 1]))
    assert jensen_shannon(a, b) == pytest.approx(0.5 * math.log2(4 / 3) + 0.25 * math.log2(2 / 3) + 0.25, rel=1e-12)


def test_it_is_biased_upwards_at_finite_counts_as_documented() -> None:
    """Unigrams of one source, 16 symbols: (K - 1) / (8 ln 2) (1/N + 1/M) bits."""
    extractor, n, m = NGrams(1, 16), 40 * 50, 20 * 50
    found = [
        jensen_shannon(
            counts(extractor, text(40, 50, 16, seed=2 * i)), counts(extractor, text(20, 50, 16, seed=2 * i + 1))
        )
        for i in range(200)
    ]
    expected = 15 / (8 * math.log(2)) * (1 / n + 1 / m)
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(200))
    assert np.mean(found) > 0.8 * expected


# ------------------------------------------------------------------ as a score


def test_the_score_is_of_all_samples_and_its_error_their_spread() -> None:
    extractor = NGrams(2, 5)
    reference = counts(extractor, text(300, seed=99))
    drawn = [text(200, skew=0.6, seed=i) for i in range(30)]
    scores = []
    for x in drawn:
        (score,) = score_samples(
            lambda i, n, x=x: x[i : i + n],  # type: ignore[misc]
            extractor,
            [JensenShannon],
            [{"count": reference}],
            200,
            block=60,
        )
        scores.append(score)
    for x, score in zip(drawn[:3], scores, strict=False):
        assert score.value == pytest.approx(jensen_shannon(counts(extractor, x), reference), rel=1e-9)
    spread = np.std([score.value for score in scores], ddof=1)
    assert np.mean([score.standard_error for score in scores]) == pytest.approx(spread, rel=0.4)


@pytest.mark.parametrize("world_size", [2, 3])
def test_any_number_of_ranks_gives_one_answer(world_size: int) -> None:
    extractor, x = NGrams(3, 5), text(58)
    references = [{"count": counts(extractor, text(100, seed=1))}]
    alone = score_samples(lambda i, n: x[i : i + n], extractor, [JensenShannon], references, 58, block=10)

    def run(rank: int, all_reduce: object) -> object:
        ranks: dict[str, object] = {"rank": rank, "world_size": world_size, "all_reduce": all_reduce}
        return score_samples(lambda i, n: x[i : i + n], extractor, [JensenShannon], references, 58, block=10, **ranks)  # type: ignore[arg-type]

    assert on_ranks(world_size, run) == [alone] * world_size


def test_counts_are_kept_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = text(300)
    (first,) = reference_summaries(x, NGrams(2, 5), [JensenShannon], "val", tmp_path)
    monkeypatch.setattr(NGrams, "extract", lambda *_: pytest.fail("they were counted again"))
    (second,) = reference_summaries(x, NGrams(2, 5), [JensenShannon], "val", tmp_path)
    assert first is not None
    assert second is not None
    assert torch.equal(second["count"], first["count"])
    with pytest.raises(pytest.fail.Exception):
        reference_summaries(x, NGrams(3, 5), [JensenShannon], "val", tmp_path)


def test_names_and_checksums() -> None:
    assert (NGrams().name, NGrams().network) == ("3grams", "3grams")
    names = [spec.name(NGrams(2, 65).network) for spec in score_specs(NGrams(2, 65), None)]
    assert names == ["jsd_2grams", "precision_2grams", "recall_2grams"]
    assert len({NGrams(n, s).sha256 for n in (1, 2) for s in (4, 5)}) == 4
    assert NGrams(2, 5).sha256 == NGrams(2, 5).sha256


# ------------------------------------------------------------------ what is refused


def test_too_many_n_grams_are_refused_with_the_n_that_fits() -> None:
    with pytest.raises(UserError, match=r"256 symbols have 16,777,216 different 3-grams.*set n to 2$"):
        NGrams(3, 256)
    with pytest.raises(UserError, match=r"set n to 3$"):
        NGrams(9, 65)
    assert NGrams(22, 2).num_features == 2**22


@pytest.mark.parametrize(("n", "symbols"), [(0, 5), (1, 1), (1, 257)])
def test_settings_that_cannot_be(n: int, symbols: int) -> None:
    with pytest.raises(UserError, match=f"n={n} must be at least 1 and num_symbols={symbols} in 2..256"):
        NGrams(n, symbols)


def test_symbols_outside_the_vocabulary_are_refused() -> None:
    x = text(3)
    x[1, 4] = 7
    with pytest.raises(UserError, match="there is a symbol 7, and num_symbols is 5; set num_symbols to at least 8"):
        NGrams(2, 5)(x)
    with pytest.raises(UserError, match="num_symbols is 5, and the data have 8; set num_symbols to 8"):
        NGrams(2, 5).check_data((20,), 8)
    NGrams(2, 5).check_data((20,), 5)


def test_windows_shorter_than_n_are_refused() -> None:
    with pytest.raises(UserError, match="n is 3, and windows have 2 symbols"):
        NGrams(3, 5)(text(2, length=2))
    with pytest.raises(UserError, match="n is 3, and windows have 2 symbols"):
        NGrams(3, 5).check_data((2,), 5)


@pytest.mark.parametrize("x", [torch.zeros(2, 9), torch.zeros(2, 1, 9).byte(), torch.zeros(0, 9).byte()])
def test_other_inputs_are_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"3grams takes uint8 \[B, T\]"):
        NGrams(3, 5)(x)


def overlaps(samples: str, reference: str, n: int = 2) -> dict[str, float]:
    """Windows of 6 letters a to e."""
    space = NGrams(n, 5)

    def updated(text: str, summary: dict[str, Tensor] | None = None) -> NGramOverlap:
        windows = [[ord(letter) - 97 for letter in text[i : i + 6]] for i in range(0, len(text), 6)]
        statistic = NGramOverlap(space.num_features, summary)
        statistic.update(space(torch.tensor(windows, dtype=torch.uint8)).features, torch.arange(len(windows)))
        return statistic

    return {k: float(v) for k, v in updated(samples, updated(reference).summary()).compute().items()}


def test_overlap_counts_every_occurrence() -> None:
    """Of ababab the text has all five pairs, of acacac none; of the text's five, the samples lack ad."""
    found = overlaps("acacac" + "ababab" * 11, "ababad" * 20)
    assert found["precision"] == pytest.approx(55 / 60)
    assert found["recall"] == pytest.approx(4 / 5)


def test_repeating_one_sentence_is_precise_and_recalls_little() -> None:
    generator = torch.Generator().manual_seed(0)
    text = "".join("abcde"[i] for i in torch.randint(0, 5, (600,), generator=generator).tolist())
    same, other = overlaps(text[:6] * 40, text, n=3), overlaps("".join(reversed(text)), text, n=3)
    assert same["precision"] == 1
    assert same["precision_se"] == 0
    assert same["recall"] < 0.1
    assert other["recall"] > 0.8


def test_overlap_shares_the_reference_of_the_divergence() -> None:
    assert NGramOverlap(9).summary_key() == JensenShannon(9).summary_key()
    assert NGramOverlap(9).protocol() == {"statistic": {"clipped": False}}
