"""The leaderboard as one page of HTML that needs nothing else: no network, no other file.

Styles and script are inlined from `page.css` and `page.js`, samples are embedded, plots are drawn by `plot.py`.
Without scripts the page still shows everything; they sort, choose the plot and enlarge.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from lit_gen.errors import UserError
from lit_gen.leaderboard.board import board, notes, protocols
from lit_gen.leaderboard.cards import cards
from lit_gen.leaderboard.collect import find_runs, no_record
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.markup import Markup, element, join
from lit_gen.leaderboard.order import sort_sections
from lit_gen.leaderboard.plots import plots
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import MARKS, SEEDS
from lit_gen.records.atomic import write_atomically

_HERE = Path(__file__).parent
_LEGEND = (
    f"Likelihoods: = exact, ≤ upper bound, ≈ estimate. ± is one standard error. Marked: {MARKS}; an estimate is never "
    "ranked above a guarantee. Flagged with !, and never marked: scores that are not to be taken at face value. "
    f"{SEEDS[0].upper()}{SEEDS[1:]}."
)


def write_page(records_dir: Path, html_path: Path, *, strict: bool = False) -> list[str]:
    """Writes the page of all runs below a directory.

    Args:
        records_dir: Directory that is searched for records with its subdirectories.
        html_path: The file to write, atomically.
        strict: Whether to split columns by every field of the protocol that differs.

    Returns:
        One line for each record or file of samples that was left out.

    Raises:
        UserError: The directory is missing or holds no readable record, or the file cannot be written.
    """
    text, complaints = page_of(records_dir, strict=strict)
    write_text(text, html_path)
    return complaints


def page_of(records_dir: Path, *, strict: bool = False) -> tuple[str, list[str]]:
    """The page of all runs below a directory, and one line for each record or file of samples that was left out.

    Args:
        records_dir: Directory that is searched for records with its subdirectories.
        strict: Whether to split columns by every field of the protocol that differs.

    Raises:
        UserError: The directory is missing or holds no readable record.
    """
    found = find_runs(records_dir)
    if not found.runs:
        raise no_record(records_dir, found)
    sections = sort_sections(build_sections(found.runs, strict=strict), None)
    text, complaints = render(sections, found.left_out)
    return text, [*found.left_out, *complaints]


def write_text(text: str, html_path: Path) -> None:
    """Writes a page to a file, whole or not at all.

    Raises:
        UserError: The file cannot be written.
    """
    try:
        write_atomically(html_path, text)
    except OSError as error:
        raise UserError(f"cannot write {html_path}: {error.strerror}") from error


def write_sections(sections: Sequence[Section], left_out: Sequence[str], html_path: Path) -> list[str]:
    """Writes the page of sections already built and sorted.

    Args:
        sections: The sections.
        left_out: Lines about records that were left out.
        html_path: The file to write.

    Returns:
        One line for each file of samples that could not be shown.

    Raises:
        UserError: The file cannot be written.
    """
    text, complaints = render(sections, left_out)
    write_text(text, html_path)
    return complaints


def render(sections: Sequence[Section], left_out: Sequence[str]) -> tuple[str, list[str]]:
    """The page's text, and one line for each file of samples that could not be shown."""
    families = sorted({row.record.family for section in sections for row in section.rows if row.record})
    complaints: list[str] = []
    parts = []
    for i, section in enumerate(sections):
        gallery, missing = cards(section, families, anchor=f"s{i}")
        complaints += missing
        parts.append(element(
            "section", _title(section), board(section, families, anchor=f"s{i}"), notes(section),
            protocols(section), plots(section, families, anchor=f"s{i}"), gallery, id_=f"s{i}",
        ))
    body = join([
        _header(sections, left_out), element("main", *parts),
        element("footer", "Made by lit_gen.leaderboard from the runs' records; nothing was fetched."),
        element("dialog", element("img", alt=""), element("p"), aria_label="Samples, enlarged"),
        element("script", Markup((_HERE / "page.js").read_text(encoding="utf-8"))),
    ])
    head = element(
        "head", element("meta", charset="utf-8"), element("title", "Leaderboard"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("style", Markup((_HERE / "page.css").read_text(encoding="utf-8"))),
    )
    return "<!doctype html>\n" + element("html", head, element("body", body), lang="en") + "\n", complaints


def _header(sections: Sequence[Section], left_out: Sequence[str]) -> Markup:
    runs = sum(section.num_runs for section in sections)
    today = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    links = [element("a", section.data, href=f"#s{i}") for i, section in enumerate(sections)]
    broken = Markup("")
    if left_out:
        lines = element("ul", *(element("li", line) for line in left_out))
        broken = element("div", f"Left out ({len(left_out)}):", lines, class_="warning")
    return element(
        "header", element("h1", "Leaderboard"),
        element("p", f"{_many(runs, 'run')} on {_many(len(sections), 'data set')} · written {today}"),
        element("p", _LEGEND),
        element("nav", *links, aria_label="Data sets") if len(links) > 1 else "",
        broken,
    )


def _title(section: Section) -> Markup:
    asked = [c.question for c in section.columns if c.question["num_examples"]]  # none where samples are scored alone
    splits = sorted({(question["split"] or "any", question["num_examples"]) for question in asked})
    what = ", ".join(f"{split} split, {count:,} examples" for split, count in splits)
    rows = f" in {_many(len(section.rows), 'row')}" if section.num_runs != len(section.rows) else ""
    meta = " · ".join(part for part in (_many(section.num_runs, "run") + rows, what) if part)
    return element("div", element("h2", section.data), element("p", meta, class_="meta"), class_="title-line")


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
