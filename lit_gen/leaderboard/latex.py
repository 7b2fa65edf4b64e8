"""The tables as LaTeX, with booktabs, one a section."""

from __future__ import annotations

from collections.abc import Sequence

from lit_gen.leaderboard.figures import error_figure, score_figure
from lit_gen.leaderboard.nfe_curves import excerpt
from lit_gen.leaderboard.printable import printable
from lit_gen.leaderboard.seed_groups import counted, seed_lines
from lit_gen.leaderboard.spread import spread_text
from lit_gen.leaderboard.table import Row, Section
from lit_gen.records.score import Score

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "[": "{[}", "]": "{]}",
}
_SIGNS = {"= ": "$=$ ", "<=": r"$\le$", "~=": r"$\approx$"}
_HEADER = r"""% \usepackage{booktabs} and \usepackage[T1]{fontenc}; made by lit_gen.leaderboard
% $=$ exact, $\le$ upper bound, $\approx$ estimate; bold: best of its column; sd: deviation between seeds."""


def latex(sections: Sequence[Section]) -> str:
    """The tables, each a `table` environment with its footnotes below it."""
    return "\n".join([_HEADER, *(_table(section) for section in sections)])


def escaped(text: str) -> str:
    r"""A text that LaTeX prints as it is.

    >>> print(escaped("50% of a_b & {x}"))
    50\% of a\_b \& \{x\}
    """
    return "".join(_SPECIAL.get(character, character) for character in printable(text))


def _table(section: Section) -> str:
    ways = [r"$\uparrow$" if column.higher_is_better else r"$\downarrow$" for column in section.columns]
    heads = ["Model", "Run", *(f"{escaped(c.header)} {way}" for c, way in zip(section.columns, ways, strict=True)),
             *(escaped(cost.header) for cost in section.costs)]
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{escaped(section.data)}: {counted(section)}.}}",
        rf"\begin{{tabular}}{{ll{'r' * (len(heads) - 2)}}}", r"\toprule", _line(heads), r"\midrule",
        *(_line(cells) for row in section.rows for cells in _lines(section, row)),
    ]
    if section.baselines:
        lines += [r"\midrule", *(_line(cells) for row in section.baselines for cells in _lines(section, row))]
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [rf"\textsuperscript{{{letter}}} {escaped(text)}" for text, letter in section.notes.items()]
    notes += [f"! {escaped(line)}" for line in section.flagged]
    notes += [escaped(line) for line in seed_lines(section)]
    lines += [r"\par\smallskip\footnotesize\raggedright", *(rf"{note}\par" for note in notes)] if notes else []
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _lines(section: Section, row: Row) -> list[list[str]]:
    """The row as lines of cells: one for each answer of the cell that has most."""
    cells = [[_figure(section, row, i, score) for score in excerpt(cell)] or (["--"] if row.record else [""])
             for i, cell in enumerate(row.cells)]
    who = [row.record.model if row.record else "baseline", row.label]
    costs = [escaped(cost.text(row.cost)) for cost in section.costs]
    return [
        [*([escaped(name) for name in who] if k == 0 else ["", ""]),
         *(own[k] if k < len(own) else "" for own in cells),
         *(costs if k == 0 else [""] * len(costs))]
        for k in range(max(map(len, cells), default=1))
    ]


def _figure(section: Section, row: Row, index: int, score: Score) -> str:
    decimals, spread = section.columns[index].decimals, row.spread(score)
    figure = score_figure(score, decimals)
    sign = _SIGNS.get(figure[:2])
    number = figure if sign is None else figure[2:].strip()
    body = rf"\textbf{{{number}}}" if section.is_best(row, index, score) else f"${number}$"
    error = error_figure(score, decimals, r"$\pm$", spread).replace("sd ", r"\,sd\,")
    letter = section.notes.get(section.footnote(row, index, score), "") if row.record else ""
    letter += "!" if row.flags(score) else ""
    few = f" ({spread_text(spread, row.members)})" if spread_text(spread, row.members) else ""
    return " ".join(part for part in (sign and sign.strip(), body, error) if part) + few + (
        rf"\textsuperscript{{{letter}}}" if letter else "")


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
