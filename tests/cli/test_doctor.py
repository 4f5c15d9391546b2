"""`deepconv doctor`: what the machine has."""

import platform

import numpy as np

import deepconv
from tests.cli.conftest import deepconv as run

COMPILER = ("numba", "llvmlite")
"""What may be missing: the tests run without it too."""


def test_it_names_everything_that_the_issue_lists():
    outcome = run("doctor")
    assert outcome.status == 0
    words = (
        "deepconv",
        "Python",
        "processor",
        "instructions",
        "caches",
        "threads",
        "BLAS",
        "versions",
        "missing",
    )
    starts = [line.split()[0] for line in outcome.out.splitlines()]
    assert set(words) <= set(starts)
    assert f"numpy {np.__version__}" in outcome.out


def test_the_json_is_what_this_process_has():
    findings = run("doctor", "--json").json
    assert findings["deepconv"] == deepconv.__version__
    assert findings["python"] == platform.python_version()
    assert findings["threads"]["used"] == deepconv.get_threads()
    assert findings["workspace_limit_bytes"] == deepconv.get_workspace_limit()
    assert findings["versions"]["numpy"] == np.__version__
    assert findings["instruction_set"]
    assert not [m for m in findings["missing"] if m["package"] not in COMPILER]


def test_what_is_missing_is_named_with_its_remedy(monkeypatch):
    from deepconv.cli import doctor

    real = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "pillow" else real(name))
    missing = [m for m in run("doctor", "--json").json["missing"] if m["package"] not in COMPILER]
    assert missing == [{"package": "pillow", "remedy": 'pip install "deepconv[app]"'}]
    assert 'pillow (pip install "deepconv[app]")' in run("doctor").out


def test_a_system_that_tells_little_is_no_error(monkeypatch):
    from pathlib import Path

    from deepconv.engine import machine

    real = Path.read_text

    def hidden(path, *words, **options):
        if str(path).startswith(("/proc", "/sys")):
            raise OSError("hidden")
        return real(path, *words, **options)

    monkeypatch.setattr(Path, "read_text", hidden)
    machine.told_caches.cache_clear()
    outcome = run("doctor")
    machine.told_caches.cache_clear()
    assert outcome.status == 0
    assert "caches        unknown" in outcome.out


def test_the_doctor_outlives_what_ails_the_engine(monkeypatch, tmp_path):
    import pytest

    from deepconv.engine import machine, rates

    if machine.why_not_compiled() is not None:
        pytest.skip("there are no compiled kernels")
    caches = (machine.target, rates.calibrated, rates.rates)
    broken = tmp_path / "rates.json"
    broken.write_text("[")
    with monkeypatch.context() as environment:
        environment.setenv("DEEPCONV_RATES", str(broken))
        environment.setenv("DEEPCONV_CACHE_DIR", str(broken))  # a file in place of a folder
        [cached.cache_clear() for cached in caches]
        outcome = run("doctor")
        assert outcome.status == 0
        assert "rates unreadable, nothing is computed: " in outcome.out
        assert "kept nowhere: no folder can be written" in outcome.out
        environment.setenv("DEEPCONV_TARGET", "sse")
        machine.target.cache_clear()
        assert (
            "kernels       none: nothing is computed: DEEPCONV_TARGET='sse' is not known" in run("doctor").out
        )
    [cached.cache_clear() for cached in caches]
