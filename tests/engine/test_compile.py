"""Kernels kept as machine code: who loads them, what makes them anew, and where they may lie."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import deepconv
from deepconv.engine import machine
from deepconv.engine.kernels import compile as compiling

pytestmark = pytest.mark.skipif(machine.why_not_compiled() is not None, reason="Numba is not there")

# A kernel file that adds `step` of another kernel file to n numbers; both are put into a copy of the package.
STEP = """
from deepconv.engine.kernels.frontend import part

@part
def step(x):
    return x + 1
"""
ADDING = """
from deepconv.engine.kernels.frontend import Number, kernel
from deepconv.engine.kernels.simd import pointer
from deepconv.engine.kernels.step import step

@kernel
def add(x, n, a: Number, zero: Number):
    x = pointer(x, zero)
    for i in range(n):
        x[i] = step(x[i]) * a
"""
OTHER = """
from deepconv.engine.kernels.frontend import Number, kernel
from deepconv.engine.kernels.simd import pointer

@kernel
def add(x, n, a: Number, zero: Number):
    pointer(x, zero)[n - 1] = 77
"""
USE = """
import json, sys
import numpy as np
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import address

def ran(name, dtype, a):
    x = np.arange(3, dtype=dtype)
    getattr(library(name), "add")[np.dtype(dtype)](address(x), 3, a)
    return x.tolist()

result = [ran("adding", "f4", 2.0), ran("adding", "f8", 0.5), ran("other", "f4", 0.0), ran("adding", "f4", 3.0)]
print(json.dumps([result, "numba" in sys.modules]))
"""
EXPECTED = [[2, 4, 6], [0.5, 1, 1.5], [0, 1, 77], [3, 6, 9]]


@pytest.fixture
def package(tmp_path):
    """A copy of what kernels need of the package, with the two files above in it."""
    source, copy = Path(deepconv.__file__).parent, tmp_path / "site" / "deepconv"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    kernels = copy / "engine" / "kernels"
    for name, text in (("step", STEP), ("adding", ADDING), ("other", OTHER)):
        (kernels / f"{name}.py").write_text(text)
    return kernels


def used(package, folder, code=USE):
    """Run `code` with the copy, its compiled code in `folder`; return its results, and whether Numba was loaded."""
    paths = {"PYTHONPATH": str(package.parents[2]), "DEEPCONV_CACHE_DIR": str(folder)}
    environment = {**os.environ, **paths, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result, with_numba = json.loads(done.stdout)
    return result, with_numba


def compiled_files(folder):
    return sorted(folder.glob("*.o"))


def test_a_second_process_loads_what_the_first_compiled(package, tmp_path):
    """And two files may have a kernel of one name."""
    folder = tmp_path / "kept"
    assert used(package, folder) == (EXPECTED, True)
    files = {path: path.read_bytes() for path in compiled_files(folder)}
    assert len(files) == 3
    assert used(package, folder) == (EXPECTED, False)
    assert files == {path: path.read_bytes() for path in compiled_files(folder)}


@pytest.mark.full
def test_a_damaged_file_is_made_anew(package, tmp_path):
    folder = tmp_path / "kept"
    assert used(package, folder) == (EXPECTED, True)
    files = {path: path.read_bytes() for path in compiled_files(folder)}
    damages = (lambda whole: whole[:-100], lambda whole: b"", lambda whole: whole[:200] + b"\1" + whole[201:])
    for damage in damages:
        victim = compiled_files(folder)[0]
        victim.write_bytes(damage(victim.read_bytes()))
        assert used(package, folder) == (EXPECTED, True)
        assert victim.stat().st_size == len(files[victim])
        assert used(package, folder) == (EXPECTED, False)


@pytest.mark.full
def test_an_edit_of_a_file_that_a_kernel_is_made_of_counts(package, tmp_path):
    folder = tmp_path / "kept"
    assert used(package, folder) == (EXPECTED, True)
    (package / "step.py").write_text(STEP.replace("x + 1", "x + 2"))
    assert used(package, folder) == ([[4, 6, 8], [1, 1.5, 2], [0, 1, 77], [6, 9, 12]], True)
    assert len(compiled_files(folder)) == 5  # `other` doesn't use it
    (package / "step.py").write_text(STEP)
    assert used(package, folder) == (EXPECTED, False)


@pytest.mark.full
def test_a_read_only_folder_that_was_filled_serves(package, tmp_path):
    """Where the folder beside the sources can't be written, the user's own is taken if anything is missing."""
    shared, own = package / "__pycache__", tmp_path / "own"
    code = (
        f"import os; del os.environ['DEEPCONV_CACHE_DIR']; os.environ['XDG_CACHE_HOME'] = {str(own)!r}\n"
        + USE
    )
    assert used(package, tmp_path, code) == (EXPECTED, True)
    assert len(compiled_files(shared)) == 3
    assert not own.exists()
    refuse = "import deepconv.engine.kernels.compile as c\ndef no(*a): raise PermissionError\nc.atomic_write = no\n"
    assert used(package, tmp_path, refuse + code) == (EXPECTED, False)
    shutil.rmtree(shared)
    shared.write_text("a file stands where the folder would")
    assert used(package, tmp_path, code) == (EXPECTED, True)
    assert len(compiled_files(own / "deepconv")) == 3
    assert used(package, tmp_path, code) == (EXPECTED, False)


@pytest.mark.full
def test_without_a_folder_it_compiles_and_works(package, tmp_path):
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    assert used(package, nowhere / "folder") == (EXPECTED, True)
    assert used(package, nowhere / "folder") == (EXPECTED, True)


@pytest.mark.full
def test_other_targets_have_code_of_their_own(package, tmp_path):
    folder = tmp_path / "kept"
    for i, target in enumerate(machine.TARGETS, start=1):
        code = f"import os; os.environ['DEEPCONV_TARGET'] = {target!r}\n" + USE
        assert used(package, folder, code) == (EXPECTED, True)
        assert len(compiled_files(folder)) == 3 * i


@pytest.mark.full
def test_many_processes_at_once(package, tmp_path):
    folder = tmp_path / "kept"
    environment = {**os.environ, "PYTHONPATH": str(package.parents[2]), "DEEPCONV_CACHE_DIR": str(folder)}
    start = [sys.executable, "-c", USE]
    running = [subprocess.Popen(start, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [json.loads(p.communicate(timeout=120)[0])[0] for p in running] == [EXPECTED] * 4
    assert len(list(folder.iterdir())) == 3  # nothing half-written stays


def test_a_kernels_sources_are_what_it_imports():
    kernels = Path(compiling.__file__).parent
    for file in kernels.glob("*.py"):
        if "@kernel" in file.read_text():
            assert {file.stem, "frontend"} <= compiling._sources(file.stem)


def imported(file):
    """The kernel files that a file imports, by Python's own grammar."""
    found = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepconv.engine.kernels"):
            module = node.module.removeprefix("deepconv.engine.kernels").lstrip(".")
            found |= {module} if module else {alias.name for alias in node.names}
    return found


def test_no_file_that_a_kernel_is_made_of_is_forgotten():
    files = Path(compiling.__file__).parent.glob("*.py")
    imports = {file.stem: imported(file) for file in files}
    for name in imports:
        wanted, waiting = set(), {name}
        while waiting:
            wanted |= waiting
            waiting = set().union(*(imports[other] for other in waiting)) - wanted
        assert compiling._sources(name) == wanted


def test_a_file_is_read_back_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCONV_CACHE_DIR", str(tmp_path))
    compiling._write("a.o", b"code" * 100)
    assert compiling._read("a.o") == b"code" * 100
    whole = (tmp_path / "a.o").read_bytes()
    for damaged in (whole[:-1], whole + b"\0", whole[:40] + b"?" + whole[41:], b"?" + whole[1:], b""):
        (tmp_path / "a.o").write_bytes(damaged)
        assert compiling._read("a.o") is None
    assert compiling._read("b.o") is None


def test_the_stamp_tells_sources_versions_processors_and_targets_apart(tmp_path, monkeypatch):
    from llvmlite import binding

    def stamp(name):
        compiling._maker.cache_clear()
        compiling._source.cache_clear()
        return compiling._stamp.__wrapped__(name)

    kernels = Path(compiling.__file__).parent
    stamps = [stamp("columns")]
    for target in machine.TARGETS.values():
        if target != machine.target():
            monkeypatch.setattr(machine, "target", lambda target=target: target)
            stamps.append(stamp("columns"))
            monkeypatch.undo()
    for owner, name, other in (
        (compiling, "_release", lambda package: b"0.0"),
        (compiling, "_limited", lambda: "another"),
        (binding, "get_host_cpu_name", lambda: "another"),
        (binding, "get_host_cpu_features", binding.FeatureMap),
    ):
        monkeypatch.setattr(owner, name, other)
        stamps.append(stamp("columns"))
        monkeypatch.undo()
    shutil.copytree(kernels, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(compiling, "_HERE", tmp_path / "kernels")
    assert stamp("columns") == stamps[0]
    for source in sorted(compiling._sources("columns")):
        with (tmp_path / "kernels" / f"{source}.py").open("a") as file:
            file.write("# edited\n")
        stamps.append(stamp("columns"))
    compiling._source.cache_clear()  # the next one asks about the real files
    assert len(set(stamps)) == len(stamps)


def test_a_kernel_must_end_in_zero():
    from deepconv.engine.kernels.frontend import kernel

    with pytest.raises(TypeError, match=r"the last parameter of .*bare must be zero: Number"):

        @kernel
        def bare(x):
            return x


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_arrays_stand_for_their_addresses(dtype):
    """A kernel reads the place of an array's numbers itself, and it is the one NumPy tells."""
    relu = compiling.library("activation").relu[np.dtype(dtype)]
    x = np.random.default_rng(0).standard_normal((3, 7)).astype(dtype)
    for part in (x, x[1:], x[::-1][:1], x[2, 3:]):
        by_array, by_number = np.full((2, *part.shape), np.nan, x.dtype)
        relu(part, by_array, part.size, 0, 0.0)
        relu(part.__array_interface__["data"][0], by_number.ctypes.data, part.size, 0, np.float64(0))
        assert np.array_equal(by_array, np.maximum(part, 0))
        assert np.array_equal(by_number, by_array)


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        (0, 0, 0, 0),
        (0, 0, 0, 0, 0.0, 0.0),
        (0, 0, 0.5, 0, 0.0),
        (0, 0, None, 0, 0.0),
        (0, "0", 0, 0, 0.0),
        (0, 0, 0, 0, "x"),
    ],
)
def test_what_a_kernel_cannot_take_is_refused_before_it_runs(wrong):
    with pytest.raises(TypeError):
        compiling.library("activation").relu[np.dtype("f4")](*wrong)
    with pytest.raises(OverflowError):
        compiling.library("activation").relu[np.dtype("f4")](0, 0, 1 << 70, 0, 0.0)


def test_kernels_of_one_name_are_each_their_own_in_machine_code_too():
    """A list of calls is of addresses, which are asked for once all kernels may have been loaded."""
    kernels = [
        compiling.library(file).convolve[np.dtype(np.float32)] for file in ("winograd", "direct", "grouped")
    ]
    places = {compiling.listed(kernel) for kernel in reversed(kernels)}
    assert len(places) == 3
    assert 0 not in places
