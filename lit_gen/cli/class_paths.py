"""Rules for class paths on the command line and in files that differ from those of jsonargparse.

1. Arguments of one class are never passed on to another. By default, ``--model.optimizer=SGD`` after a file that
   configures AdamW keeps those arguments that both classes have, such as the weight decay.
2. A short name means the class of lit_gen if another package has a class of that name too: ``Muon`` is
   ``lit_gen.optim.Muon``, not ``torch.optim.Muon``. By default, it is an error.

jsonargparse has no settings for them, so two of its functions are replaced while lit_gen parses.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jsonargparse import _typehints
from jsonargparse._util import import_object

_PACKAGE = "lit_gen."
_resolve_name = _typehints.resolve_class_path_by_name


@contextmanager
def class_path_rules() -> Iterator[None]:
    """Applies both rules; may be nested."""
    rules = {
        "discard_init_args_on_class_path_change": _discard_arguments,
        "resolve_class_path_by_name": _resolve_own_name_first,
    }
    before = {name: getattr(_typehints, name) for name in rules}
    try:
        for name, rule in rules.items():
            setattr(_typehints, name, rule)
        yield
    finally:
        for name, function in before.items():
            setattr(_typehints, name, function)


def _discard_arguments(parser_or_action: Any, prev_val: Any, value: Any) -> None:
    """Removes the arguments from a previous value, in place, if the new value has another class."""
    if not prev_val or "init_args" not in prev_val or prev_val["class_path"] == value["class_path"]:
        return
    # One class can have several import paths.
    if import_object(prev_val["class_path"]) is not import_object(value["class_path"]):
        for name in ("init_args", "dict_kwargs"):
            prev_val.pop(name, None)


def _resolve_own_name_first(cls: Any, name: str) -> str:
    """Import path of a subclass, given its name."""
    try:
        return _resolve_name(cls, name)
    except ValueError:  # several classes have this name
        paths = [path for each in (cls if isinstance(cls, tuple) else (cls,)) for path in _paths(each, name)]
        own = [path for path in paths if path.startswith(_PACKAGE)]
        if len(own) != 1:
            raise
        return own[0]


def _paths(cls: type, name: str) -> list[str]:
    return [path for path in _typehints.get_all_subclass_paths(cls) if path.rsplit(".", 1)[-1] == name]
