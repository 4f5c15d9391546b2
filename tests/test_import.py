"""`import deepconv` is light, and what it offers is there."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import deepconv

HEAVY = [
    "PIL",
    "matplotlib",
    "numba",
    "rich",
    "safetensors",
    "scipy",
    "sklearn",
    "threadpoolctl",
    "torch",
    "typer",
]


def run(code):
    """Run `code` in a fresh interpreter and return the JSON that it prints."""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_loads_nothing_heavy():
    loaded = run("import json, sys, deepconv; print(json.dumps(sorted(sys.modules)))")
    assert "deepconv" in loaded
    assert [name for name in loaded if name.split(".")[0] in HEAVY] == []


def test_import_costs_at_most_what_numpy_costs_on_top():
    def cpu_seconds(module):
        code = f"import time; a = time.process_time(); import {module}; print(time.process_time() - a)"
        return min(run(code) for _ in range(3))

    assert cpu_seconds("deepconv") <= 2 * cpu_seconds("numpy")


def test_every_public_name_is_there():
    assert len(deepconv.__all__) > 50
    assert sorted(set(deepconv.__all__)) == sorted(deepconv.__all__)
    assert set(deepconv.__all__) <= set(dir(deepconv))
    missing = [name for name in deepconv.__all__ if getattr(deepconv, name, None) is None]
    assert missing == []


def test_a_star_import_brings_them_all():
    names = {}
    exec("from deepconv import *", names)
    assert set(deepconv.__all__) <= set(names)


def test_type_checkers_see_the_names_that_are_loaded_late():
    """What __getattr__ finds at run time, an import under `if TYPE_CHECKING:` states for a type checker."""
    tree = ast.parse(Path(deepconv.__file__).read_text(encoding="utf-8"))
    stated = {
        alias.asname or alias.name: node.module
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    late = [name for name in deepconv.__all__ if not name.startswith("__")]
    assert sorted(set(late) - set(stated)) == []
    for name in late:
        thing = getattr(deepconv, name)
        if hasattr(thing, "__module__"):
            assert thing.__module__.startswith("deepconv"), name


@pytest.mark.parametrize(
    ("wrong", "right"), [("conv2", "conv"), ("Conv_2d", "Conv2d"), ("maxpool", "max_pool")]
)
def test_a_misspelt_name_gets_a_suggestion(wrong, right):
    with pytest.raises(AttributeError, match=rf"{wrong}.*did you mean.*{right}"):
        getattr(deepconv, wrong)


def test_a_name_far_from_any_other_is_an_attribute_error():
    with pytest.raises(AttributeError, match="xyzzy_plugh"):
        getattr(deepconv, "xyzzy_plugh")  # noqa: B009  (the name is wrong on purpose)


def test_the_version_is_the_installed_one():
    from importlib.metadata import version

    assert deepconv.__version__ == version("deepconv")
