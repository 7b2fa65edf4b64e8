"""The pages of ``docs/`` build without a warning, and no link of a Markdown file is broken."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPO
from snippets import PAGES

MARKDOWN = [*PAGES, REPO / "CONTRIBUTING.md", REPO / "CHANGELOG.md", *sorted((REPO / "lit_gen").rglob("*.md"))]
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")


def build(out: Path, builder: str, *options: str) -> None:
    pytest.importorskip("sphinx", reason="needs the extra 'docs'")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-E", "-b", builder, *options]
    found = subprocess.run([*command, str(REPO / "docs"), str(out)], capture_output=True, text=True, cwd=REPO)
    assert found.returncode == 0, found.stderr


def test_pages_build_without_a_warning(tmp_path: Path) -> None:
    build(tmp_path, "dummy", "-t", "pages")


@pytest.mark.slow
def test_site_with_its_reference_builds_without_a_warning(tmp_path: Path) -> None:
    build(tmp_path, "html")
    for name in ("index", "start", "api/vae", "api/metrics"):
        assert (tmp_path / f"{name}.html").is_file()
    reference = (tmp_path / "api/flow.html").read_text(encoding="utf-8")
    assert 'id="lit_gen.families.flow.nice.NICE"' in reference  # no list names this file


def anchors(path: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub forms them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(REPO)))
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in _LINK.findall(re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: there is no {path}"
        assert REPO in (target, *target.parents)
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {path} has no heading #{anchor}"


def test_readme_is_short_and_names_every_page() -> None:
    text = (REPO / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < 200
    linked = {path for path, _ in _LINK.findall(text)}
    own = [page for page in PAGES if page.parent.name == "docs" and not page.read_text().startswith("<!-- page:")]
    assert {f"docs/{page.name}" for page in own} <= linked


def test_pictures_are_small() -> None:
    for picture in (REPO / "docs/pictures").iterdir():
        assert picture.stat().st_size < (150_000 if picture.stem == "leaderboard" else 60_000)
