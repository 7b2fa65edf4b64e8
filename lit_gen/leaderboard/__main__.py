"""`python -m lit_gen.leaderboard RUNS_DIR`: the table of all runs below a directory, or a comparison of two."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from lit_gen.errors import UserError, file_error
from lit_gen.leaderboard.at_most import Limits, at_most_text, at_most_tree, parse_limits, small_enough
from lit_gen.leaderboard.collect import find_runs, no_record
from lit_gen.leaderboard.group import build_sections
from lit_gen.leaderboard.order import sort_sections
from lit_gen.leaderboard.printable import printable
from lit_gen.leaderboard.table import Section
from lit_gen.leaderboard.terminal import as_json, markdown, terminal

_EPILOG = """\
Scores share a column only if their protocols ask the same: data and its content, split, counts, feature
network, weights, precision, seed, temperature and its like. Otherwise one metric has several columns, and
each header names the fields on which they differ. How a model answers (likelihood estimator and its draws,
sampler and its steps) is in a footnote; --strict splits columns by that too.

--compare A B compares two runs (folders, or paths of their record.json) by the differences of their likelihoods
on the same examples, whose error is far smaller than that of independent scores. Both records must have their
values per example, as those of this version do.

A record that cannot be read is named on stderr and left out. Exit status: 0 if a run is shown, 2 if none is.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status.

    Args:
        arguments: The command line without the program's name; None for that of the process.
    """
    try:
        options = _parser().parse_args(arguments)
        if options.check:
            return _check(options)
        if options.compare:
            _compare(options)
        else:
            with _without_collections():
                _show(options)
    except UserError as error:
        return _say(error)
    except BrokenPipeError:
        # The reader (`| head`) has closed the pipe; flushing at exit must not fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if (failed := file_error(error)) is None:
            raise
        return _say(failed)
    return 0


def _say(error: UserError) -> int:
    """Prints an error; returns the exit status."""
    print(f"error: {error}", file=sys.stderr)
    return getattr(error, "exit_code", 2)


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Leaves out garbage collections, which find nothing here and take a fifth of the time of thousands of records."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _show(options: argparse.Namespace) -> None:
    if options.runs_dir is None:
        raise UserError("which runs? give the directory that holds them, or two runs after --compare")
    found = find_runs(options.runs_dir)
    for line in found.left_out:
        print(f"left out: {printable(line)}", file=sys.stderr)
    if not found.runs:
        raise no_record(options.runs_dir, found)
    for line in found.remarks:
        print(f"note: {line}", file=sys.stderr)
    sections = build_sections(found.runs, strict=options.strict, compare_weights=options.compare_weights,
                              each_run=options.each_run)
    sections = sort_sections(sections, options.sort)
    limits = parse_limits(options.at_most)
    sections = [small_enough(section, limits) for section in sections]
    contradictions = [printable(line) for section in sections for line in section.left_out]
    for line in contradictions:
        print(f"left out: {line}", file=sys.stderr)
    if options.html:
        _write_html(options, sections, found.left_out)
    _print(_text(options, sections, limits, [*found.left_out, *contradictions]))


def _text(options: argparse.Namespace, sections: Sequence[Section], limits: Limits, left_out: Sequence[str]) -> str:
    if limits.of_training:
        if options.json:
            return json.dumps(at_most_tree(sections, limits), indent=1, allow_nan=False) + "\n"
        return at_most_text(sections, limits)
    if options.over_examples:
        from lit_gen.leaderboard.over_examples import over_examples_text

        return over_examples_text(sections)
    if options.markdown:
        return markdown(sections)
    if options.latex:
        from lit_gen.leaderboard.latex import latex

        return latex(sections)
    if options.csv:
        from lit_gen.leaderboard.tidy_csv import tidy_csv

        return tidy_csv(sections)
    if options.json:
        return as_json(sections, left_out)
    return terminal(sections, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)


def _check(options: argparse.Namespace) -> int:
    from lit_gen.leaderboard.contributed import check_records

    lines, errors = check_records(options.check)
    _print("".join(f"{line}\n" for line in lines))
    return 1 if errors else 0


def _compare(options: argparse.Namespace) -> None:
    from lit_gen.leaderboard.compare import as_tree, compare, open_run, report

    unused = {"RUNS_DIR": options.runs_dir, "--html": options.html, "--markdown": options.markdown,
              "--latex": options.latex, "--csv": options.csv, "--sort": options.sort, "--strict": options.strict,
              "--each-run": options.each_run, "--over-examples": options.over_examples, "--at-most": options.at_most}
    if given := [name for name, value in unused.items() if value]:
        raise UserError(f"--compare prints two runs alone; leave out {', '.join(given)}")
    a, b = (open_run(path) for path in options.compare)
    comparisons, reasons = compare(a, b, compare_weights=options.compare_weights)
    for line in reasons:
        print(f"not compared: {printable(line)}", file=sys.stderr)
    if options.json:
        _print(json.dumps([as_tree(comparison) for comparison in comparisons], indent=1, allow_nan=False) + "\n")
    else:
        _print("\n".join(printable(line) for line in report(a, b, comparisons).split("\n")))


def _print(text: str) -> None:
    # A terminal without Unicode shows names of runs with escapes.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _write_html(options: argparse.Namespace, sections: Sequence[Section], left_out: Sequence[str]) -> None:
    # The page's code is imported only if needed.
    from lit_gen.leaderboard.page import write_sections

    for line in write_sections(sections, left_out, options.html):
        print(f"left out: {line}", file=sys.stderr)
    print(f"page: {options.html}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage and exiting."""
        raise UserError(message.removeprefix("argument "))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m lit_gen.leaderboard",
        description="Compares all runs below a directory, or two runs, by their records (record.json).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("runs_dir", type=Path, nargs="?", metavar="RUNS_DIR", help="searched with its subdirectories")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("A", "B"),
                        help="print the differences of two runs' likelihoods on the same examples")
    parser.add_argument("--check", type=Path, nargs="+", metavar="RECORD",
                        help="validate records and print one line for each finding; exit status 1 if one is an error")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one self-contained page as well")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown tables")
    form.add_argument("--latex", action="store_true", help="print LaTeX tables (booktabs)")
    form.add_argument("--csv", action="store_true", help="print one line a run and score, numbers in full")
    form.add_argument("--over-examples", action="store_true",
                      help="print the scores of runs with several scored checkpoints over the examples seen")
    form.add_argument("--json", action="store_true", help="print the tables as JSON, numbers in full")
    parser.add_argument("--sort", metavar="COL", help="sort by a column: a header, a metric's name (bpd), "
                        "run, family, model, parameters, train_seconds ... (default: the first score)")
    split = parser.add_mutually_exclusive_group()
    split.add_argument("--strict", action="store_true",
                       help="split columns by every field of the protocol that differs")
    split.add_argument("--compare-weights", action="store_true",
                       help="put averaged and raw weights (weights=ema, weights=raw) into one column")
    parser.add_argument("--at-most", nargs="+", default=[], metavar="LIMIT",
                        help="leave out models with more parameters (1M); or print the best validation for at most so "
                        "many examples (100k-examples) or so much training time (10min, 2h)")
    parser.add_argument("--each-run", action="store_true",
                        help="a row for each run, also for those that differ in their seed alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
