"""One checkpoint under several samplers and budgets: a curve in one plot, the best of each sampler in the table."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.leaderboard.collect import Run
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.nfe_curves import along, evaluations, excerpt, more, sampler_text
from lit_gen.leaderboard.page import write_page
from lit_gen.leaderboard.plots import plots
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import as_json, markdown, terminal
from lit_gen.records.record import Cost, Record, Score

SAMPLERS = ("ancestral", "ddim", "euler", "heun", "dpmpp")
BUDGETS = (5, 10, 20, 50, 100)
EVALUATIONS = "function_evaluations_per_sample"


def sampled(value: float, sampler: str, steps: int, passes: int | None = None) -> Score:
    settings = {"steps": steps, "function_evaluations": steps if passes is None else passes}
    return make_fd(value, 0.01, sampler=sampler, sampler_settings=settings)


def grid() -> list[Score]:
    """5 samplers x 5 budgets. More steps are better, but for the fourth budget, the best of its sampler."""
    return [sampled(2 + i + 10 / steps - (steps == 50), sampler, steps)
            for steps in BUDGETS for i, sampler in enumerate(SAMPLERS)]


def section_of(*records: Record) -> Section:
    section, = build_sections([Run(record, Path(f"runs/{i}")) for i, record in enumerate(records)])
    return section


class Mark(NamedTuple):
    """A point of a drawing."""

    x: float
    y: float
    title: str
    label: str | None


def drawing(section: Section, cost: str = EVALUATIONS, quality: int = 0) -> str:
    text = plots(section, ["diffusion", "gan", "vae"], anchor="s0")
    found = re.search(f'<figure data-quality="{quality}" data-cost="{cost}".*?</figure>', text)
    assert found
    return found[0].replace(' hidden="hidden"', "")


def marks(svg: str) -> list[Mark]:
    pattern = (r'<g transform="translate\(([\d.]+) ([\d.]+)\)" class="mark[^"]*"><title>(.*?)</title>'
               r"<(?:circle|path)[^>]*></(?:circle|path)>(?:<text[^>]*>(.*?)</text>)?</g>")
    return [Mark(float(x), float(y), title, label or None) for x, y, title, label in re.findall(pattern, svg)]


def corners(svg: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'<polyline points="([^"]*)" class="curve', svg)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in lines]


def x_at(svg: str) -> Callable[[float], float]:
    """The axis of cost, read from its ticks at 10 and 100."""
    ticks = {text: float(x) for x, text in re.findall(r'<text x="([\d.]+)"[^>]*class="tick middle">(\w+)</text>', svg)}
    return lambda cost: ticks["10"] + (math.log10(cost) - 1) * (ticks["100"] - ticks["10"])


def test_every_score_stands_at_its_own_evaluations() -> None:
    scores = [sampled(9.0, "heun", 5, 9), sampled(4.0, "heun", 50, 99), sampled(3.0, "ddim", 100)]
    svg = drawing(section_of(make_record(*scores, run_name="r"), make_record(make_fd(6.0), run_name="gan")))
    at, found = x_at(svg), marks(svg)
    assert [m.title for m in found] == [
        f"{how}: FD-mnist_cnn {value}, function evaluations per sample {paid}"
        for how, value, paid in (("r, heun, steps=5", "9.00", 9), ("r, ddim, steps=100", "3.00", 100),
                                 ("r, heun, steps=50", "4.00", 99), ("gan, decoder", "6.00", 1))
    ]
    assert [m.x for m in found] == pytest.approx([at(9), at(100), at(99), at(1)], abs=0.15)
    # The score's axis is logarithmic: y is affine in log(value).
    slope = (found[0].y - found[1].y) / math.log(9 / 3)
    assert [m.y for m in found] == pytest.approx(
        [found[1].y + slope * math.log(v / 3) for v in (9, 3, 4, 6)], abs=0.15)
    assert slope < 0


def test_one_line_a_run_and_sampler_in_order_of_evaluations_and_named_once() -> None:
    two = make_record(*(s for s in grid() if s.protocol.sampler in ("ddim", "heun")), run_name="two")
    one = make_record(*(sampled(3 + 7 / n, "ddim", n) for n in (100, 5, 20)), run_name="one")
    svg = drawing(section_of(two, one, make_record(make_fd(), run_name="vae")))
    at, found, lines = x_at(svg), marks(svg), corners(svg)
    assert sorted(len(line) for line in lines) == [3, 5, 5]
    for line, budgets in zip(lines, (BUDGETS, BUDGETS, (5, 20, 100)), strict=True):
        assert [x for x, _ in line] == pytest.approx([at(n) for n in budgets], abs=0.15)
    owners = {tuple({m.title.split(", steps")[0] for m in found if (m.x, m.y) in line}) for line in lines}
    assert owners == {("two, ddim",), ("two, heun",), ("one, ddim",)}
    assert sorted(m.label for m in found if m.label) == ["one", "two, ddim", "two, heun", "vae"]


def test_the_frontier_goes_over_all_points() -> None:
    scores = [sampled(v, "ddim", n) for n, v in ((5, 5.5), (10, 5.0), (20, 5.2), (100, 4.0))]
    svg = drawing(section_of(make_record(*scores), make_record(make_fd(6.0))))
    gan, five, ten, _, hundred = sorted(marks(svg), key=lambda m: m.x)
    path = re.search(r'<path d="([^"]*)" class="frontier">', svg)
    assert path
    steps = "".join(f"H{m.x:.1f}V{m.y:.1f}" for m in (five, ten, hundred))
    assert path[1] == f"M{gan.x:.1f} {gan.y:.1f}{steps}"


@pytest.mark.parametrize("cost", ["parameters", "examples_seen", "train_seconds", "seconds_per_1000_samples"])
def test_other_plots_draw_the_runs_own_sampling_alone(cost: str) -> None:
    def drawn(scores: Sequence[Score]) -> str:
        return drawing(section_of(make_record(*scores, run_name="many"), make_record(make_fd(6.0))), cost)

    own = [dataclasses.replace(score, own_sampling=i == 7) for i, score in enumerate(grid())]
    assert len(marks(drawn(own))) == 2
    assert drawn(own) == drawn([own[7]])


def test_scores_without_evaluations_stand_at_their_runs_cost() -> None:
    def silent(value: float, sampler: str) -> Score:
        return make_fd(value, sampler=sampler, sampler_settings={"steps": 7})

    cost = Cost(parameters=10, function_evaluations_per_sample=30)
    scores = [sampled(5.0, "ddim", 10), sampled(4.0, "ddim", 100), silent(3.0, "a"), silent(3.5, "b")]
    svg = drawing(section_of(make_record(*scores, cost=cost, run_name="mixed")))
    found = {m.title.partition(":")[0]: m.x for m in marks(svg)}
    assert found == pytest.approx({"mixed": x_at(svg)(30), "mixed, ddim, steps=10": x_at(svg)(10),
                                   "mixed, ddim, steps=100": x_at(svg)(100)}, abs=0.15)
    assert len(corners(svg)) == 1


def test_runs_are_counted_and_not_points() -> None:
    section = section_of(make_record(*grid(), cost=Cost(parameters=10)), make_record(), make_record(make_fd()))
    assert "not drawn: 1 of 3 runs" in drawing(section)
    assert "not drawn: 2 of 3 runs" in drawing(section, "train_seconds")


def test_a_likelihoods_evaluations_are_no_cost_of_sampling() -> None:
    assert evaluations(make_bpd(sampler_settings={"function_evaluations": 50})) is None
    assert evaluations(sampled(4.0, "heun", 5, 9)) == 9
    assert evaluations(sampled(4.0, "heun", 5, 0)) is None


def test_sampler_in_words() -> None:
    score = make_fd(sampler="ddim", sampler_settings={"steps": 5, "function_evaluations": 5, "eta": 0.5, "guidance": 2})
    assert sampler_text(score) == "ddim, eta=0.5, steps=5"


def test_a_crowd_in_a_cell_is_cut_to_the_best_of_each_sampler() -> None:
    section = section_of(make_record(*grid(), run_name="many"), make_record(sampled(2.21, "x", 9), run_name="rival"))
    cell = section.rows[0].cells[0]
    kept = excerpt(cell)
    assert [s.protocol.sampler for s in kept] == ["ancestral", *SAMPLERS]
    assert [s.value for s in kept] == pytest.approx([4.0, 1.2, 2.2, 3.2, 4.2, 5.2])
    assert kept[0] == cell[0]
    assert {score.value for score in section.best[0]} == {2.21}  # the run's first sampling competes, not its luckiest
    assert (len(cell), more(cell)) == (25, "+19 more")
    assert [note.partition("; ")[2] for note in section.notes] == [
        "", "best of 25, on test", *["best of 5, on test"] * 4, ""]
    assert not any("steps=100" in note for note in section.notes)


def test_a_few_answers_stay_and_so_do_those_on_no_curve() -> None:
    few = section_of(make_record(*(sampled(9 - n / 10, "ddim", n) for n in (1, 2, 3, 4)))).rows[0].cells[0]
    assert excerpt(few) == few
    five = section_of(make_record(*(sampled(9 - n / 10, "ddim", n) for n in (1, 2, 3, 4, 5)))).rows[0].cells[0]
    assert [s.value for s in excerpt(five)] == [8.9, 8.5]
    bounds = section_of(make_record(*(make_bpd(3 - n / 10, draws=n) for n in range(1, 8)))).rows[0].cells[0]
    assert (excerpt(bounds), more(bounds)) == (bounds, "")
    mixed = [*five, *(make_fd(9.0 + n, sampler="silent", sampler_settings={"steps": n}) for n in (1, 2))]
    assert [s.value for s in excerpt(mixed)] == [8.9, 8.5, 10.0, 11.0]
    assert [s.value for s in excerpt((*five[1:], five[0]))] == [8.5]


def test_text_tells_how_many_are_missing_and_json_misses_none() -> None:
    few = make_record(make_fd(1.5), run_name="few")
    sections = [section_of(make_record(*grid(), run_name="many"), few)]
    lines = terminal(sections).splitlines()
    kept = excerpt(sections[0].rows[0].cells[0])
    assert lines[2] == terminal([section_of(make_record(*kept, run_name="many"), few)]).splitlines()[2]  # as wide
    rest, = (i for i, line in enumerate(lines) if "more" in line)
    assert lines[rest].split() == ["+19", "more"]
    # It ends where the cell's other lines end, and the cell begins with its best.
    assert len(lines[rest]) == len(lines[rest - 1])
    assert "4.00 +- 0.01  [a]" in lines[rest - 6]
    assert "1.20 +- 0.01  [b]" in lines[rest - 5]
    assert "4.00 +- 0.01 [a]<br>1.20 +- 0.01 [b]<br>2.20 +- 0.01 [c]<br>" in markdown(sections)
    assert "[f]<br>+19 more | " in markdown(sections)
    assert [len(row["scores"][0]) for row in json.loads(as_json(sections, []))["sections"][0]["rows"]] == [25, 1]


def test_the_card_holds_all_that_the_table_leaves_out(runs: Callable[..., Path]) -> None:
    root = runs(make_record(*grid(), run_name="many"), make_record(make_fd(9.5), run_name="few"))
    write_page(root, root / "page.html")
    text = (root / "page.html").read_text(encoding="utf-8")
    assert re.findall(r'<a href="#(s0-\d)" class="score more"[^>]*>(.*?)</a>', text) == [("s0-0", "+19 more")]
    card, = re.findall(r'<article class="card" id="s0-0">.*?</article>', text, re.DOTALL)
    assert re.findall("<summary>(All .*?)</summary>", text) == ["All 25 scores of FD-mnist_cnn"]
    listed = re.findall(r'<tr><th scope="row">(\w+), steps=(\d+)</th><td>(\d+)</td><td>([\d.]+) ± 0.01</td></tr>', card)
    expected = {(s.protocol.sampler, str(evaluations(s)), f"{s.value:.2f}") for s in grid()}
    assert len(listed) == 25
    assert {(sampler, paid, value) for sampler, _, paid, value in listed} == expected
    assert [int(paid) for _, _, paid, _ in listed] == list(BUDGETS) * 5
    assert re.findall(r"<dd>(.*?)</dd>", card) == ["4.00 ± 0.01"]


def test_along_goes_sampler_by_sampler() -> None:
    assert [(s.protocol.sampler, evaluations(s)) for s in along(grid())] == [
        (sampler, n) for sampler in sorted(SAMPLERS) for n in BUDGETS]
