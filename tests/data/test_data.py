"""What `deepconv.data` offers is there, and what is loaded late is stated to type checkers too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from deepconv import data


def test_every_name_is_there():
    assert sorted(set(data.__all__)) == sorted(data.__all__)
    assert [name for name in data.__all__ if not hasattr(data, name)] == []
    with pytest.raises(AttributeError, match="has no attribute 'scan_folders'"):
        data.scan_folders  # noqa: B018


def test_type_checkers_see_the_names_that_are_loaded_late():
    stated = {
        alias.asname: node.module
        for branch in ast.walk(ast.parse(Path(data.__file__).read_text(encoding="utf-8")))
        if isinstance(branch, ast.If) and ast.unparse(branch.test) == "TYPE_CHECKING"
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert stated == {name: f"deepconv.data.{module}" for name, module in data._LATE.items()}
    assert set(data._LATE) <= set(data.__all__)


def test_the_package_needs_no_pillow_and_no_network_code():
    code = (
        "import sys, deepconv.data; print([m for m in ('PIL', 'urllib.request', 'gzip') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
