"""Compiled kernels by name: their machine code is loaded from files, and made where a file is missing.

    panels = library("panels")              # kernels/panels.py, which is not imported yet
    panels.multiply[dtype](x, w, y, 7)      # its function `multiply` for float32 or float64

A kernel takes whole numbers, addresses or arrays in their place (NumPy's own, kept alive by whoever calls,
and in the layout and type it expects: nothing is checked), and numbers of the type it computes in. It runs
without the GIL and on one thread. Its machine code stands in a file that is loaded through llvmlite alone: Numba,
half a second of CPU time, is imported only to compile (`frontend.py`, which owns the compile flags).

The folder is `DEEPCONV_CACHE_DIR`, else `__pycache__` beside this file, else the user's cache folder: the
first that can be written. Code is looked for in all of them, so a read-only or shared folder that was
filled before serves too; where nothing can be written, kernels are compiled anew in each process. Whoever
can write there can run code as you, as with any `__pycache__`; the files are machine code, not pickles.

Numba's own cache was not enough: its key ignores edits in the files that a kernel calls into, its index
mixes up two processes that compile different types at once, a read-only folder is not read at all, and
loading from it costs 0.3 to 0.7 s, as Numba first fills its tables.
"""

import ctypes
import hashlib
import re
import sys
import threading
from collections.abc import Callable
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from os import W_OK, X_OK, access, environ
from pathlib import Path
from typing import Any

import numpy as np

from deepconv.engine import machine
from deepconv.files import atomic_write

_HERE = Path(__file__).parent
# With ^ in place of \n it takes 8 times as long.
_IMPORT = re.compile(rb"\nfrom deepconv\.engine\.kernels(?:\.(\w+))? import (\([^)]*\)|.+)")
_DIGEST = hashlib.sha256().digest_size
# What LLVM is told when DEEPCONV_TARGET asks for less than the machine has.
_LIMITED = {"avx2": "haswell", "plain": "x86-64"}

LISTED = "_listed"
"""What the name of a kernel ends in as machine code calls it, with its words in a list."""

_lock = threading.RLock()


class _Definition(ctypes.Structure):
    """Python's `PyMethodDef`: how a function of machine code is called."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("code", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    )  # fmt: skip


_FASTCALL = 0x80
"""Python's `METH_FASTCALL`: arguments come as an array of objects."""

_definitions: list[_Definition] = []
"""Kept for as long as their functions are, which is always."""

_function = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCFunction_NewEx", ctypes.pythonapi)
)
"""Makes a function of a definition and of what the machine code gets first, which here is the type of arrays."""


class Kernel(dict[Any, Callable[..., None]]):
    """One function in machine code, for each type of number: `kernel[dtype](*args)`."""

    def __init__(self, module: str, name: str) -> None:
        """Take the file in `kernels/` and the function in it."""
        super().__init__()
        self.module, self.name = module, name

    def __missing__(self, dtype: np.dtype[Any]) -> Callable[..., None]:
        """Return the function for a type: loaded, or compiled where no file has it."""
        with _lock:
            if dtype not in self:
                self[dtype] = self._load(dtype)
            return self[dtype]

    def _load(self, dtype: np.dtype[Any]) -> Callable[..., None]:
        """Return the machine code as a function of Python's."""
        symbol, code = self._code(dtype)
        _link(code)
        definition = _Definition(symbol.encode(), _address(symbol), _FASTCALL, None)
        _definitions.append(definition)
        function: Callable[..., None] = _function(ctypes.byref(definition), np.ndarray, None)
        _symbols[function] = symbol
        return function

    def _code(self, dtype: np.dtype[Any]) -> tuple[str, bytes]:
        """Return the compiled function's symbol and its object code."""
        key = repr((self.name, dtype.str)).encode()
        digest = hashlib.sha256(_stamp(self.module) + key).hexdigest()[:24]
        file = f"{self.module}.{self.name}.{dtype.char}.{digest}.o"
        stored = _read(file)
        if stored is None:
            compiled = import_module("deepconv.engine.kernels.frontend").compiled
            function = getattr(import_module(f"deepconv.engine.kernels.{self.module}"), self.name)
            stored = compiled(function, dtype, _limited())
            _write(file, stored)
        symbol, code = stored.split(b"\0", 1)
        return symbol.decode(), code


class Library:
    """The kernels of one file: its functions that `frontend.kernel` marks, as attributes."""

    def __init__(self, module: str) -> None:
        """Take the file's name in `kernels/`."""
        self._module = module

    def __getattr__(self, name: str) -> Kernel:
        """Return a kernel, the same one at every look."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = Kernel(self._module, name)
        setattr(self, name, found)
        return found


@cache
def library(module: str) -> Library:
    """Return the kernels of a file in `kernels/`, none of them loaded yet."""
    return Library(module)


@cache
def _limited() -> str | None:
    """Return the processor LLVM shall compile for where `DEEPCONV_TARGET` asks for less than there is."""
    wanted, native = machine.target(), machine.native_target()
    return _LIMITED.get(wanted.name) if wanted.vector_bytes < native.vector_bytes else None


def folders() -> list[Path]:
    """Return where compiled code is looked for, in order; it is written to the first that can be."""
    if chosen := environ.get("DEEPCONV_CACHE_DIR"):
        return [Path(chosen)]
    own = machine.own_folder("XDG_CACHE_HOME", ".cache")
    return [_HERE / "__pycache__", *([own] if own else [])]


def kept_in() -> Path | None:
    """Return the folder that compiled code is written to, or None where none can be: it is made in each process."""
    for folder in folders():
        there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if there.is_dir() and access(there, W_OK | X_OK):
            return folder
    return None


def _read(file: str) -> bytes | None:
    """Return what a file of compiled code holds; a damaged one is as good as none."""
    for folder in folders():
        try:
            stored = (folder / file).read_bytes()
        except OSError:
            continue
        if hashlib.sha256(stored[_DIGEST:]).digest() == stored[:_DIGEST]:
            return stored[_DIGEST:]
    return None


def _write(file: str, stored: bytes) -> None:
    """Keep compiled code in the first folder that can be written, if any can."""
    for folder in folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            atomic_write(folder / file, hashlib.sha256(stored).digest() + stored)
        except OSError:
            continue
        return


@cache
def _source(name: str) -> tuple[bytes, frozenset[str]]:
    """Return a digest of a kernel file, and the kernel files that it imports."""
    text = (_HERE / f"{name}.py").read_bytes()
    found = [[module] if module else re.findall(rb"\w+", names) for module, names in _IMPORT.findall(text)]
    return hashlib.sha256(text).digest(), frozenset(other.decode() for others in found for other in others)


@cache
def _sources(name: str) -> frozenset[str]:
    """Return the kernel files that a kernel file is made of, itself included."""
    return frozenset({name}).union(*map(_sources, _source(name)[1]))


def _release(package: str) -> bytes:
    """Return what tells a package's release from others: its version file, as asking for metadata takes 30 ms."""
    spec = find_spec(package)
    try:
        return (Path(str(spec and spec.origin)).parent / "_version.py").read_bytes()
    except OSError:
        from importlib.metadata import version

        return version(package).encode()


@cache
def _maker() -> bytes:
    """Return what tells the processor and the compiler that machine code is made for and by."""
    from llvmlite import binding

    versions = [_release(package) for package in ("numba", "llvmlite")]
    host = (
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
        _limited(),
        machine.target(),
        sys.platform,
        object.__basicsize__,
    )
    return repr((versions, host)).encode()


@cache
def _stamp(name: str) -> bytes:
    """Return a digest of all that the machine code of a kernel file depends on, its types apart."""
    digest = hashlib.sha256(_maker())
    for source in sorted(_sources(name)):
        digest.update(_source(source)[0])
    return digest.digest()


@cache
def _linker() -> Any:
    """Return LLVM's linker of compiled code into this process."""
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine_code = binding.Target.from_default_triple().create_target_machine(jit=True)
    return binding.create_mcjit_compiler(binding.parse_assembly(""), machine_code)


def _link(code: bytes) -> None:
    """Put object code into this process."""
    from llvmlite import binding

    linker = _linker()
    linker.add_object_file(binding.ObjectFileRef.from_data(code))
    linker.finalize_object()


def _address(symbol: str) -> int:
    """Return the address of a function in code that was put into this process."""
    address = int(_linker().get_function_address(symbol))
    if not address:
        raise RuntimeError(f"compiled code lacks its function {symbol}")
    return address


_symbols: dict[Callable[..., None], str] = {}
"""The names of kernels in their machine code."""


@cache
def listed(function: Callable[..., None]) -> int:
    """Return the address of a kernel's machine code that takes its words in a list, and runs without the GIL.

    Args:
        function: of a `Kernel`; it must take whole numbers and addresses only.
    """
    with _lock:
        return _address(_symbols[function] + LISTED)
