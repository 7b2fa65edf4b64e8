"""What a check found, and how it is printed: for the user, or without private content for an issue."""

from __future__ import annotations

import getpass
import os
import platform
import re
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["ok", "note", "wrong"]
_MARKS: dict[str, str] = {"ok": "+", "note": "-", "wrong": "!"}
_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_SHORTEST = 3  # a user called "a" cannot be removed from text


@dataclass(frozen=True)
class Finding:
    """One line.

    Attributes:
        topic: What was looked at, in a word or two.
        text: What was found; without paths and names of the user's.
        state: ``ok``; ``note``: something is slower or absent than could be; ``wrong``: a run would fail.
        advice: What to do; empty if there is nothing.
        place: Path that was looked at, which a report leaves out.
    """

    topic: str
    text: str
    state: State = "ok"
    advice: str = ""
    place: Path | None = None


Check = Callable[[], Iterator[Finding]]
"""A function that looks at something and says what it found."""


def found_by(checks: Sequence[Check]) -> Iterator[Finding]:
    """Runs checks one after another; one that fails is a finding itself, since this command is for broken machines."""
    for check in checks:
        try:
            yield from check()
        except Exception as error:
            what = (check.__doc__ or check.__name__).splitlines()[0].rstrip(".").lower()
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            yield Finding("check", f"{what}: {reason}", "wrong", "report this with lit-gen doctor --report")


def line(finding: Finding) -> str:
    """A finding as the user sees it."""
    place = f" ({finding.place})" if finding.place is not None else ""
    advice = f"\n{' ' * 16}{finding.advice}" if finding.advice else ""
    return f"{_MARKS[finding.state]} {finding.topic:<13} {finding.text}{place}{advice}"


def report(findings: Sequence[Finding]) -> str:
    """The findings as a block to paste into an issue: no paths, names of users or hosts, addresses or keys."""
    lines = [f"{_MARKS[f.state]} {f.topic:<13} {without_private(f.text)}" for f in findings]
    return "\n".join(["```text", *lines, "```"])


def without_private(text: str) -> str:
    """Text with what names the user, the host or a secret replaced, and paths as well."""
    for secret, shown in _private():
        text = re.sub(re.escape(secret), shown, text, flags=re.IGNORECASE)
    text = re.sub(r"\b[a-z]+://\S+", "<address>", text)
    return re.sub(r"(?<![\w.])(?:~|[A-Za-z]:)?[/\\][\w.@%+~-]+(?:[/\\][\w.@%+~-]*)*", "<path>", text)


def _private() -> list[tuple[str, str]]:
    """What must not be printed and what stands for it, the longest first."""
    found = {str(Path.home()): "~"}
    for names, shown in (((socket.gethostname(), platform.node()), "<host>"), ((_user(),), "<user>")):
        found |= {name: shown for name in names if len(name) >= _SHORTEST}
    found |= {value: "<secret>" for name, value in os.environ.items() if _SECRET.search(name) and len(value) > 5}
    return sorted(found.items(), key=lambda item: -len(item[0]))


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a number without a name
        return ""
