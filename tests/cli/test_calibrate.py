"""`deepconv calibrate`: measures only when asked, and what it keeps is used."""

import json

import pytest

from deepconv.engine import calibration, machine, rates
from deepconv.engine.rates import Rates
from tests.cli.conftest import deepconv as run

pytestmark = pytest.mark.skipif(
    machine.why_not_compiled() is not None, reason="there are no compiled kernels"
)
MEASURED = Rates(tile=1.5, blas=2, copy=3, numpy_copy=4, call=5, numpy_call=6)


@pytest.fixture
def own(tmp_path, monkeypatch):
    file = tmp_path / "deep" / "rates.json"
    monkeypatch.setenv("DEEPCONV_RATES", str(file))
    for cached in (rates.calibrated, rates.rates):
        cached.cache_clear()
    yield file
    monkeypatch.undo()
    for cached in (rates.calibrated, rates.rates):
        cached.cache_clear()


def test_what_is_measured_is_kept_and_used(own, monkeypatch):
    monkeypatch.setattr(calibration, "measure", lambda: MEASURED)
    assert rates.rates() == rates.SHIPPED[machine.target().name]
    assert "Nothing was kept" in run("calibrate", "--dry-run").out
    assert not own.exists()
    outcome = run("calibrate")
    assert outcome.status == 0
    assert str(own) in outcome.out
    assert json.loads(own.read_text())["tile"] == 1.5
    rates.calibrated.cache_clear(), rates.rates.cache_clear()
    assert rates.rates() == MEASURED
    assert "rates calibrated" in run("doctor").out
    assert run("calibrate", "--reset").status == 0
    assert not own.exists()
    assert run("calibrate", "--reset").status == 0


def test_json(own, monkeypatch):
    monkeypatch.setattr(calibration, "measure", lambda: MEASURED)
    found = run("calibrate", "--json").json
    assert found["measured"] == MEASURED._asdict()
    assert found["kept"] == str(own)


def test_another_targets_rates_are_not_used(own):
    own.parent.mkdir()
    own.write_text(json.dumps({"target": "other", **MEASURED._asdict()}))
    assert rates.calibrated() is None


@pytest.mark.parametrize("text", ["", "[]", '{"target": 1', '{"target": "TARGET", "tile": 1}', "zeros"])
def test_a_file_of_something_else_is_named(own, text):
    own.parent.mkdir()
    zeros = json.dumps({"target": machine.target().name, **MEASURED._asdict(), "copy": 0})
    own.write_text(zeros if text == "zeros" else text.replace("TARGET", machine.target().name))
    with pytest.raises(ValueError, match=r"rates\.json' is not what `deepconv calibrate` writes"):
        rates.calibrated()


def test_it_measures(own):
    """Real timings, one run each: only their order of magnitude can be held."""
    found = calibration.measure(runs=1)
    assert all(0.05 < value < 1e6 for value in found)


def test_reset_says_what_it_did_and_never_beside_dry_run(own):
    own.parent.mkdir()
    own.write_text("anything")
    outcome = run("calibrate", "--reset", "--dry-run")
    assert outcome.status == 2
    assert "use one of them" in outcome.err
    assert own.exists()
    assert run("calibrate", "--reset", "--json").json == {"removed": str(own)}
    assert run("calibrate", "--reset", "--json").json == {"removed": None}
    assert "Nothing was kept" in run("calibrate", "--reset").out


def test_a_file_that_cannot_be_read_or_written_is_named(own, monkeypatch):
    own.mkdir(parents=True)
    with pytest.raises(ValueError, match=r"DEEPCONV_RATES='.*rates\.json' can't be read"):
        rates.calibrated()
    monkeypatch.setenv("DEEPCONV_RATES", str(own / "a"))
    (own / "a").mkdir()
    with pytest.raises(ValueError, match=r"can't write .* another file with DEEPCONV_RATES"):
        rates.save(MEASURED)


def test_anothers_home_and_no_home_hold_no_rates(own, monkeypatch):
    monkeypatch.delenv("DEEPCONV_RATES")
    own.parent.mkdir()
    own.write_text("a file in place of a folder")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(own))
    assert rates.calibrated() is None
    rates.calibrated.cache_clear()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(rates.Path, "home", _homeless)
    assert rates.calibrated() is None
    with pytest.raises(ValueError, match="no home folder"):
        rates.save(MEASURED)


def _homeless():
    raise RuntimeError("Could not determine home directory.")
