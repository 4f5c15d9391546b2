"""A model as one file: safetensors, with the architecture inside and no code.

The file's single metadata key, `deepconv`, holds JSON with sorted keys: `format` (1), `architecture` (what
`layers.architecture.describe` gives) and `metadata` (whatever else travels: preprocessing, class names). The
tensors are the parameters and buffers by their dotted names. Equal models give equal bytes.

A file from a stranger is read with suspicion: every size in it is checked, and the architecture's own
shapes are held against it, before any memory is taken for a tensor.
"""

from __future__ import annotations

import graphlib
import json
import math
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from deepconv.arrays import Array
from deepconv.files import atomic_write
from deepconv.layers import LAYERS, Graph, Layer
from deepconv.layers.architecture import build, describe

__all__ = ["load", "read_metadata", "save"]

FORMAT = 1
KEY = "deepconv"
MAX_HEADER = 2**20  # bytes; an ordinary model's header takes some thousands
MAX_DEPTH = 160  # of brackets within brackets
MAX_STEPS = 100_000  # layers run for one output, shared ones each time
MAX_NESTING = 50  # layers within layers

# Strings and brackets. Possessive (`*+`), as a search that may turn back takes a hundred bytes for each byte;
# and a string may end with the text, as else every quote in it would be tried as the start of another.
_WORDS = re.compile(rb'"[^"\\]*+(?:\\.?+[^"\\]*+)*+(?:"|\Z)|[][{}]', re.DOTALL)

_DTYPES: dict[str, np.dtype[Any]] = {"F16": np.dtype("<f2"), "F32": np.dtype("<f4"), "F64": np.dtype("<f8")}


def save(model: Layer, path: str | os.PathLike[str], *, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a model to one file, whole or not at all: on an error the old file stays as it was.

    Args:
        model: the model; it must have values.
        path: the file; its folder must exist.
        metadata: what else travels with it, anything that JSON holds; None keeps the model's own.

    Raises:
        RuntimeError: the model has no values yet.
        TypeError, ValueError: JSON can't hold the metadata or a layer's argument, or the description is
            too long or too deep.
        OSError: the file can't be written.

    Example:
        >>> import tempfile
        >>> from deepconv.layers import Linear
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.safetensors")
        ...     save(Linear(3, 2).initialize((3,)), path, metadata={"classes": ["cat", "dog"]})
        ...     model = load(path)
        >>> model, model.metadata
        (Linear(3, 2), {'classes': ['cat', 'dog']})
    """
    from safetensors.numpy import save as encode

    if not isinstance(model, Layer):
        raise TypeError(f"save: model={model!r} is no layer; use save(model, path)")
    _check_path("save", path)
    state = model.state()
    given = model.metadata if metadata is None else metadata
    if not isinstance(given, Mapping):
        raise TypeError(
            f"save: metadata={given!r:.100} is not a mapping; use a dict, such as {{'classes': [...]}}"
        )
    extra = dict(given)
    document = {"format": FORMAT, "architecture": describe(model), "metadata": extra}
    try:
        text = json.dumps(document, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"save: metadata is not something that JSON holds: {error}") from error
    _check_readable("save", text, model, state)
    data = encode({name: np.ascontiguousarray(array) for name, array in state.items()}, {KEY: text})
    if int.from_bytes(data[:8], "little") > MAX_HEADER:
        raise ValueError(f"save: the description is longer than {MAX_HEADER} bytes; shorten the metadata")
    atomic_write(path, data)


def load(path: str | os.PathLike[str], *, layers: Mapping[str, type[Layer]] | None = None) -> Layer:
    """Read a model from a file that `save` wrote. No code in the file is run; there is none.

    Args:
        path: the file.
        layers: your own layers by name, for a model made of them; the library's are known.

    Returns:
        The model, ready for use; its `metadata` is what was saved with it.

    Raises:
        ValueError: the file isn't a model of deepconv, is damaged, from a newer version, or holds a layer
            that isn't known; the message says which.
        OSError: the file can't be read.

    Example:
        >>> load(__file__)
        Traceback (most recent call last):
        ...
        ValueError: load: path=... is no model file: it is cut short, or not a safetensors file at all; pass a...
    """
    if layers is not None and not isinstance(layers, Mapping):
        raise TypeError(f"load: layers={layers!r:.100} is not a mapping; use {{'MyLayer': MyLayer}}")
    _check_path("load", path)
    with _open(path) as file:
        try:
            document, entries, start = _read(file)
            model = build(document["architecture"], {**LAYERS, **(layers or {})})
            _check_steps(model)
            values = model.values()
            _check_shapes({name: value.shape for name, value in values.items()}, entries)
            for name, value in values.items():
                value.data = _tensor(file, start, *entries[name])
        except (ValueError, RecursionError) as error:
            kind = "file" if isinstance(error, _NoModelError) else "for this version"
            raise ValueError(f"load: path={os.fspath(path)!r} is no model {kind}: {error}") from error
    model.metadata = document["metadata"]
    return model


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what was saved besides the model, without reading the model.

    Args:
        path: the file.

    Raises:
        ValueError: the file isn't a model of deepconv.
        OSError: the file can't be read.

    Example:
        >>> import tempfile
        >>> from deepconv.layers import Linear
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "model.safetensors")
        ...     save(Linear(3, 2).initialize((3,)), path, metadata={"mean": 0.5})
        ...     read_metadata(path)
        {'mean': 0.5}
    """
    _check_path("read_metadata", path)
    with _open(path) as file:
        try:
            metadata: dict[str, Any] = _read(file)[0]["metadata"]
        except ValueError as error:
            raise ValueError(f"read_metadata: path={os.fspath(path)!r} is no model file: {error}") from error
    return metadata


_KINDS = {
    b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"GIF8": "a GIF picture",
    b"PK\3\4": "a zip archive (such as PyTorch's .pt, Keras' .keras and NumPy's .npz)",
    b"\x89HDF": "an HDF5 file", b"\x93NUMPY": "a NumPy array", b"%PDF": "a PDF file", b"\x1f\x8b": "a gzip archive",
}  # fmt: skip
"""How files begin that people take for a model."""


class _NoModelError(ValueError):
    """The file is of another kind, or nearly nothing of it is there."""


Entry = tuple[np.dtype[Any], tuple[int, ...], int]
"""A tensor's dtype, shape and place after the header."""


def _check_path(op: str, path: object) -> None:
    if not isinstance(path, str | bytes | os.PathLike):
        raise TypeError(f"{op}: path={path!r:.100} is no path; give the file's name, not an open file")


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    if not stat.S_ISREG(Path(path).stat().st_mode):  # a pipe would wait for ever, a device never end
        inside = Path(os.fsdecode(path)) / "model.safetensors"  # as deepconv train calls it
        remedy = f"name {str(inside)!r}, which is in it" if inside.is_file() else "name a model file"
        raise ValueError(f"load: path={os.fspath(path)!r} is not a plain file; {remedy}")
    return open(path, "rb")


def _read(file: BinaryIO) -> tuple[dict[str, Any], dict[str, Entry], int]:
    """Return the document, the tensors' entries and where the tensors start, everything checked."""
    size = os.fstat(file.fileno()).st_size
    start = file.read(8)
    length = int.from_bytes(start, "little")
    if size < 8 or length > min(MAX_HEADER, size - 8):
        kind = next((kind for magic, kind in _KINDS.items() if start.startswith(magic)), None)
        cut = (
            f": its header takes {length} bytes of a file of {size}"
            if size >= 8 and length <= MAX_HEADER
            else ""
        )
        what = f"looks like {kind}" if kind else f"is cut short, or not a safetensors file at all{cut}"
        raise _NoModelError(f"it {what}; pass a file that model.save(path) wrote")
    header = _json(file.read(length))
    extra = header.pop("__metadata__", None)
    if not isinstance(extra, dict) or extra.keys() != {KEY} or not isinstance(extra[KEY], str):
        raise ValueError(f"its header has no single key {KEY!r}")
    document = _document(extra[KEY])
    return document, _entries(header, size - 8 - length), 8 + length


def _document(text: str) -> dict[str, Any]:
    document = _json(text.encode("utf-8", "surrogatepass"))
    version = document.get("format")
    if version is None:
        raise ValueError(
            "it has format None, so it is no model; a Trainer's checkpoint is gone on with by resume=True"
        )
    if version != FORMAT or isinstance(version, bool):
        raise ValueError(
            f"it has format {str(version)[:20]}, and this version reads {FORMAT}; upgrade deepconv"
        )
    wrong = sorted(document.keys() ^ {"format", "architecture", "metadata"})
    if wrong or not isinstance(document["metadata"], dict):
        raise ValueError(
            f"its description has unknown or missing parts: {', '.join(wrong)[:200] or 'metadata'}"
        )
    return document


def _json(data: bytes) -> dict[str, Any]:
    """Parse JSON that may be hostile: neither deep nor ambiguous, and an object."""
    depth = 0
    for match in _WORDS.finditer(data):
        depth += {b"{": 1, b"[": 1, b"}": -1, b"]": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            raise ValueError(f"its JSON has more than {MAX_DEPTH} brackets within brackets")
    value = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    if not isinstance(value, dict):
        raise ValueError(f"its JSON is a {type(value).__name__}, not an object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in result if names.count(name) > 1)
        raise ValueError(f"its JSON has the key {twice[:100]!r} twice")
    return result


def _no_constant(word: str) -> Any:
    raise ValueError(f"its JSON holds {word}")


def _entries(header: Mapping[str, Any], size: int) -> dict[str, Entry]:
    """Check that the tensors fill the file without gap, overlap or surprise."""
    entries: dict[str, Entry] = {}
    ends: dict[int, int] = {}
    for name, entry in header.items():
        shown = repr(name[:100])
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"tensor {shown} is not described by dtype, shape and data_offsets")
        shape, offsets = _naturals(shown, entry["shape"]), _naturals(shown, entry["data_offsets"])
        dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
        if dtype is None:
            raise ValueError(
                f"tensor {shown} has dtype {str(entry['dtype'])[:20]}; known are {', '.join(_DTYPES)}"
            )
        if (
            len(offsets) != 2
            or offsets[1] - offsets[0] != math.prod(shape) * dtype.itemsize
            or offsets[0] in ends
        ):
            raise ValueError(f"tensor {shown} has shape {shape} but lies at {offsets}")
        entries[name], ends[offsets[0]] = (dtype, shape, offsets[0]), offsets[1]
    place = 0
    while place in ends and place < size:
        place = ends.pop(place)
    if place != size or ends:
        raise ValueError(f"its tensors don't fill the {size} bytes after the header; it may be cut short")
    return entries


def _naturals(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(n) is int and 0 <= n < 2**48 for n in value):
        raise ValueError(f"tensor {name} has a shape or place that is not a list of sizes")
    return tuple(value)


def _check_shapes(expected: Mapping[str, tuple[int, ...] | None], entries: Mapping[str, Entry]) -> None:
    missing, extra = sorted(expected.keys() - entries.keys()), sorted(entries.keys() - expected.keys())
    if missing or extra:
        raise ValueError(f"its tensors don't fit its layers: missing {missing[:5]}, unexpected {extra[:5]}")
    for name, shape in expected.items():
        if shape is None or entries[name][1] != shape:
            raise ValueError(f"tensor {name!r} has shape {entries[name][1]} but its layer needs {shape}")


def _check_steps(model: Layer) -> None:
    """Refuse a small file that would run for ever, by layers that repeat layers that repeat layers."""
    inside: dict[int, list[int]] = {}
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) not in inside:
            inside[id(layer)] = [id(node) for node in _nodes(layer)]
            waiting.extend(_nodes(layer))
    steps: dict[int, int] = {}
    depth: dict[int, int] = {}
    for key in graphlib.TopologicalSorter(inside).static_order():  # what is inside comes first
        steps[key] = 1 + sum(steps[node] for node in inside[key])
        depth[key] = 1 + max((depth[node] for node in inside[key]), default=0)
        if steps[key] > MAX_STEPS or depth[key] > MAX_NESTING:
            raise ValueError(
                f"its layers repeat or nest each other into more than {MAX_STEPS} steps or {MAX_NESTING} levels"
            )


def _nodes(layer: Layer) -> list[Layer]:
    if isinstance(layer, Graph):
        return [node for node, _ in layer.nodes.values()]  # a layer at two nodes counts twice
    return list(layer.children().values())


def _check_readable(op: str, text: str, model: Layer, state: Mapping[str, Array]) -> None:
    """Meet at saving what would keep the file from being loaded: depth, or sharing by hand."""
    own = {type(layer).__name__: type(layer) for _, layer in model.walk()}
    try:
        again = build(_document(text)["architecture"], own)
        _check_steps(again)
    except ValueError as error:
        raise ValueError(f"{op}: the model can't be written down: {error}") from error
    shapes = {name: value.shape for name, value in again.values().items()}
    if shapes != {name: array.shape for name, array in state.items()}:
        raise ValueError(
            f"{op}: the model's parameters aren't those its layers' arguments say; share layers, not parameters"
        )


def _tensor(file: BinaryIO, start: int, dtype: np.dtype[Any], shape: tuple[int, ...], place: int) -> Array:
    array = np.empty(shape, dtype)
    file.seek(start + place)
    if array.size and file.readinto(array.reshape(-1).view(np.uint8)) != array.nbytes:  # type: ignore[attr-defined]
        raise ValueError("it ended while it was read")
    return array.astype(dtype.newbyteorder("="), copy=False)
