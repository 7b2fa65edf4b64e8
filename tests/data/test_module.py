"""DiscreteDataModule: what it refuses, and what its fingerprint tells apart."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from lit_gen.data import Digits, DiscreteDataModule, KnownEntropy, Loader, Split
from lit_gen.errors import UserError


class Given(DiscreteDataModule):
    """Serves the same tensor as all three splits."""

    def __init__(self, x: Tensor, label: Tensor | None = None, **options) -> None:
        given = {"name": "given", "shape": (1, 2, 2), "num_levels": 4, "batch_size": 2}
        super().__init__(**{**given, **options})
        self.x, self.label, self.reads = x, label, 0

    def read(self) -> dict:
        self.reads += 1
        return dict.fromkeys(("train", "val", "test"), Split(self.x, self.label))


def image(*levels: int) -> Tensor:
    return torch.tensor(levels, dtype=torch.uint8).reshape(-1, 1, 2, 2)


def test_reads_once():
    data = Given(image(0, 1, 2, 3))
    data.setup("fit")
    data.setup("test")
    data.split("val")
    assert data.reads == 1


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (image(), r"split 'train' of data set 'given' is empty"),
        (
            image(0, 0, 0, 0, 1, 9, 1, 1),
            r"values up to 9 \(first in example 1\), outside 0\.\.3; set num_levels to 10",
        ),
        (torch.zeros(3, 1, 2, 3, dtype=torch.uint8), r"shape \(1, 2, 3\), the data module declares \(1, 2, 2\)"),
        (torch.zeros(3, 1, 2, 2), r"holds torch\.float32: .* uint8"),
    ],
)
def test_data_that_does_not_fit_is_refused_in_one_line(x: Tensor, message: str):
    with pytest.raises(UserError, match=message) as error:
        Given(x).setup()
    assert "\n" not in str(error.value)


def test_labels_must_match():
    with pytest.raises(UserError, match=r"labels torch\.int64 \(3,\): need int64 \(1,\)"):
        Given(image(0, 1, 2, 3), torch.arange(3)).setup()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size .* is 0"),
        ({"shape": (1, 0, 2)}, "shape .* is 0"),
        ({"num_levels": 257}, r"num_levels .* is 257: it must be in 2\.\.256"),
        ({"loader": Loader(seed=-1)}, r"loader\.seed .* is -1"),
        ({"loader": Loader(eval_batch_size=0)}, r"loader\.eval_batch_size .* is 0"),
    ],
)
def test_impossible_sizes_are_refused_at_construction(options: dict, message: str):
    with pytest.raises(UserError, match=message):
        Given(image(0, 0, 0, 0), **options)


def test_unknown_split_names_the_nearest():
    with pytest.raises(UserError, match=r"no split 'tst'.*did you mean 'test'"):
        Given(image(0, 0, 0, 0)).split("tst")


def test_fingerprint_tells_apart_what_the_model_would_see_differently():
    base = Given(image(0, 1, 2, 3, 0, 0, 0, 0)).fingerprint("train")
    assert len(base) == 64
    assert Given(image(0, 1, 2, 3, 0, 0, 0, 0), batch_size=1, loader=Loader(seed=7)).fingerprint("train") == base
    others = [
        Given(image(0, 1, 2, 2, 0, 0, 0, 0)),  # one pixel
        Given(image(0, 0, 0, 0, 0, 1, 2, 3)),  # the order
        Given(image(0, 1, 2, 3, 0, 0, 0, 0), num_levels=5),
        Given(image(0, 1, 2, 3, 0, 0, 0, 0).reshape(2, 1, 1, 4), shape=(1, 1, 4)),
        Given(image(0, 1, 2, 3)),
    ]
    assert len({base, *(other.fingerprint("train") for other in others)}) == 6


@pytest.fixture(scope="module")
def elsewhere() -> list[str]:
    """What another process prints: the readers that importing the room imports, and a fingerprint."""
    code = (
        "import sys, lit_gen.data\n"
        "print([m for m in ('datasets', 'sklearn', 'pyarrow', 'soundfile') if m in sys.modules])\n"
        "print(lit_gen.data.KnownEntropy().fingerprint('train'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_importing_the_room_imports_no_reader(elsewhere: list[str]):
    assert elsewhere[0] == "[]"


def test_fingerprint_is_the_same_in_another_process(elsewhere: list[str]):
    assert elsewhere[1] == KnownEntropy(batch_size=7).fingerprint("train")


def test_fingerprint_of_the_digits_is_pinned():
    """Every record on the digits carries it: it must not drift with versions of anything."""
    assert Digits().fingerprint("test") == "b2c5ea14e65a95c227200a57fb86a41c49729c2e18f2f6610e962c9bfb7da5aa"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a/b", "name of the data set is 'a/b': '/' cannot be in a folder's name; use 'a-b'"),
        ("..\\b", r"name of the data set is '..\\b': '\\' cannot be in a folder's name; use '..-b'"),
        ("a\nb", r"name of the data set is 'a\nb': '\n' cannot be in a folder's name; use 'a-b'"),
        ("", "name of the data set has 0 characters: give it 1 to 100"),
        ("a" * 101, "name of the data set has 101 characters: give it 1 to 100"),
    ],
)
def test_a_name_that_is_no_name_of_a_folder_is_rejected(name: str, message: str):
    with pytest.raises(UserError) as caught:
        Given(image(0, 1, 2, 3), name=name)
    assert str(caught.value) == message


def test_a_name_may_have_brackets_and_letters_of_any_script():
    assert Given(image(0, 1, 2, 3), name="été [v1]").name == "été [v1]"
