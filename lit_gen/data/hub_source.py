"""Opening a hub data set: from a local copy or the network, with an error of one line if neither has it."""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit_gen.data.folder_files import missing_folder
from lit_gen.errors import UserError, nearest

if TYPE_CHECKING:
    import datasets

ROOT_VARIABLE = "LIT_GEN_DATA"
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class HubSource:
    """Version of a data set of the hub, and folder of local copies.

    Args:
        subset: Configuration of the data set, if it has several.
        revision: Commit or tag of the hub's repository.
        root: Folder of local copies; None for the environment variable LIT_GEN_DATA.
    """

    subset: str | None = None
    revision: str | None = None
    root: str | None = None

    def copies(self) -> Path | None:
        """The folder of local copies, if there is one.

        Raises:
            UserError: It is given and does not exist.
        """
        chosen = self.root or os.environ.get(ROOT_VARIABLE)
        if not chosen:
            return None
        folder = Path(chosen).expanduser()
        if not folder.is_dir():
            raise UserError(f"the data root '{folder}' is not a folder; correct hub.root or {ROOT_VARIABLE}")
        return folder

    def folder(self, path: str) -> Path | None:
        """The local folder that ``path`` means, or None if it can only be a hub id.

        Raises:
            UserError: It cannot be a hub id and no such folder exists.
        """
        folder = Path(path).expanduser()
        if folder.is_dir():
            return folder
        copies = self.copies()
        if copies is not None and (copies / path).is_dir():
            return copies / path
        # a folder that exists up to its last part, like data/mnst, was meant as a path and not as owner/name
        if not _HUB_ID.fullmatch(path) or (len(folder.parts) > 1 and folder.parent.is_dir()):
            raise missing_folder(folder.absolute())
        return None

    def load(self, path: str) -> datasets.DatasetDict:
        """Loads a data set through ``datasets``, from a local copy if there is one.

        Args:
            path: Hub id or folder, as the user wrote it.

        Raises:
            UserError: It cannot be loaded; raised within seconds, with or without a network.
        """
        folder = self.folder(path)
        if folder is None:
            loaded: datasets.DatasetDict = self._from_hub(path, "load_dataset")
            return loaded
        import datasets

        try:
            if saved := _saved(folder):
                return saved
            return datasets.load_dataset(str(folder), self.subset)
        except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
            raise UserError(f"`datasets` cannot load the folder '{folder}': {_one_line(error)}") from error

    def builder(self, path: str) -> datasets.DatasetBuilder:
        """The builder of a data set, which knows the files of each split; loads none of them.

        Args:
            path: Hub id or folder, as the user wrote it.

        Raises:
            UserError: There is no such data set; raised within seconds, with or without a network.
        """
        folder = self.folder(path)
        if folder is None:
            return self._from_hub(path, "load_dataset_builder")
        import datasets

        if _was_saved(folder):
            raise UserError(f"'{folder}' was written by save_to_disk and has no shards to stream; use HubImages for it")
        try:
            return datasets.load_dataset_builder(str(folder), self.subset)
        except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
            raise UserError(f"`datasets` cannot open the folder '{folder}': {_one_line(error)}") from error

    def _from_hub(self, path: str, function: str) -> Any:
        """What a function of `datasets` gives of the hub."""
        import datasets
        from huggingface_hub import constants

        offline = constants.is_offline_mode() or not _answers(f"{constants.ENDPOINT}/api/datasets/{path}")
        try:
            with _offline() if offline else nullcontext():
                return getattr(datasets, function)(path, self.subset, revision=self.revision)
        except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
            if offline:
                raise UserError(
                    f"no data set '{path}': {_no_copy(path, self.copies())}, none in the cache of `datasets`, "
                    "and the hub cannot be reached (or HF_HUB_OFFLINE is set)"
                ) from error
            raise UserError(f"the hub's data set '{path}' cannot be loaded: {_one_line(error)}") from error


def _was_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("state.json", "dataset_dict.json"))


def _saved(folder: Path) -> datasets.DatasetDict | None:
    """What `save_to_disk` wrote to a folder, a single data set as train; None if it wrote nothing there."""
    import datasets

    if not _was_saved(folder):
        return None
    loaded = datasets.load_from_disk(str(folder))
    return loaded if isinstance(loaded, datasets.DatasetDict) else datasets.DatasetDict({"train": loaded})


def _answers(url: str) -> bool:
    """Whether the hub answers at all: one request, while `datasets` alone tries for 23 seconds."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PROBE_SECONDS):
            return True
    except urllib.error.HTTPError:
        return True  # an error code is an answer too; `datasets` will say more
    except OSError:
        return False


@contextmanager
def _offline() -> Iterator[None]:
    """Makes `datasets` use only what it has downloaded before."""
    import datasets.config
    from huggingface_hub import constants

    # Both libraries read HF_HUB_OFFLINE when they are imported, which has happened by now.
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _no_copy(path: str, base: Path | None) -> str:
    if base is None:
        return f"no such folder, {ROOT_VARIABLE} names no folder of local copies"
    copies = [str(p.relative_to(base)) for pattern in ("*", "*/*") for p in base.glob(pattern) if p.is_dir()]
    return f"no such folder, no copy in '{base}'{nearest(path, copies)}"


def _one_line(error: BaseException) -> str:
    """The reason in one line: of an error while a data set is generated the innermost cause, since it says nothing."""
    import datasets

    if isinstance(error, datasets.exceptions.DatasetGenerationError):
        while error.__cause__ is not None:
            error = error.__cause__
    return " ".join(str(error).split())[:300] or type(error).__name__
