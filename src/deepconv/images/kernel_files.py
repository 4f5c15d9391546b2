"""A person's own kernel: written out as text, or in a CSV, JSON or NumPy file, of any size."""

from __future__ import annotations

import json
import math
import os
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deepconv.arrays import Array
from deepconv.images.filtering import check_kernel

__all__ = ["CELL_LIMIT", "format_kernel", "parse_kernel", "read_kernel"]

CELL_LIMIT = 1_000_000
"""The most cells a kernel from a person's file may have."""

_BYTE_LIMIT = 32 * CELL_LIMIT  # 25 characters write out any float64
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,4})?"
_WORD = re.compile(rf"({_NUMBER})(?:/({_NUMBER}))?")
_WHOLE = re.compile(r"[-+]?\d{1,15}")
_KINDS = ".npy, .json, .csv, .tsv or .txt"


def parse_kernel(text: str) -> Array:
    """Read a kernel that is written out.

    Args:
        text: rows separated by `;` or by lines, numbers by spaces or commas (`"1 2 1; 2 4 2; 1 2 1"`), or
            nested lists as in JSON (`"[[0, 1], [2, 3]]"`). A number may be a fraction, `1/9`.

    Returns:
        `(rows, columns)`: int64 where every number is whole, float64 otherwise.

    Raises:
        ValueError: a word is no number, a row is longer than another, or it is empty or too large; the text
            names the row and the word.

    Example:
        >>> parse_kernel("1 2 1; 2 4 2; 1 2 1").tolist()
        [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
        >>> parse_kernel("1/4, 1/2, 1/4").tolist()
        [[0.25, 0.5, 0.25]]
        >>> parse_kernel("1 two 1")
        Traceback (most recent call last):
        ValueError: parse_kernel: row 1, word 2: 'two' is no number; write numbers such as -1, 0.5 or 1/9
    """
    return _parsed("parse_kernel: ", text)


def read_kernel(path: str | os.PathLike[str]) -> Array:
    """Read a kernel from a file.

    Args:
        path: `.npy`, an array of two axes (one axis is one row; nothing is unpickled); `.json`, nested lists,
            or an object with the lists under `"kernel"`; `.csv` or `.tsv`, a row per line, numbers separated by
            commas, semicolons, tabs or spaces, empty lines and what follows `#` left out; `.txt`, as
            `parse_kernel` reads it.

    Returns:
        `(rows, columns)`, as for `parse_kernel`; a NumPy file's integers as int64, its floats as float64.

    Raises:
        ValueError: the file is missing, can't be read, is too large or holds no kernel; the text names the
            file, and the row and word.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = (Path(folder) / "blur.csv").write_text("1/4, 1/2, 1/4")
        ...     read_kernel(Path(folder) / "blur.csv").tolist()
        [[0.25, 0.5, 0.25]]
    """
    file = Path(path)
    where = f"read_kernel: path={str(file)!r}: "
    suffix = file.suffix.lower()
    if suffix not in (".npy", ".json", ".csv", ".tsv", ".txt"):
        raise ValueError(f"{where}{suffix or 'no ending'} is not a kind of kernel file; use {_KINDS}")
    if not file.is_file():
        raise ValueError(f"{where}{'not a file' if file.exists() else 'no such file'}; name a {_KINDS} file")
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _BYTE_LIMIT:
                raise ValueError(
                    f"{where}{size:,} bytes, too large; a kernel has at most {CELL_LIMIT:,} cells"
                )
            if suffix == ".npy":
                return _from_numpy(where, stream, size)
            data = stream.read(_BYTE_LIMIT + 1)
    except OSError as error:
        raise ValueError(f"{where}{error.strerror or error}; check that it may be read") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{where}not a text file; write the numbers as UTF-8 text") from error
    if suffix == ".json":
        return _from_json(where, text)
    return _parsed(where, text) if suffix == ".txt" else _from_lines(where, text.splitlines())


def format_kernel(kernel: Any) -> str:
    """Return a kernel as text that `parse_kernel` reads back to the same numbers, a row per line, in columns.

    Args:
        kernel: `(rows, columns)`.

    Raises:
        ValueError: it is no kernel.
        TypeError: it holds no numbers.

    Example:
        >>> print(format_kernel([[0, -1, 0], [-1, 5, -1], [0, -1, 0]]))
         0 -1  0
        -1  5 -1
         0 -1  0
    """
    cells = check_kernel("format_kernel", kernel)
    words = [[repr(number) for number in row] for row in cells.tolist()]
    words = [[word.removesuffix(".0") if cells.dtype.kind == "f" else word for word in row] for row in words]
    width = max(len(word) for row in words for word in row)
    return "\n".join(" ".join(word.rjust(width) for word in row) for row in words)


def _parsed(where: str, text: str) -> Array:
    """Return the kernel of a text that may be JSON or rows."""
    if len(text) > _BYTE_LIMIT:
        raise ValueError(
            f"{where}{len(text):,} characters, too large; a kernel has at most {CELL_LIMIT:,} cells"
        )
    if text.lstrip().startswith(("[", "{")):
        return _from_json(where, text)
    return _from_lines(where, [line for part in text.split(";") for line in part.splitlines()])


def _from_lines(where: str, lines: list[str]) -> Array:
    """Return the kernel of lines of numbers."""
    rows: list[tuple[str, list[str]]] = []
    for number, line in enumerate(lines, 1):
        text = line.split("#")[0].strip()
        if text:
            rows.append((f"row {number}", _words(where, f"row {number}", text)))
    return _table(where, rows)


def _words(where: str, row: str, text: str) -> list[str]:
    """Return a row's words. Two marks in one row would leave open which of them parts the numbers."""
    marks = [mark for mark in ("\t", ";", ",") if mark in text]
    if ";" in marks and "," in marks:
        raise ValueError(
            f"{where}{row} has both ',' and ';'; part numbers by one of them, and write 0.5 with a point"
        )
    text = re.sub(r"\s*/\s*", "/", text)
    if not marks:
        return text.split()
    words = [word.strip() for word in text.split(marks[0])]
    if words and not words[-1]:  # a mark at the end of the row
        words.pop()
    if "," in marks and marks[0] == "," and any(" " in word for word in words):
        words = [part for word in words for part in (word.split() or [""])]
    return words


def _table(where: str, rows: list[tuple[str, list[str]]]) -> Array:
    """Return the numbers of rows of words, all of one length."""
    if not rows:
        raise ValueError(f"{where}no numbers; write rows such as 1 2 1")
    first, length = rows[0][0], len(rows[0][1])
    if len(rows) * length > CELL_LIMIT:
        raise ValueError(
            f"{where}{len(rows)} × {length} cells, more than {CELL_LIMIT:,}; use a smaller kernel"
        )
    for row, words in rows:
        if len(words) != length:
            raise ValueError(
                f"{where}{row} has {len(words)} numbers and {first} has {length}; make all rows as long"
            )
    whole = all(_WHOLE.fullmatch(word) for _, words in rows for word in words)
    table = [[_number(where, row, place, word) for place, word in enumerate(words, 1)] for row, words in rows]
    return np.array(table, np.int64 if whole else np.float64)


def _number(where: str, row: str, place: int, word: str) -> float:
    """Return the number a word stands for."""
    found = _WORD.fullmatch(word)
    if found is None:
        shown = word if len(word) <= 30 else f"{word[:30]}…"
        what = f"{shown!r} is no number" if word else "there is nothing"
        raise ValueError(f"{where}{row}, word {place}: {what}; write numbers such as -1, 0.5 or 1/9")
    over, under = float(found[1]), float(found[2] or 1)
    if under == 0 or not math.isfinite(over / under):
        raise ValueError(f"{where}{row}, word {place}: {word[:30]!r} is not finite; write a finite number")
    return over / under


def _from_json(where: str, text: str) -> Array:
    """Return the kernel of nested lists; strings in them may be fractions, and bare fractions are understood."""
    quoted = re.sub(rf'(?<!["\w.])({_NUMBER})\s*/\s*({_NUMBER})(?!["\w.])', r'"\1/\2"', text)
    try:
        value = json.loads(quoted, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
        words = str(error) if isinstance(error, json.JSONDecodeError) else "nested too deeply"
        raise ValueError(f"{where}not JSON: {words}; write [[1, 2], [3, 4]]") from error
    if isinstance(value, dict):
        value = value.get("kernel")
    if isinstance(value, list) and value and not any(isinstance(row, list) for row in value):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        raise ValueError(f"{where}no list of rows; write [[1, 2], [3, 4]]")
    rows = []
    for number, row in enumerate(value, 1):
        for place, cell in enumerate(row, 1):
            if not isinstance(cell, str):
                shown = json.dumps(cell)[:30]
                raise ValueError(
                    f"{where}row {number}, word {place}: {shown} is no number; write [[1, 2], [3, 4]]"
                )
        rows.append((f"row {number}", [cell.strip() for cell in row]))
    if rows and not rows[0][1]:
        raise ValueError(f"{where}row 1 is empty; write [[1, 2], [3, 4]]")
    return _table(where, rows)


def _from_numpy(where: str, stream: BinaryIO, size: int) -> Array:
    """Return the kernel of a NumPy file, its header believed only where the file's length bears it out."""
    try:
        version = np.lib.format.read_magic(stream)
        read = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(stream, max_header_size=10_000)
    except (ValueError, EOFError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(f"{where}not a NumPy file; save the kernel with numpy.save") from error
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"{where}it holds {dtype}, not numbers; save a kernel of floats or integers")
    if len(shape) not in (1, 2) or min(shape) < 1:
        raise ValueError(f"{where}its shape is {shape}; save (rows, columns), at least 1 × 1")
    cells = math.prod(shape)
    if cells > CELL_LIMIT:
        raise ValueError(
            f"{where}{' × '.join(map(str, shape))} cells, more than {CELL_LIMIT:,}; use a smaller kernel"
        )
    if size - stream.tell() != cells * dtype.itemsize:
        raise ValueError(
            f"{where}{size - stream.tell():,} bytes follow a header that tells of {cells * dtype.itemsize:,}; "
            f"the file is damaged, save it again"
        )
    flat = np.frombuffer(stream.read(cells * dtype.itemsize), dtype)
    kernel = flat.reshape(shape, order="F" if fortran else "C")
    kernel = kernel.astype(np.float64 if dtype.kind == "f" or dtype == np.uint64 else np.int64)
    kernel = kernel.reshape(1, -1) if kernel.ndim == 1 else kernel
    if not np.isfinite(kernel).all():
        row, place = (np.argwhere(~np.isfinite(kernel))[0] + 1).tolist()
        raise ValueError(f"{where}row {row}, word {place}: {kernel[row - 1, place - 1]}; use finite numbers")
    return kernel
