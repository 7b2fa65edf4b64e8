"""The structure of the package, measured: constructors, loose files, circles of imports, names, and words."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPO

import lit_gen.families
from lit_gen.contract import GenerativeModule

PACKAGE = REPO / "lit_gen"
# From the data, or from the model that builds a network; not from the user.
LINKED = {"self", "shape", "num_levels", "in_channels", "out_channels"}


def tracked() -> list[Path]:
    """Python files of the package that git knows; all of them outside a checkout."""
    found = subprocess.run(["git", "ls-files", "lit_gen"], cwd=REPO, capture_output=True, text=True)
    paths = [REPO / name for name in found.stdout.splitlines()] if not found.returncode else PACKAGE.rglob("*.py")
    return sorted(path for path in paths if path.suffix == ".py" and path.is_file())


def name_of(path: Path) -> str:
    return str(path.relative_to(REPO))


FILES = tracked()


def classes(path: Path) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))


# ------------------------------------------------------------------ what a user meets


def test_no_public_constructor_has_more_than_ten_parameters() -> None:
    too_many = {}
    for path in FILES:
        for cls in classes(path):
            for method in cls.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__" and not cls.name.startswith("_"):
                    names = [a.arg for a in (*method.args.args, *method.args.kwonlyargs) if a.arg not in LINKED]
                    if len(names) > 10:
                        too_many[f"{name_of(path)} {cls.name}"] = len(names)
    assert not too_many


def test_no_model_repeats_arguments_of_an_optimizer() -> None:
    """They belong to the optimizer, which is one value."""
    scattered = {"lr", "beta1", "beta2", "eps", "weight_decay", "lr_generator", "lr_discriminator"}
    models = [getattr(lit_gen.families, name) for name in lit_gen.families.__all__]
    assert len(models) >= 22
    for model in models:
        assert issubclass(model, GenerativeModule)
        parameters = inspect.signature(model).parameters
        assert not scattered & set(parameters), model.__name__
        assert any("optimizer" in name for name in parameters), model.__name__


# ------------------------------------------------------------------ files


def test_few_modules_lie_loose_at_the_top() -> None:
    loose = {path.stem for path in FILES if path.parent == PACKAGE} - {"__init__", "__main__"}
    assert len(loose) <= 8, sorted(loose)


def test_no_document_holds_the_marks_of_a_merge() -> None:
    for path in [*REPO.glob("*.md"), *PACKAGE.rglob("*.md"), *(REPO / "configs").rglob("*.yaml")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert not [line for line in lines if line.startswith(("<<<<<<<", ">>>>>>>"))], path


def test_a_file_name_occurs_once() -> None:
    counts = Counter(path.stem for path in FILES if not path.stem.startswith("__"))
    assert not {stem: n for stem, n in counts.items() if n > 1}


def test_files_are_short() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in FILES}
    assert max(lengths.values()) <= 330, max(lengths, key=lengths.__getitem__)


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not {"utils", "helpers", "misc", "common"} & {path.stem for path in FILES}


def test_no_public_function_bears_the_name_of_a_submodule() -> None:
    """``lit_gen.data.folder`` must be one thing."""
    for init in (path for path in FILES if path.name == "__init__.py"):
        tree = ast.parse(init.read_text())
        names = {alias.asname or alias.name for n in tree.body if isinstance(n, ast.ImportFrom) for alias in n.names}
        names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        submodules = {path.stem for path in init.parent.iterdir() if path.suffix == ".py" or path.is_dir()}
        assert not {name for name in names if name.islower()} & submodules, name_of(init)


# ------------------------------------------------------------------ imports


def module_of(path: Path) -> str:
    parts = path.relative_to(REPO).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, anywhere in it: also for type checkers, or when a function runs."""
    found = set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in modules else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules


def test_no_circle_of_files() -> None:
    modules = {module_of(path): path for path in FILES if path.name != "__init__.py"}
    graph = {name: imports(path, set(modules)) for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, on_the_way: tuple[str, ...]) -> None:
        assert name not in on_the_way, f"circle: {' -> '.join((*on_the_way, name))}"
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*on_the_way, name))
            done.add(name)

    for name in graph:
        visit(name, ())
    assert len(done) > 150


# ------------------------------------------------------------------ words

FORBIDDEN = {
    "the house": r"\bthe house\b",
    "owes": r"\bowes?\b",
    "rooms": r"\brooms\b",
    "mend": r"\bmend(?:s|ed)?\b",
    "reckoned": r"\breckon(?:ed|s)?\b",
    "quicken": r"\bquicken\b",
    "hush": r"\bhush\b",
    "dear": r"\bdear\b",
    "floor rows": r"\bfloor rows?\b",
    "image options": r"\b(?:max|halflife|warmup)_images\b",
}


@pytest.mark.parametrize("word", FORBIDDEN)
def test_words_that_a_reader_would_have_to_translate(word: str) -> None:
    pattern = re.compile(FORBIDDEN[word], re.IGNORECASE)
    # Old names of options stand in the table that answers them.
    exempt = {"renamed.py", "version1.py"}
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in FILES
        if path.name not in exempt
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_overrides_say_so() -> None:
    """``@override``, which a type checker reads, in place of a docstring that points to another class."""
    for path in FILES:
        assert '"""See :class:`' not in path.read_text(), name_of(path)
