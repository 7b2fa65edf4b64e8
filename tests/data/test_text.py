"""Text: what is scored once, what training sees, and which text is refused."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lit_gen.data import HeldOut, HubSource, HubText, Loader, NamedSplits, TextColumns, TextFile
from lit_gen.data.splits import hold_out_end
from lit_gen.data.windows import Windows
from lit_gen.errors import UserError
from lit_gen.noise import Noise

VERSE = "the quick brown fox jumps over the lazy dog. " * 20  # 900 characters, 28 different


@pytest.fixture
def verse(tmp_path: Path) -> Path:
    file = tmp_path / "verse.txt"
    file.write_text(VERSE)
    return file


def text(path: Path, **options) -> TextFile:
    """Windows of a file; sizes of the splits and the seed by their bare names."""
    given = {"unit": "characters", "length": 16, "batch_size": 4, "num_val": 100, "num_test": 100, **options}
    splits = HeldOut(given.pop("num_val"), given.pop("num_test"))
    loader = Loader(eval_batch_size=3, seed=given.pop("seed", 0))
    return TextFile(str(path), "verse", splits=splits, loader=loader, **given)


def read(data: TextFile, loader) -> list[str]:
    return [data.decode(row) for batch in loader for row in batch.x]


# ------------------------------------------------------------------ windows


def test_held_out_text_is_scored_once_and_in_order(verse: Path):
    """100 characters are six windows of 16; the last four are left out, and said."""
    data = text(verse)
    assert read(data, data.val_dataloader()) == [VERSE[700 + i : 716 + i] for i in range(0, 96, 16)]
    assert read(data, data.test_dataloader()) == [VERSE[800 + i : 816 + i] for i in range(0, 96, 16)]
    assert data.left_out == {"train": 0, "val": 4, "test": 4}


def test_what_is_left_out_is_said(verse: Path, monkeypatch: pytest.MonkeyPatch):
    said: list[str] = []
    monkeypatch.setattr("lit_gen.data.sequences.rank_zero_info", said.append)
    text(verse).setup()
    rest = "characters are left out: they lie in no window of 16"
    assert said == [f"verse: 4 of 100 val {rest}", f"verse: 4 of 100 test {rest}"]
    said.clear()
    text(verse, length=10).setup()
    assert not said


def test_training_windows_are_of_the_training_text_and_move_between_epochs(verse: Path):
    data = text(verse)
    loader = data.train_dataloader()
    epochs = [read(data, loader) for _ in range(3)]
    assert [len(epoch) for epoch in epochs] == [40, 40, 40]  # 43 windows, in batches of 4
    assert all(window in VERSE[:700] for window in chain(*epochs))
    assert len({tuple(sorted(epoch)) for epoch in epochs}) == 3
    assert read(data, text(verse).train_dataloader()) == epochs[0]
    assert read(data, text(verse, seed=1).train_dataloader()) != epochs[0]


def test_no_window_crosses_the_splits(tmp_path: Path):
    """Each split has a letter of its own but for what the training text must know."""
    file = tmp_path / "abc.txt"
    file.write_text("cb" + "a" * 198 + "b" * 50 + "c" * 50)
    data = text(file, num_val=50, num_test=50, length=8)
    loader = data.train_dataloader()
    assert set("".join(chain(*(read(data, loader) for _ in range(20))))) <= set("abc")
    beyond = [window for _ in range(20) for window in read(data, loader) if "b" in window[2:] or "c" in window[1:]]
    assert not beyond
    assert set("".join(read(data, data.val_dataloader()))) == {"b"}
    assert set("".join(read(data, data.test_dataloader()))) == {"c"}


def test_every_beginning_of_a_window_is_equally_likely():
    """A text whose levels are their own places, and a second piece; chi-square over 4,000 epochs."""
    windows = Windows([torch.arange(37, dtype=torch.uint8), torch.arange(100, 123, dtype=torch.uint8)], 10)
    noise = Noise(0, range(5))
    begins = torch.cat([windows.shifted(torch.arange(5), noise)[:, 0] for _ in range(4000)]).long()
    counts = begins.bincount(minlength=123).double()
    first, second = counts[:37], counts[100:]
    assert (torch.cat([first[28:], second[14:]]) == 0).all(), "no window goes beyond its piece"
    for found, expected, free in ((first[:28], 12_000 / 28, 27), (second[:14], 8_000 / 14, 13)):
        chi_square = float(((found - expected) ** 2 / expected).sum())
        assert chi_square < free + 5 * (2 * free) ** 0.5
    assert float(first[:28].min()) > 0
    rows = windows.shifted(torch.tensor([4, 0, 4]), Noise(1, range(3)))
    assert ((rows >= 100).all(1) == torch.tensor([True, False, True])).all(), "row i is a window of its own piece"
    assert (rows.diff() == 1).all()


def test_an_epoch_goes_evenly_over_the_text():
    """Independent places would leave a third of it unseen; here one window begins in each 25th of the places."""
    windows, noise = Windows([torch.arange(250, dtype=torch.uint8)], 10), Noise(1, range(25))
    for _ in range(50):
        begin = windows.shifted(torch.arange(25), noise)[:, 0].double()
        part = 241 / 25
        assert ((begin + 1 > torch.arange(25) * part) & (begin < torch.arange(1, 26) * part)).all()


def test_ranks_together_see_what_one_process_sees(verse: Path):
    common = {"overfit_batches": 0.0, "limit_train_batches": 1.0, "current_epoch": 2}
    batches = {}
    for rank, world_size in ((0, 1), (0, 2), (1, 2)):
        data = text(verse)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=world_size, **common)
        batches[rank, world_size] = [batch.x for batch in data.train_dataloader()]
    together = [torch.cat(pair) for pair in zip(batches[0, 2], batches[1, 2], strict=True)]
    assert torch.equal(torch.stack(together), torch.stack(batches[0, 1]))


@pytest.mark.parametrize("stop", [3, 10, 13])
def test_a_resumed_run_sees_the_windows_of_an_unbroken_one(stop: int, verse: Path):
    loader = text(verse).train_dataloader()
    unbroken = [batch.x for _ in range(3) for batch in loader]
    first, taken = text(verse).train_dataloader(), 0
    while taken < stop:
        for _ in first:
            taken += 1
            if taken == stop:
                break
    second = text(verse).train_dataloader()
    second.load_state_dict(first.state_dict())
    rest = [batch.x for batch in second]
    assert torch.equal(torch.stack(rest), torch.stack(unbroken[stop : stop + len(rest)]))
    assert len(rest) == 10 - stop % 10


def test_overfitting_trains_on_the_very_first_windows(verse: Path):
    data = text(verse)
    data.trainer = SimpleNamespace(
        overfit_batches=1, limit_train_batches=1, global_rank=0, world_size=1, current_epoch=0
    )
    loader = data.train_dataloader()
    for _ in range(2):
        assert read(data, loader) == [VERSE[i : i + 16] for i in range(0, 64, 16)]


# ------------------------------------------------------------------ vocabulary


def test_the_vocabulary_is_that_of_the_training_text_in_order(verse: Path):
    data = text(verse)
    assert data.num_levels == 28
    assert data.symbols == "".join(sorted(set(VERSE)))
    x = data.encode("fox jumps")
    assert x.tolist() == [data.symbols.index(c) for c in "fox jumps"]
    assert data.decode(x) == "fox jumps"
    assert text(verse, num_levels=28).split("val").x.equal(data.split("val").x)


def test_a_stated_vocabulary_is_not_counted_before_it_is_needed(tmp_path: Path):
    data = text(tmp_path / "absent.txt", num_levels=28)
    assert (data.shape, data.num_levels, data.modality) == ((16,), 28, "text")
    with pytest.raises(UserError, match="no file"):
        data.setup()


def test_bytes_keep_every_byte(tmp_path: Path):
    file = tmp_path / "any.bin"
    content = bytes(range(256)) * 4
    file.write_bytes(content)
    data = text(file, unit="bytes", length=64, num_val=256, num_test=256)
    assert (data.num_levels, data.symbols) == (256, "")
    assert bytes(data.split("test").x.flatten().tolist()) == content[-256:]
    assert bytes(data.split("train").x.flatten().tolist()) == content[:512]
    assert data.decode(data.encode("naïve \U0001f600\r\n")) == "naïve \U0001f600\r\n"
    assert data.decode(torch.tensor([0x61, 0xFF, 0x62])) == "a\ufffdb"


def test_characters_beyond_ascii_and_line_ends_are_kept(tmp_path: Path):
    file, line = tmp_path / "greek.txt", "αβγ\r\n\U0001f600 "
    file.write_bytes((line * 60).encode())
    data = text(file, length=7, num_val=70, num_test=70)
    assert data.symbols == "".join(sorted(set(line)))
    assert read(data, data.val_dataloader()) == [line] * 10


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (VERSE, {"num_levels": 30}, r"has 28 different characters, and num_levels is 30; set num_levels to 28"),
        (VERSE[:800] + "X" * 50 + "Z" * 50, {}, r"test text .* lacks: 'X' \(at 0\), 'Z' \(at 50\); .* bytes"),
        (VERSE[:700] + "é" + VERSE[:199], {}, r"val text .* lacks: 'é' \(at 0\)"),
        ("".join(map(chr, range(1000, 1900))), {}, r"has 700 different .* at most 256 values fit; set unit to bytes"),
        (VERSE, {"unit": "bytes", "num_levels": 28}, r"num_levels .* is 28: bytes have 256"),
        (VERSE, {"length": 101}, r"split 'val' .* no window of length 101: its longest piece has 100 characters"),
        (VERSE, {"num_val": 0}, r"split 'val' .* would be empty: splits\.num_val is 0"),
        (VERSE, {"num_val": 0.5, "num_test": 0.5}, r"length 900 and 900 are held out; lower splits\.num_val or"),
        ("aaaa" * 200, {}, r"num_levels .* is 1: it must be in 2\.\.256"),
        (b"caf\xe9" * 100, {}, r"is not UTF-8 \(byte 3\); convert it, or set unit to bytes"),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(tmp_path: Path, content: str | bytes, options: dict, message: str):
    file = tmp_path / "verse.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as error:
        text(file, **options).setup()
    assert "\n" not in str(error.value)


def test_a_misspelt_file_names_its_nearest_and_a_folder_is_refused(verse: Path):
    with pytest.raises(UserError, match=r"no file .*vrse\.txt'; did you mean 'verse\.txt'"):
        text(verse.with_name("vrse.txt"))
    with pytest.raises(UserError, match="is a folder"):
        text(verse.parent)


def test_a_prompt_of_unknown_characters_is_refused(verse: Path):
    with pytest.raises(UserError, match=r"the text of data set 'verse' .* lacks: 'X' \(at 2\)"):
        text(verse).encode("ojX")


def test_held_out_parts_are_the_end_in_order():
    parts = hold_out_end(bytes(range(100)), {"val": 0.1, "test": 20}, "it")
    assert [parts[name] for name in ("train", "val", "test")] == [
        bytes(range(70)), bytes(range(70, 80)), bytes(range(80, 100))
    ]


# ------------------------------------------------------------------ identity


def test_fingerprints_tell_apart_what_the_model_would_see_differently(verse: Path):
    def prints(content: str, **options) -> dict[str, str]:
        verse.write_text(content)
        data = text(verse, **options)
        return {name: data.fingerprint(name) for name in ("train", "val", "test")}

    base = prints(VERSE)
    assert prints(VERSE, seed=5, batch_size=2) == base
    where = {699: {"train"}, 0: {"train"}, 700: {"val"}, 795: {"val"}, 800: {"test"}, 895: {"test"}}
    for place, changed in where.items():
        other = "a" if VERSE[place] != "a" else "b"
        found = prints(VERSE[:place] + other + VERSE[place + 1 :])
        assert {name for name in base if found[name] != base[name]} == changed, place
    assert not set(prints(VERSE, length=8).values()) & set(base.values())
    assert not set(prints(VERSE, unit="bytes").values()) & set(base.values())
    # other letters of the same places: the same integers with another meaning
    assert not set(prints(VERSE.replace("z", "~")).values()) & set(base.values())
    assert not set(prints(VERSE.replace("dog.", "dog!")).values()) & set(base.values())


# ------------------------------------------------------------------ the hub's layout


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    import datasets

    folder = tmp_path / "copies" / "owner" / "lines"
    folder.mkdir(parents=True)
    parts = {"train": ["abcd" * 10, None, "dcba" * 10], "validation": ["abca" * 5], "test": ["dddd" * 5]}
    for part, lines in parts.items():
        features = datasets.Features({"text": datasets.Value("string"), "n": datasets.Value("int32")})
        table = datasets.Dataset.from_dict({"text": lines, "n": [1] * len(lines)}, features=features)
        table.to_parquet(folder / f"{part}-00000-of-00001.parquet")
    return folder


def test_hub_rows_are_one_text(rows: Path):
    data = HubText(str(rows), "lines", 8, unit="characters", columns=TextColumns(separator="|"))
    assert (data.num_levels, data.symbols) == (5, "abcd|")
    assert "".join(data.decode(row) for row in data.split("train").x) == ("abcd" * 10 + "||" + "dcba" * 10)[:80]
    assert "".join(data.decode(row) for row in data.split("val").x) == "abca" * 4
    hub, splits = HubSource(root=str(rows.parents[1])), NamedSplits(num_val=16)
    carved = HubText("owner/lines", "lines", 8, hub=hub, splits=splits)
    assert "".join(carved.decode(row) for row in carved.split("val").x) == "dcba" * 4
    assert "".join(carved.decode(row) for row in carved.split("test").x) == "dddd" * 4
    as_bytes = HubText(str(rows), "lines", 8, unit="bytes")
    assert as_bytes.num_levels == 256
    assert as_bytes.decode(as_bytes.split("test").x[0]) == "dddddddd"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": TextColumns("txt")}, r"no column 'txt', it has text, n; did you mean 'text'\?; set columns\.text"),
        ({"columns": TextColumns("n")}, r"column 'n' .* holds no text"),
        ({"splits": NamedSplits(val="val")}, r"no split 'val', it has .*; set splits\.val"),
        ({"splits": NamedSplits()}, r"split 'val' .* would be empty: splits\.num_val is 0"),
    ],
)
def test_what_does_not_fit_of_the_hub_is_told(rows: Path, options: dict, message: str):
    with pytest.raises(UserError, match=message) as error:
        HubText(str(rows), "lines", 8, **{"num_levels": 5, **options}).setup()
    assert "\n" not in str(error.value)


def test_a_file_is_for_the_other_class(verse: Path):
    with pytest.raises(UserError, match="TextFile"):
        HubText(str(verse), "verse", 8)


def test_shelf_shakespeare(shelf: Path):
    data = HubText("karpathy/tiny_shakespeare", "tiny_shakespeare", 256, num_levels=65, hub=HubSource(root=str(shelf)))
    assert [len(data.split(name).x) for name in ("train", "val", "test")] == [3921, 217, 217]
    assert data.left_out == {"train": 0, "val": 218, "test": 218}
    assert data.decode(data.split("train").x[0]).startswith("First Citizen:\nBefore we proceed any further")
    assert data.symbols == "\n !$&',-.3:;?ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
