"""Every snippet of the chapters and the README runs and shows what it says; and the runner can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.snippets import blocks, run_file

ROOT = Path(__file__).parents[2]

# Each chapter, and how many Python blocks with checked output it has at least: an emptied chapter is red, not green.
CHAPTERS = {
    "01-kernels-on-pictures.md": 7,
    "02-the-window.md": 7,
    "03-stride-and-padding.md": 10,
    "04-channels.md": 6,
    "05-im2col.md": 11,
    "06-forward.md": 6,
    "07-backward.md": 10,
    "08-col2im.md": 11,
    "09-what-the-post-gets-wrong.md": 16,
    "10-training.md": 9,
    "11-photographs.md": 7,
}


def python_blocks(path: Path) -> int:
    """Return how many Python blocks of a file show output that is checked."""
    return sum(block.language == "python" and ">>>" in block.text for block in blocks(path))


def test_every_chapter_is_listed_here():
    assert sorted(path.name for path in (ROOT / "docs").glob("[0-9]*.md")) == sorted(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_the_chapter_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert python_blocks(ROOT / "docs" / name) >= CHAPTERS[name]
    assert not run_file(ROOT / "docs" / name)


# The README's shell lines set up a machine and train: `.ci/run` runs them, in a fresh environment. Other pages
# show commands that the command line's own tests run.
OTHERS = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in CHAPTERS),
]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_page_runs(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [failure for failure in run_file(path) if "a shell block needs" not in failure] == []


def page(folder: Path, *parts: str) -> Path:
    """Write a page of fenced Python blocks."""
    path = folder / "page.md"
    path.write_text("# Page\n" + "".join(f"\n```python\n{part}\n```\n" for part in parts), encoding="utf-8")
    return path


def test_a_right_page_passes_and_its_blocks_share_names(tmp_path):
    assert run_file(page(tmp_path, "a = 20", ">>> a + 1\n21", "assert a == 20")) == []


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([">>> 1 + 1\n3"], "Expected:\n    3\nGot:\n    2"),
        ([">>> [1.0, 2.0]\n[1.0, 2.1]"], r"[1.0, 2.0]"),
        ([">>> b = 1", ">>> b\n2"], "page.md:8"),
        ([">>> undefined"], "NameError"),
        ([">>> 5"], "Expected nothing"),
        (["1 / 0"], "ZeroDivisionError"),
        (["assert 1 == 2"], "AssertionError"),
        (["no Python this"], "SyntaxError"),
    ],
)
def test_a_wrong_snippet_fails(parts, said, tmp_path):
    failures = run_file(page(tmp_path, "a = 1", *parts) if len(parts) == 1 else page(tmp_path, *parts))
    assert len(failures) == 1
    assert said in failures[0]


def test_one_failure_does_not_hide_the_next(tmp_path):
    assert len(run_file(page(tmp_path, ">>> 1\n2", ">>> 2\n2", ">>> 3\n4"))) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```sh\nls\n```\n", "a shell block needs"),
        ("<!-- not run: -->\n```sh\nls\n```\n", "no reason"),
        ("<!-- run -->\n```console\nls\n```\n", "begin with `$ `"),
        ("<!-- run -->\n```console\n$ python -c 'print(1)'\n2\n```\n", "expected\n2\ngot\n1"),
        ("<!-- run -->\n```console\n$ python -c 'raise SystemExit(3)'\n```\n", "ended with 3"),
        ("```pyton\n1\n```\n", "language 'pyton'"),
    ],
)
def test_a_shell_block_says_what_becomes_of_it(text, said, tmp_path):
    path = tmp_path / "page.md"
    path.write_text(text, encoding="utf-8")
    (failure,) = run_file(path)
    assert said in failure


def test_a_shell_block_that_runs_or_says_why_not_passes(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "<!-- run -->\n```console\n$ python -c 'print(6 * 7)'\n42\n```\n"
        "<!-- not run: takes an hour -->\n\n```sh\nsleep 3600\n```\n",
        encoding="utf-8",
    )
    assert run_file(path) == []


def test_a_block_without_an_end_is_an_error(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("```python\n>>> 1\n1\n", encoding="utf-8")
    with pytest.raises(ValueError, match="never ends"):
        blocks(path)
