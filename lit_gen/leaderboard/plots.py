"""The plots of a section: every score against every cost, one shown at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from lit_gen.leaderboard.board import typeset
from lit_gen.leaderboard.figures import CostColumn, error_figure
from lit_gen.leaderboard.markup import Markup, element
from lit_gen.leaderboard.nfe_curves import sampler_text
from lit_gen.leaderboard.over_examples import curves_over_examples
from lit_gen.leaderboard.plot import MOST_NAMED, Point, draw, frontier, legend, near, shade
from lit_gen.leaderboard.table import Column, Row, Section
from lit_gen.records.score import Score


def plots(section: Section, families: Sequence[str], *, anchor: str) -> Markup:
    """The plots of a section with the two menus that choose among them.

    Args:
        section: The section to draw.
        families: All families of the page, whose order gives their colours.
        anchor: Prefix of the ids of the runs' cards.
    """
    if not section.columns:
        return Markup("")
    # Time first, as the most common cost.
    costs = sorted(section.costs, key=lambda cost: cost.field != "train_seconds")
    own = {row.record.family for row in section.rows if row.record}
    present = [name for name in families if name in own]
    figures = [
        _figure(section, column, cost, families, present, anchor, shown=column == 0 and cost is costs[0])
        for column in range(len(section.columns)) for cost in costs
    ]
    qualities = [element("option", column.header, value=i) for i, column in enumerate(section.columns)]
    prices = [element("option", cost.title, value=cost.field) for cost in costs]
    choices = element("div", element("label", "Quality ", element("select", *qualities)),
                      element("label", "against ", element("select", *prices)), class_="choices")
    return element("div", element("h3", "Quality against cost"), choices, *figures, class_="plot")


def _figure(
    section: Section, index: int, cost: CostColumn, families: Sequence[str], present: Sequence[str], anchor: str, *,
    shown: bool,
) -> Markup:
    column = section.columns[index]
    points = _points(section, index, cost, families, anchor)
    baselines = [(row.label, row.cells[index][0].value) for row in section.baselines if row.cells[index]]
    without = len(section.rows) - len({point.anchor for point in points})
    runs = len(section.rows)
    note = f"Without this score or cost, or unreliable, so not drawn: {without} of {runs} runs. " if without else ""
    if points:
        distance = column.metric.partition("_")[0] in ("fid", "fd")
        log_y = distance and all(point.y > 0 for point in points)
        lines = near(baselines, points, log=log_y)
        far = [f"{label} ({value:.{column.decimals}f})" for label, value in baselines
               if (label, value) not in lines]
        note += f"Beyond the drawing: {', '.join(far)}." if far else ""
        note += f" Of {len(points):,} points only the best at equal or lower cost have names and links." if (
            len(points) > MOST_NAMED) else ""
        drawing = draw(
            points, lines, x_title=cost.title, y_title=column.header, x_figure=cost.tick,
            x_round=cost.round_values, higher_is_better=column.higher_is_better, log_y=log_y,
        )
        key = legend(families, present, points)
    else:
        drawing, key = Markup(""), Markup("")
    return element("figure", drawing, key, element("p", note, class_="caption") if note else "",
                   data_quality=index, data_cost=cost.field, hidden=None if shown else "hidden")


def _points(
    section: Section, index: int, cost: CostColumn, families: Sequence[str], anchor: str
) -> list[Point]:
    column = section.columns[index]
    points: list[Point] = []
    sources: dict[int, tuple[Row, Score]] = {}
    owners = _owners(section, index) if cost.field == "examples_seen" else {}
    for i, row in enumerate(section.rows):
        assert row.record is not None
        colour, card = shade(families, row.record.family), f"{anchor}-{i}"
        for score, x, label, curve in _priced(row, row.cells[index], cost):
            owner = owners.get(id(row), "")
            points.append(Point(x, score.value, label, "", colour, score.kind or "plain", card, curve, owner))
            sources[id(points[-1])] = row, score
    # Of a crowd only the named points need words.
    named = points if len(points) <= MOST_NAMED else frontier(points, higher_is_better=column.higher_is_better)
    words = {id(point): _words(column, cost, point, *sources[id(point)]) for point in named}
    return [dataclasses.replace(p, tooltip=words[id(p)]) if id(p) in words else p for p in points]


def _words(column: Column, cost: CostColumn, point: Point, row: Row, score: Score) -> str:
    how = f", {sampler_text(score)}" if point.curve else ""
    spread = row.spread(score)
    error = error_figure(score, column.decimals, spread=spread) if spread else ""
    figure = f"{column.label} {typeset(score, column.decimals)} {error}".rstrip()
    return f"{row.label}{how}: {figure}, {cost.title} {cost.figure(point.x)}"


def _owners(section: Section, index: int) -> dict[int, str]:
    """Folder of the run of each row that is one of several checkpoints of its run, by the row's `id`."""
    curves = curves_over_examples(section, index)
    return {id(point.row): str(folder) for folder, points in curves.items() for point in points}


def _priced(row: Row, cell: Sequence[Score], cost: CostColumn) -> list[tuple[Score, float, str, str]]:
    """The scores of a cell that are drawn, each with its cost, its label and the name of its curve.

    These are the first one, at the cost of its run, and every one that has a cost of its own. A score whose tail is
    too heavy is not drawn, as neither its value nor its error can be relied on.
    """
    cell = [score for score in cell if not score.heavy_tailed and _on_paper(score.value)]
    priced = [(score, x, score.protocol.sampler or "") for score in cell if (x := cost.own(score))]
    several = len({sampler for _, _, sampler in priced}) > 1
    found = [(score, x, f"{row.label}, {sampler}" if several else row.label, sampler) for score, x, sampler in priced]
    x = x if _on_paper(x := cost.value(row.cost) or 0.0) else 0.0
    others = [score for score in cell if cost.own(score) is None]
    return [*found, *((score, x, row.label, "") for score in others[:1] if x)]


def _on_paper(value: float) -> bool:
    """Whether an axis can reach a value: quotients and differences of others overflow."""
    return value == 0 or 1e-100 < abs(value) < 1e100
