"""A section's table on the page, with its footnotes and the protocol behind each column."""

from __future__ import annotations

from collections.abc import Sequence

from lit_gen.leaderboard.chosen_checkpoints import chosen_text, watched_text
from lit_gen.leaderboard.figures import error_figure, gap_figure, score_figure
from lit_gen.leaderboard.gap import train_gap
from lit_gen.leaderboard.markup import Markup, element, join
from lit_gen.leaderboard.nfe_curves import excerpt, more
from lit_gen.leaderboard.plot import shade
from lit_gen.leaderboard.seed_groups import seed_lines
from lit_gen.leaderboard.spread import spread_text
from lit_gen.leaderboard.table import Column, Row, Section, parts_text
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
             for i, c in enumerate(section.costs)]
    costs.append(_header("checkpoint"))
    widths = [_error_width(section, i, column.decimals) for i, column in enumerate(section.columns)]
    rows = [part for i, row in enumerate(section.rows)
            for part in _rows(section, row, families, f"{anchor}-{i}", widths)]
    baselines = [_baseline(section, row, widths) for row in section.baselines]
    bodies = [element("tbody", *rows), element("tbody", *baselines, class_="baselines") if baselines else ""]
    head = element("thead", element("tr", *first, *scores, *costs))
    table = element("table", head, *bodies, class_="board")
    label = f"Scores on {section.data}"
    return element("div", table, class_="scroll", tabindex=0, role="region", aria_label=label)


def notes(section: Section) -> Markup:
    """The footnotes: how each score was computed, which are flagged, and which contradict their column."""
    items = [element("li", element("b", letter), text) for text, letter in section.notes.items()]
    items += [element("li", element("b", "!"), line) for line in section.flagged]
    items += [element("li", element("b", "seeds"), f" {line}") for line in seed_lines(section)]
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


def _rows(
    section: Section, row: Row, families: Sequence[str], anchor: str, widths: Sequence[int]
) -> list[Markup]:
    """The row, and behind a group's those of its runs, which the page's script folds."""
    members = [_row(section, member, families, anchor, widths, member=True) for member in row.members]
    return [_row(section, row, families, anchor, widths), *members]


def _row(
    section: Section, row: Row, families: Sequence[str], anchor: str, widths: Sequence[int], member: bool = False
) -> Markup:
    assert row.record is not None
    record = row.record
    link = element("a", row.label, href=f"#{anchor}")
    opener = element("button", "▾", type_="button", class_="opener", aria_label=f"Runs of {row.label}",
                     aria_expanded="true") if row.members else ""
    small = f"seed {record.seed}" if member else record.model
    name = element("th", opener, link, element("small", small), scope="row", data_sort=row.label)
    dot = element("i", class_=f"dot shade{shade(families, record.family)}")
    family = element("td", dot, record.family, data_sort=record.family)
    scores = [_score_cell(section, row, i, width, card=anchor) for i, width in enumerate(widths)]
    costs = []
    for i, cost in enumerate(section.costs):
        value = cost.value(row.cost)
        class_ = "number" + (" first" if i == 0 else "") + (" none" if value is None else "")
        costs.append(element("td", cost.text(row.cost), class_=class_, data_sort=value))
    chosen = chosen_text(row, section.trials)
    costs.append(element("td", chosen, element("small", watched_text(row), class_="gap"), data_sort=chosen))
    return element("tr", name, family, *scores, *costs, class_="member" if member else None)


def _baseline(section: Section, row: Row, widths: Sequence[int]) -> Markup:
    cells = [_score_cell(section, row, i, width, card=None) for i, width in enumerate(widths)]
    return element("tr", element("th", row.label, scope="row"), element("td", "baseline"), *cells,
                   element("td", colspan=len(section.costs) + 1, class_="first"))


def _score_cell(section: Section, row: Row, index: int, width: int, *, card: str | None) -> Markup:
    """A cell; `card` is the id of the run's card, None for a baseline, which has neither marks nor footnotes.

    Numbers are aligned only if each leaves as much space, `width`, for an error and a letter behind it.
    """
    cell = row.cells[index]
    class_ = "number first" if index == 0 else "number"
    if not cell:
        parts = [] if card is None else [element("span", "n/a", _error("", width), element("sup"), class_="score")]
        return element("td", *parts, class_=f"{class_} none")
    lines = [_score_line(section, row, index, score, width) for score in excerpt(cell)]
    if more(cell):
        title = f"all {len(cell)} are in the run's card, and in the plot against function evaluations"
        lines.append(element("a", more(cell), href=f"#{card}", class_="score more", title=title))
    # A value that cannot be relied on is not ranked.
    return element("td", join(lines), class_=class_, data_sort=None if cell[0].heavy_tailed else cell[0].value)


def _score_line(section: Section, row: Row, index: int, score: Score, width: int) -> Markup:
    decimals, record = section.columns[index].decimals, row.record
    figure: str = typeset(score, decimals)
    letter, after = "", Markup("")
    if record is not None:
        if section.is_best(row, index, score):
            figure = element("b", figure)
        letter = section.notes.get(section.footnote(row, index, score), "")
        letter += "!" if row.flags(score) else ""
        if gap := train_gap(score, record):
            after = element("small", gap_figure(gap.value, decimals), class_="gap", title="test minus train")
    if few := spread_text(row.spread(score), row.members):
        after = join([after, element("small", few, class_="gap", title="number of runs that have this score")])
    error = error_figure(score, decimals, "±", row.spread(score))
    return element("span", figure, _error(error, width), element("sup", letter), after,
                   class_="score", title=_tooltip(section, row, index, score))


def _error_width(section: Section, index: int, decimals: int) -> int:
    rows = [part for row in (*section.rows, *section.baselines) for part in (row, *row.members)]
    scores = [(score, row.spread(score)) for row in rows for score in row.cells[index]]
    return max((len(error_figure(score, decimals, "±", spread)) for score, spread in scores), default=0)


def _error(text: str, width: int) -> Markup:
    return element("span", text, class_="error" if width else None, style=f"min-width:{width * 0.92:.1f}ch")


def _tooltip(section: Section, row: Row, index: int, score: Score) -> str:
    column = section.columns[index]
    spread = row.spread(score)
    of = f"(mean of {spread.count} runs)" if spread is not None else ""
    parts = [score_figure(score, column.decimals), error_figure(score, column.decimals, spread=spread), column.unit, of]
    figure = " ".join(part for part in parts if part)
    how = section.footnote(row, index, score)
    doubts = row.flags(score)
    where = f"scored with {score.scored_with.accelerator}, {score.scored_with.machine}" if score.scored_with else ""
    protocol = f"protocol {score.protocol.hash[:16]}"
    return "; ".join(part for part in (figure, *doubts, how, parts_text(score.error), protocol, where) if part)
