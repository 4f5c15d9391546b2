"""The house check is tested too: each rule that is broken on purpose is found, and nothing else."""

import importlib.util
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_house.py"
CLEAN = '''
"""A module."""

class Base:
    """A base."""

    def run(self, x: int) -> int:
        """Run."""
        return x

class Child(Base):
    """A child, whose `run` inherits its words."""

    def run(self, x: int) -> int:
        return x + 1

def _private(x):
    return x
'''


@pytest.fixture
def house(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("check_house", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    (tmp_path / "src").mkdir()
    return module


def problems(house, name, text):
    path = house.ROOT / name
    path.write_text(text, encoding="utf-8")
    return [
        problem for _, problem in house.check(path, house.class_table(list(filter(house.is_source, [path]))))
    ]


def test_clean_source_has_no_problem(house):
    assert problems(house, "src/clean.py", CLEAN) == []


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("assert 1", "assert"),
        ("try:\n    pass\nexcept:\n    pass", "bare except"),
        ("import pickle", "pickle"),
        ("from pickle import loads", "pickle"),
        ("import numpy as np\nnp.load('x', allow_pickle=True)", "allow_pickle=True"),
        ("print('hello')", "print"),
        ("def f(x: int) -> int:\n    return x", "f: no docstring"),
        ('def f(x) -> int:\n    """Do."""\n    return x', "f: no type for x"),
        ('def f(x: int):\n    """Do."""\n    return x', "f: no type for what it returns"),
        ("class A:\n    pass", "A: no docstring"),
        ('class A:\n    """A."""\n    def f(self) -> None: ...', "A.f: no docstring"),
        ('def f() -> None:\n    """Do."""\n' + "    f()\n" * 60, "f: 61 lines of code"),
        ("x = 1\n" * 501, "501 lines in one file"),
        ("path = '/home" + "/me/file'", "a path of one person's machine"),
        ("host = 'pypi" + ".org'", "the address of a package registry"),
    ],
)
def test_each_broken_rule_is_found(house, line, problem):
    found = problems(house, "src/broken.py", line)
    assert len(found) == 1, found
    assert found[0].startswith(problem)


def test_the_command_line_may_print(house):
    (house.ROOT / "src" / "cli").mkdir()
    assert problems(house, "src/cli/main.py", "print('hello')") == []


def test_a_docstring_does_not_count_as_code(house):
    words = "    words\n" * 100
    assert problems(house, "src/a.py", f'def f() -> None:\n    """Do.\n\n{words}    """\n') == []


@pytest.mark.parametrize(
    "text", ["see shared/work/x", "a ratio a/tmp/b", "https://example.org/home/x", "`src/root`"]
)
def test_what_only_looks_like_a_path_is_let_be(house, text):
    assert problems(house, "notes.md", text) == []


def test_files_that_are_not_text_are_skipped(house):
    path = house.ROOT / "picture.png"
    path.write_bytes(b"\x89PNG\xff /home" + b"/me/x")
    assert list(house.check(path, {})) == []


def test_what_numba_compiles_needs_no_types(house):
    for decorator, found in (("kernel", 0), ("part", 0), ("other", 1)):
        assert (
            len(problems(house, "src/a.py", f'@{decorator}\ndef f(x):\n    """Do."""\n    return x')) == found
        )
