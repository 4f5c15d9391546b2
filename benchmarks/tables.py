"""Rows of times as tables for people, and the page that they stand on."""

import argparse
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.processes import ALLOCATORS, OURS, ROOT, Row

PAGE = ROOT / "docs" / "benchmarks.md"
LOST = " ✗"

PARTS = (
    "layers",
    "training",
    "operators",
    "pictures",
    "estimators",
    "studio",
    "startup",
    "threads",
    "memory",
    "errors",
)
"""The page's parts, in its order."""

_HEAD = """# Measured

Single-thread CPU time, each peer in a process of its own, all asked in turn, medians. A figure in a peer's
column is the peer's time divided by ours: above 1 we are faster, and ✗ marks where we are not, or where a
target is missed. Each part is written by the command that it names. Processes keep the memory that they
free (`--allocator warm`), so that no call pays for pages that the system must clear.
"""


def ratio(row: Row, peer: str) -> float | None:
    """Return a peer's time divided by ours, that of the best peer for "best"; None where there is none."""
    others = {name: timed.warm for name, timed in row.items() if name != OURS}
    if peer == "best":
        return min(others.values()) / row[OURS].warm if others else None
    return others[peer] / row[OURS].warm if peer in others else None


def marked(value: float | None, least: float = 1.0) -> str:
    """Return a ratio for people, marked where it is below `least`; nothing for None.

    Example:
        >>> marked(0.5), marked(1.25), marked(None)
        ('0.50 ✗', '1.25', '')
    """
    return "" if value is None else f"{value:.2f}" + (LOST if value < least else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1) -> str:
    """Return a table in Markdown whose first `left` columns are words and the others numbers."""
    lines = ["| " + " | ".join(head) + " |"]
    lines.append("|" + " --- |" * left + " ---: |" * (len(head) - left))
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def line(name: str, row: Row) -> str:
    """Return one row's times and the ratio to each peer, for the progress on the terminal."""
    ours = row[OURS]
    others = (f"{peer} {ratio(row, peer):.2f}x" for peer in row if peer != OURS)
    return (
        f"{name:<44}{ours.warm * 1e3:9.3f} ms  " + "  ".join(others) + f"  (first {ours.first * 1e3:.1f} ms)"
    )


def write_part(path: Path, name: str, text: str) -> None:
    """Put one part of the page in its place, and leave the others as they are."""
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    parts = {part: found for part in PARTS if (found := _part(old, part)) is not None}
    parts[name] = text.strip()
    blocks = [
        f"<!-- {part} -->\n\n{parts[part]}\n\n<!-- end of {part} -->" for part in PARTS if part in parts
    ]
    path.write_text("\n\n".join([_HEAD.strip(), *blocks]) + "\n", encoding="utf-8")


def _part(page: str, name: str) -> str | None:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", page, re.DOTALL)
    return found[1].strip() if found else None


def arguments(command: str, about: str | None) -> argparse.ArgumentParser:
    """Return a parser with what all commands take: how many runs, which rows, and where to write."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{command}", description=about)
    parser.add_argument("--runs", type=_count, default=5, help="interleaved runs (5)")
    parser.add_argument("--only", default="", help="rows whose name contains this; the page stays as it is")
    parser.add_argument(
        "--allocator", choices=ALLOCATORS, default="warm", help="keep freed memory, or do as the system does"
    )
    parser.add_argument("--out", type=Path, default=None, help="the page; docs/benchmarks.md if all ran")
    return parser


def _count(word: str) -> int:
    number = int(word)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{word} is under 1")
    return number


def publish(chosen: argparse.Namespace, name: str, text: str) -> None:
    """Print a part, and write it to the page: the one told, or ours where every row was measured."""
    print(text)
    out: Path | None = chosen.out or (None if chosen.only else PAGE)
    if out is not None:
        write_part(out, name, text)
