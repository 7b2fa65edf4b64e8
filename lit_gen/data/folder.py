"""A user's own folder of images: no code, no labels needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from typing_extensions import override

from lit_gen.data.binarize import Binarize
from lit_gen.data.decode import Transform
from lit_gen.data.folder_files import fingerprint_folder, missing_folder, shown
from lit_gen.data.folder_splits import Layout, find_layout
from lit_gen.data.image_source import Example, Found, Source, counted, digest_of
from lit_gen.data.images import CachedImages, ImageLoader
from lit_gen.data.module import SplitName
from lit_gen.data.splits import RandomHeldOut


class FolderImages(CachedImages):
    """All images below a folder, of any file type that Pillow reads.

    Splits are the sub-folders train (or training), val (valid, validation, dev) and test (testing, eval, evaluation),
    in any case, if there is a ``train``. The others are held out of train by hashes of the files' bytes: equal files
    come into one split, and a file that is added never moves another from train to test, if ``splits`` has numbers.
    With shares, the validation examples take that place unless the folder more than doubles.

    If the images lie in sub-folders, the first one is their class; classes are numbered in natural order (2 before
    10). A few images beside class folders are left out. One line says what was found and what was left out.

    Args:
        path: Folder of images.
        name: Name of the data in records and leaderboards.
        transform: Crop, size and channels of the images.
        splits: Sizes of the validation and test sets that have no sub-folder, and the seed of their choice.
        skip_unreadable: Whether damaged images are left out and counted in ``skipped``; an error if False.
        binarize: None, "threshold" or "dynamic"; see `BinarizableDataModule`.
        batch_size: Training batch size over all processes together.
        loader: Evaluation batch size, seed of the training order, and limit of memory.

    Raises:
        UserError: There is no such folder, no image in it, or one that is unreadable or does not fit;
            or its splits cannot be distinguished from its classes.
    """

    def __init__(
        self,
        path: str,
        name: str,
        transform: Transform,
        splits: RandomHeldOut = RandomHeldOut(num_val=0.1, num_test=0.1),
        skip_unreadable: bool = False,
        binarize: Binarize | None = None,
        batch_size: int = 64,
        loader: ImageLoader = ImageLoader(),
    ) -> None:
        super().__init__(
            name=name,
            transform=transform,
            splits=splits,
            skip_unreadable=skip_unreadable,
            binarize=binarize,
            batch_size=batch_size,
            loader=loader,
        )
        self.path = path

    @override
    def describe(self) -> dict[str, object]:
        """Names, sizes and times of the files."""
        return {"folder": fingerprint_folder(self._folder())}

    @override
    def find(self) -> Found:
        """Lists the files of each split and hashes them."""
        folder = self._folder()
        layout = find_layout(folder)
        splits = {name: _source(layout, name, folder) for name in layout.roots}
        left_out = [counted(n, noun, shown(why)) for (noun, why), n in sorted(layout.left_out.items()) if n]
        return Found(splits, tuple(map(shown, layout.classes)), left_out)

    def _folder(self) -> Path:
        folder = Path(self.path).expanduser()
        if not folder.is_dir():
            raise missing_folder(folder.absolute())
        return folder


def _source(layout: Layout, name: SplitName, folder: Path) -> Source:
    files, root = layout.files[name], layout.roots[name]
    place = "" if root == folder else f"{shown(root.relative_to(folder))}/"
    digests = [digest_of(file, shown(file.relative_to(folder))) for file in files]
    return Source(len(files), _examples(layout, name, folder), digests, place)


def _examples(layout: Layout, name: SplitName, folder: Path) -> Iterator[Example]:
    for file in layout.files[name]:
        yield Example(file, layout.label(name, file), shown(file.relative_to(folder)))
