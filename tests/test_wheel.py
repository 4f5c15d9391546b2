"""The built wheel, installed where no source is, works."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deepconv.engine.kernels.compile import folders

ROOT = Path(__file__).parents[1]
SMOKE = Path(__file__).with_name("smoke.py")


def python(*arguments, cwd, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel as an installer would, with what is installed here."""
    folder = tmp_path_factory.mktemp("dist")
    python("-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (path,) = folder.glob("deepconv-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel alone, without the network; its dependencies are those installed here."""
    folder = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--no-compile"]
    python("-m", "pip", "install", *options, "--target", folder, wheel, cwd=folder)
    return folder


def test_it_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")}
    assert sources <= set(names)
    assert {"deepconv/py.typed", "deepconv/data/digits.npz"} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    strangers = [name for name in names if not name.startswith(("deepconv/", "deepconv-"))]
    assert strangers == []
    assert wheel.stat().st_size < 1_000_000


@pytest.mark.parametrize("shared", [True, pytest.param(False, marks=pytest.mark.full)])
def test_the_smoke_run_passes(installed, tmp_path, shared):
    # -P and another current folder: nothing but PYTHONPATH can bring deepconv in before the sources. What was compiled
    # of the same kernels for the other tests serves it too; `full` has it compile its own.
    kept = {"DEEPCONV_CACHE_DIR": str(folders()[0])} if shared else {}
    out = python("-P", SMOKE, installed, cwd=tmp_path, PYTHONPATH=str(installed), **kept)
    assert out == "the wheel works\n"


def test_the_command_line_runs_from_it(installed, tmp_path):
    out = python("-P", "-m", "deepconv.cli", "doctor", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "numpy" in out.lower()
    (script,) = (installed / "bin").glob("deepconv*")
    assert "from deepconv.cli import main" in script.read_text(encoding="utf-8")
