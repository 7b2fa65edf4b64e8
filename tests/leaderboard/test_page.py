"""The page stands alone, cannot be broken out of, and shows what the table says."""

from __future__ import annotations

import base64
import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from records.makers import make_bpd, make_fd, make_record

from lit_gen.errors import UserError
from lit_gen.leaderboard.page import write_page
from lit_gen.records.record import Environment, Score

from .conftest import make_png

Write = Callable[..., Path]
VOID = {"img", "meta", "br"}


class Page(HTMLParser):
    """Collects elements and texts; fails on tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(root: Path) -> tuple[Page, list[str]]:
    complaints = write_page(root, root / "page.html")
    return Page((root / "page.html").read_text(encoding="utf-8")), complaints


def make_is(value: float) -> Score:
    return make_fd(value, 0.01, metric="is_mnist_cnn", is_splits=10)


def test_it_stands_alone(runs: Write) -> None:
    root = runs(make_record(make_bpd(), make_fd(), files={"sample_grid": "grid.png"}))
    (root / "run0" / "grid.png").write_bytes(make_png())
    page, complaints = page_of(root)
    assert complaints == []
    text = (root / "page.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(|<link|<iframe|<base", text)
    for tag, attributes in page.elements:
        for name in ("src", "href", "data", "srcset", "action"):
            value = attributes.get(name) or ""
            assert value.startswith(("#", "data:image/png;base64,")) or not value, (tag, name, value)


def test_the_grid_is_embedded_pixel_for_pixel(runs: Write) -> None:
    root = runs(make_record(make_bpd(), files={"sample_grid": "grid.png"}))
    picture = make_png(7, 5)
    (root / "run0" / "grid.png").write_bytes(picture)
    page, _ = page_of(root)
    grid = page.all("img")[0]
    assert base64.b64decode((grid["src"] or "").removeprefix("data:image/png;base64,")) == picture
    assert (grid["width"], grid["height"]) == ("7", "5")
    assert "image-rendering: pixelated" in (root / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("case", ["missing", "no png", "link"])
def test_a_grid_that_cannot_be_shown_is_named(case: str, runs: Write, tmp_path: Path) -> None:
    root = runs(make_record(make_bpd(), files={"sample_grid": "grid.png"}))
    path = root / "run0" / "grid.png"
    if case == "no png":
        path.write_text("<svg onload=alert(1)>" * 9)
    if case == "link":
        (tmp_path / "private.png").write_bytes(make_png())
        path.symlink_to(tmp_path / "private.png")
    page, complaints = page_of(root)
    assert len(complaints) == 1
    assert complaints[0].startswith(f"{path}: ")
    assert len(page.all("img")) == 1  # the empty one of the dialog
    assert any(text.startswith("sample grid: ") for text in page.texts)


def test_notes_and_foreign_scorers_are_shown(runs: Write) -> None:
    where = Environment(versions={}, machine="a laptop", accelerator="cpu", world_size=1)
    moved = dataclasses.replace(make_bpd(), scored_with=where)
    page, _ = page_of(runs(make_record(moved, notes={"data_skipped": 3})))
    assert any("notes:\n  data_skipped: 3" in text for text in page.texts)
    titles = [attributes.get("title") or "" for attributes in page.all("span")]
    assert sum("scored with cpu, a laptop" in title for title in titles) == 1
    plain, _ = page_of(runs(make_record(make_bpd())))
    assert not any("notes:" in text for text in plain.texts)


EVIL = "</script></style><script>alert(1)</script>\"' onload=alert(1) x=\"<b>&amp;"


def test_no_text_of_a_record_breaks_out(runs: Write) -> None:
    plain, evil = make_record(make_bpd(), make_fd()), make_record(
        make_bpd(data=EVIL, estimator=EVIL), make_fd(data=EVIL, sampler=EVIL, sampler_settings={EVIL: EVIL}),
        make_fd(9.0, data=EVIL, transform=EVIL, sampler_settings={"temperature": 2}),
        run_name=EVIL, family=EVIL, model=EVIL, data=EVIL, config={EVIL: {EVIL: [EVIL]}}, git_commit=EVIL,
        files={"sample_grid": EVIL},
    )
    root = runs(plain)
    allowed = {tag for tag, _ in page_of(root)[0].elements} | {"small"}
    page, _ = page_of(runs(evil))
    tags = {tag for tag, _ in page.elements}
    assert len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert tags <= allowed
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert EVIL in page.texts


def test_signs_errors_and_tooltips(runs: Write) -> None:
    page, _ = page_of(runs(
        make_record(make_bpd(3.12, 0.01, "exact"), run_name="a"),
        make_record(make_bpd(3.22, 0.01, "bound"), run_name="b"),
        make_record(make_bpd(3.32, 0.01, "estimate"), run_name="c"), make_record(make_fd(), run_name="d"),
    ))
    text = " ".join(page.texts)
    assert "= 3.12" in text
    assert "≤ 3.22" in text
    assert "≈ 3.32" in text
    assert "n/a" in text
    assert "± 0.01" in text
    titles = [attributes.get("title") or "" for attributes in page.all("span")]
    protocol = make_bpd(kind="bound").protocol.hash[:16]
    tip = f"<= 3.22 +- 0.01 bits/dim; ema_halflife_examples=5000, estimator=elbo, draws=1; protocol {protocol}"
    assert tip in titles


def test_every_column_can_be_sorted_better_first(runs: Write) -> None:
    page, _ = page_of(runs(make_record(make_bpd(), make_fd(), make_is(9.0))))
    headers = [attributes for attributes in page.all("th") if "data-first" in attributes]
    first = [header["data-first"] for header in headers]
    assert first == ["ascending"] * 4 + ["descending"] + ["ascending"] * 6
    assert len([b for b in page.all("button") if b.get("class") != "grid"]) == len(headers)
    values = [cell["data-sort"] for cell in page.all("td") if "data-sort" in cell]
    assert values[:4] == ["vae", "2.1", "8.0", "9.0"]
    script = (Path(write_page.__code__.co_filename).parent / "page.js").read_text(encoding="utf-8")
    assert 'setAttribute("aria-sort"' in script


def test_differing_columns_say_so(runs: Write) -> None:
    page, _ = page_of(runs(make_record(make_fd()), make_record(make_fd(num_samples=10_000))))
    assert "[num_samples=1000]" in page.texts
    assert "[num_samples=10000]" in page.texts


def test_one_plot_is_shown_of_all_and_every_point_leads_to_its_card(runs: Write) -> None:
    page, _ = page_of(runs(make_record(make_bpd(), make_fd(), run_name="a"), make_record(make_fd(9.0))))
    figures = page.all("figure")
    assert len(figures) == 2 * 5
    assert sum("hidden" not in figure for figure in figures) == 1
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    links = {(attributes["href"] or "")[1:] for attributes in page.all("a")}
    assert links == ids - {"s0"} == {"s0-0", "s0-1"}
    assert len(page.all("svg")) == 10


def test_a_baseline_beyond_the_drawing_is_told_and_not_drawn(runs: Write) -> None:
    truth, noise = (
        make_bpd(value, None, "exact", weights="none", ema_halflife_examples=None, estimator=name, draws=None)
        for value, name in ((1.9, "entropy"), (4.09, "uniform noise"))
    )
    root = runs(make_record(make_bpd(2.0), baselines=[truth, noise]), make_record(make_bpd(2.3)))
    page, _ = page_of(root)
    assert sum(attributes.get("class") == "baseline" for attributes in page.all("line")) == 5  # one a cost
    assert page.texts.count("Beyond the drawing: uniform noise (4.09).") == 5


def test_broken_records_are_named_on_the_page_too(runs: Write) -> None:
    root = runs(make_record(make_bpd()), make_record(make_bpd()))
    (root / "run1" / "record.json").write_text("<script>")
    page, complaints = page_of(root)
    assert len(complaints) == 1
    assert complaints[0] in page.texts


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no record below"):
        write_page(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_a_run_without_scores_is_shown(runs: Write) -> None:
    page, _ = page_of(runs(make_record()))
    assert "vae-1" in page.texts
