"""Finds the commands and Python snippets of the README and the docs, with what comments say about them.

A comment in the lines before a code block, which readers do not see, is one of:

- ``<!-- not run: REASON -->``: the test parses its commands without running them;
- ``<!-- with: FAMILY -->``: its checkpoint is of another family than the VAE;
- ``<!-- needs: images -->`` or ``text``: the test makes such data beforehand;
- ``<!-- file: NAME.py -->``: the block is a file of this name in the folder in which later blocks run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from conftest import REPO

PAGES = [REPO / "README.md", *sorted((REPO / "docs").glob("*.md"))]

_BLOCK = re.compile(r"((?:^<!-- .*? -->\n)*)^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = re.compile(r"<!-- ([a-z ]+?)(?:: (.*?))? -->")


@dataclass(frozen=True)
class Snippet:
    """A code block.

    Attributes:
        page: Path of the page.
        line: Line of its first line of code.
        language: ``bash`` or ``python``.
        code: The code.
        marks: What the comments before it say, by name.
    """

    page: Path
    line: int
    language: str
    code: str
    marks: dict[str, str]

    @property
    def name(self) -> str:
        """Page and line."""
        return f"{self.page.stem}-{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether a test runs it; ``.ci/run`` runs the README's first two commands."""
        return "not run" not in self.marks and "commands" not in self.marks


def snippets() -> list[Snippet]:
    """All code blocks of all pages in order."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            marks = {mark[1]: mark[2] or "" for mark in _MARK.finditer(block[1])}
            line = text.count("\n", 0, block.start(3)) + 1
            found.append(Snippet(page, line, block[2], block[3], marks))
    return found


def commands(code: str) -> list[list[str]]:
    """The simple commands of a shell script, as lists of words without redirections.

    >>> commands("for x in 1; do lit-gen fit \\\\\\n  --a=$x; done # why")
    [['lit-gen', 'fit', '--a=1']]
    """
    found = []
    for line in code.replace("\\\n", " ").splitlines():
        line = re.sub(r"\$\w+", "1", line)
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|")
        lexer.whitespace_split = True
        command: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|"):
                command.append(word)
                continue
            while command and command[0] in ("do", "done", "then", "if", "else", "fi"):
                command.pop(0)
            if command and command[0] != "for":
                found.append(command)
            command = []
    return found
