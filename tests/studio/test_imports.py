"""The libraries that serve pages are loaded by the studio alone."""

import subprocess
import sys
from pathlib import Path

POST = Path(__file__).parents[1] / "post.py"
WEB = {
    "anyio",
    "starlette",
    "uvicorn",
    "websockets",
}  # typer takes pydantic up by itself, where it is installed


def modules(code, cwd):
    """Return the names of all modules that are loaded once some code has run."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint(' '.join(sys.modules), file=sys.stderr)"],
        capture_output=True, text=True, cwd=cwd, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def test_check_serves_no_page(tmp_path):
    found = modules(f"from deepconv.cli.app import run\nassert run(['check', {str(POST)!r}]) == 1", tmp_path)
    assert "deepconv.check.report" in found
    assert not {name for name in found if name.partition(".")[0] in WEB or name.startswith("deepconv.studio")}


def test_the_studio_is_loaded_by_nothing_else(tmp_path):
    found = modules("import deepconv\nimport deepconv.cli.app\ndeepconv.images, deepconv.Trainer", tmp_path)
    assert not {name for name in found if name.partition(".")[0] in WEB or name.startswith("deepconv.studio")}
    assert modules("import deepconv.studio.server", tmp_path) > WEB - {
        "websockets"
    }  # at the first connection
