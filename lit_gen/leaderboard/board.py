"""A section's table on the page, with its footnotes and the protocol behind each column."""

from __future__ import annotations

from collections.abc import Sequence

from lit_gen.leaderboard.figures import COSTS, error_figure, score_figure
from lit_gen.leaderboard.markup import Markup, element, join
from lit_gen.leaderboard.nfe_curves import excerpt, more
from lit_gen.leaderboard.plot import shade
from lit_gen.leaderboard.table import Cell, Column, Row, Section, answer_text
from lit_gen.records.question import short, shown
from lit_gen.records.score import Score

_TYPESET = {"<=": "≤", "~=": "≈"}


def board(section: Section, families: Sequence[str], *, anchor: str) -> Markup:
    """The table of a section.

    Args:
        section: The section, its rows in order.
        families: All families of the page, whose order gives their colours.
        anchor: Prefix of the ids of the runs' cards.
    """
    first = [_header("run"), _header("family")]
    scores = [_score_header(column, i == 0) for i, column in enumerate(section.columns)]
    costs = [_header(c.header, c.small, "number first" if i == 0 else "number", c.title)
             for i, c in enumerate(COSTS)]
    rows = [_row(section, row, families, f"{anchor}-{i}") for i, row in enumerate(section.rows)]
    baselines = [_baseline(section, row) for row in section.baselines]
    bodies = [element("tbody", *rows), element("tbody", *baselines, class_="baselines") if baselines else ""]
    head = element("thead", element("tr", *first, *scores, *costs))
    table = element("table", head, *bodies, class_="board")
    label = f"Scores on {section.data}"
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def notes(section: Section) -> Markup:
    """The footnotes: how each score was computed, and which scores contradict their column."""
    items = [element("li", element("b", letter), text) for text, letter in section.notes.items()]
    items += [element("li", f"Left out: {line}") for line in section.left_out]
    return element("ul", *items, class_="notes") if items else Markup("")


def protocols(section: Section) -> Markup:
    """Every field that must agree within a column, for all columns side by side; collapsed."""
    if not section.columns:
        return Markup("")
    questions = [{"metric": c.metric, **c.question, **c.differs} for c in section.columns]
    names = dict.fromkeys(name for question in questions for name in question)
    lines = []
    for name in names:
        cells = [
            element("td", shown(question.get(name)), title=str(question.get(name)),
                    class_="differs" if name in column.differs else None)
            for question, column in zip(questions, section.columns, strict=True)
        ]
        lines.append(element("tr", element("th", short(name), scope="row"), *cells))
    heads = [element("th", column.label, scope="col") for column in section.columns]
    table = element("table", element("thead", element("tr", element("td"), *heads)), element("tbody", *lines))
    summary = element("summary", "Protocol of each column: what must agree for two scores to share it")
    return element("details", summary, element("div", table, style="overflow-x:auto"), class_="protocols")


def typeset(score: Score, decimals: int) -> str:
    """A score's figure with typographic signs: `≤ 3.12`."""
    text = score_figure(score, decimals)
    return _TYPESET.get(text[:2], text[:2]) + text[2:]


def _header(label: str, note: str = "", class_: str | None = None, title: str | None = None) -> Markup:
    small = element("small", note) if note else ""
    return element("th", element("button", label, type_="button"), small, scope="col", class_=class_,
                   title=title, data_first="ascending")


def _score_header(column: Column, first: bool) -> Markup:
    higher = column.higher_is_better
    way = element("small", "higher is better" if higher else "lower is better")
    differs = element("small", column.qualifier, class_="differs") if column.qualifier else ""
    return element("th", element("button", column.label, type_="button"), differs, way, scope="col",
                   class_="number first" if first else "number", title=column.header,
                   data_first="descending" if higher else "ascending")


def _row(section: Section, row: Row, families: Sequence[str], anchor: str) -> Markup:
    assert row.record is not None
    record = row.record
    link = element("a", row.label, href=f"#{anchor}")
    name = element("th", link, element("small", record.model), scope="row", data_sort=row.label)
    dot = element("i", class_=f"dot shade{shade(families, record.family)}")
    family = element("td", dot, record.family, data_sort=record.family)
    scores = [_score_cell(section, i, cell, card=anchor) for i, cell in enumerate(row.cells)]
    costs = []
    for i, cost in enumerate(COSTS):
        value = cost.value(row.cost)
        class_ = "number" + (" first" if i == 0 else "") + (" none" if value is None else "")
        costs.append(element("td", cost.text(row.cost), class_=class_, data_sort=value))
    return element("tr", name, family, *scores, *costs)


def _baseline(section: Section, row: Row) -> Markup:
    cells = [_score_cell(section, i, cell, card=None) for i, cell in enumerate(row.cells)]
    return element("tr", element("th", row.label, scope="row"), element("td", "baseline"), *cells,
                   element("td", colspan=len(COSTS), class_="first"))


def _score_cell(section: Section, index: int, cell: Cell, *, card: str | None) -> Markup:
    """A cell; `card` is the id of the run's card, None for a baseline, which has neither marks nor footnotes."""
    class_ = "number first" if index == 0 else "number"
    decimals = section.columns[index].decimals
    # Numbers are aligned only if each leaves as much space for an error and a letter behind it.
    width = _error_width(section, index, decimals)
    if not cell:
        parts = [] if card is None else [element("span", "n/a", _error("", width), element("sup"), class_="score")]
        return element("td", *parts, class_=f"{class_} none")
    lines = []
    for score in excerpt(cell):
        figure = typeset(score, decimals)
        marked = card is not None and score in section.best[index]
        letter = "" if card is None else section.notes.get(answer_text(score), "")
        lines.append(element(
            "span", element("b", figure) if marked else figure,
            _error(error_figure(score, decimals, "±"), width), element("sup", letter),
            class_="score", title=_tooltip(score, section.columns[index]),
        ))
    if more(cell):
        title = f"all {len(cell)} are in the run's card, and in the plot against function evaluations"
        lines.append(element("a", more(cell), href=f"#{card}", class_="score more", title=title))
    return element("td", join(lines), class_=class_, data_sort=cell[0].value)


def _error_width(section: Section, index: int, decimals: int) -> int:
    cells = [row.cells[index] for row in (*section.rows, *section.baselines)]
    return max((len(error_figure(score, decimals, "±")) for cell in cells for score in cell), default=0)


def _error(text: str, width: int) -> Markup:
    return element("span", text, class_="error" if width else None, style=f"min-width:{width * 0.92:.1f}ch")


def _tooltip(score: Score, column: Column) -> str:
    parts = [score_figure(score, column.decimals), error_figure(score, column.decimals), column.unit]
    figure = " ".join(part for part in parts if part)
    how = answer_text(score)
    where = f"scored with {score.scored_with.accelerator}, {score.scored_with.machine}" if score.scored_with else ""
    return "; ".join(part for part in (figure, how, f"protocol {score.protocol.hash[:16]}", where) if part)
