"""The chapters hang together: every idea of the post has its place, every link an end, every figure a use."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.docs.snippets import blocks

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LARGEST = {".svg": 60_000, ".png": 60_000, ".webp": 160_000}  # bytes of a picture; WebP are photographs

# The ideas, systems and examples that a list made from the post counts.
IDEAS = 61

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")
ROW = re.compile(
    r"^\| (?P<idea>[^|]+) \| \[[^\]]+\]\((?P<page>[^)#]+)#(?P<anchor>[^)]+)\) \| (?P<phrase>[^|]+) \|$"
)


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def sections(path: Path) -> dict[str, str]:
    """Return the text under each heading by its anchor; lines inside fenced blocks are no headings."""
    found, anchor, fenced = {"": ""}, "", False
    for line in path.read_text(encoding="utf-8").splitlines():
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            anchor = slug(line.lstrip("#"))
            assert anchor not in found, f"{path.name}: two headings with the anchor {anchor}"
            found[anchor] = ""
        found[anchor] += line + "\n"
    return found


def plain(text: str) -> str:
    """Return a text as it is read: no stars, no ticks, single spaces."""
    return " ".join(re.sub(r"[*`]", "", text).split())


def ideas() -> list[re.Match[str]]:
    """Return the rows of the index's table."""
    lines = (DOCS / "README.md").read_text(encoding="utf-8").splitlines()
    return [row for row in map(ROW.match, lines) if row]


def test_the_index_names_every_idea_once():
    names = [row["idea"] for row in ideas()]
    assert len(names) == len(set(names)) == IDEAS


@pytest.mark.parametrize("row", ideas(), ids=lambda row: slug(row["idea"]))
def test_the_idea_is_where_the_index_says(row):
    section = sections(DOCS / row["page"]).get(row["anchor"])
    assert section is not None, f"{row['page']} has no section {row['anchor']}"
    assert plain(row["phrase"]) in plain(section)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_has_an_end(page):
    for link in LINK.finditer(page.read_text(encoding="utf-8")):
        if link["target"].startswith("https://"):
            continue
        name, _, anchor = link["target"].partition("#")
        target = page.parent / name if name else page
        assert target.is_file(), f"{page.name}: {name} does not exist"
        assert not anchor or anchor in sections(target), f"{page.name}: {link['target']} has no such section"


def pictures(page: Path) -> list[re.Match[str]]:
    """Return a page's pictures."""
    return [link for link in LINK.finditer(page.read_text(encoding="utf-8")) if link["picture"]]


def test_every_figure_is_shown_described_drawn_by_the_script_and_small():
    shown = [link for page in PAGES for link in pictures(page)]
    assert all(len(link["text"]) > 30 for link in shown)
    every = {link["target"].removeprefix("figures/") for link in shown}
    taken = {name for name in every if name.startswith("studio-")}  # in a browser, by studio_pictures.py
    assert taken == set(script("studio_pictures").SHOTS)
    assert all((DOCS / "figures" / name).stat().st_size <= 150_000 for name in taken)
    names = every - taken
    assert names == set(figures().FIGURES)
    report = {
        Path(link["target"]).name for link in pictures(DOCS.parent / "README.md")
    }  # a command's picture
    assert {path.name for path in (DOCS / "figures").iterdir()} - (report - names) - taken == names
    sizes = {name: (DOCS / "figures" / name).stat().st_size for name in names}
    assert {name: size for name, size in sizes.items() if size > LARGEST[Path(name).suffix]} == {}


def figures() -> ModuleType:
    """Return docs/figures.py as a module."""
    pytest.importorskip("matplotlib", reason="figures are drawn with the `app` extra")
    return script("figures")


def script(name: str) -> ModuleType:
    """Return one of the scripts in docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["positions.svg", "stride.png", "gallery.webp"])
def test_a_figure_drawn_twice_has_the_same_bytes(name, tmp_path):
    module = figures()
    first = module.save(name, tmp_path).read_bytes()
    assert module.save(name, tmp_path).read_bytes() == first


@pytest.mark.full
def test_every_figure_can_be_drawn(tmp_path):
    figures().main(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(figures().FIGURES)


def test_the_function_that_chapter_9_prints_is_the_posts():
    """Both are the post's text; here without blank space, as line breaks in a page are nobody's."""
    chapter = next(b for b in blocks(DOCS / "09-what-the-post-gets-wrong.md") if "def vec2arr" in b.text)
    post = (Path(__file__).parents[1] / "post.py").read_text(encoding="utf-8")
    ours, theirs = ("".join(text[text.index("def vec2arr") :].split()) for text in (chapter.text, post))
    assert ours == theirs
