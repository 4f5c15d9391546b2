"""The measures measure, peers that compute something else are caught, and the page keeps its other parts."""

import argparse
import doctest
import time
import tracemalloc

import numpy as np
import pytest

from benchmarks import measures, tables
from benchmarks.processes import Timed, check_same
from benchmarks.tables import PARTS, arguments, line, publish, ratio, table, write_part


def burn(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass
    return np.array([3.0, 4.0])


def test_the_first_call_stands_apart():
    slow = iter([0.05])
    watch = measures.Time(lambda: burn(next(slow, 0.002)))
    answer = watch.answer()
    assert answer["first"] >= 0.05
    assert 0.002 <= answer["warm"] < 0.04
    assert answer["digests"] == [5.0] * 3
    assert watch.answer()["first"] == answer["first"]  # the first stays the first


def test_a_digest_reads_any_layout_without_a_large_copy():
    array = np.random.default_rng(0).standard_normal((64, 33, 17), np.float32).transpose(2, 0, 1)[:, ::-1]
    assert measures.digest(array) == pytest.approx(float(np.linalg.norm(array.astype(np.float64))))
    assert measures.digest(np.empty((0, 3))) == 0
    large = np.ones(2**22, np.float32)
    tracemalloc.start()
    measures.digest(large)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**18


def test_a_short_call_is_timed_in_blocks():
    calls = []
    seconds = measures.median_cpu_seconds(lambda: calls.append(None))
    assert 0 < seconds < 1e-3
    assert len(calls) > 150  # two calls to look how long one takes, then blocks of fifty


def test_shares_count_threads_that_have_ended():
    assert measures.shares([1.0, 1.0], 4.0) == [0.5, 0.25, 0.25]


def test_memory_is_what_a_call_takes_beside_its_result():
    def call():
        workspace = np.ones(4 * 2**20, np.float32)
        return workspace[: 2**20] * 2

    answer = measures.Memory(call).answer()
    assert answer["result"] == 4 * 2**20
    assert 15 * 2**20 < answer["extra"] < 19 * 2**20


def test_memory_that_a_call_keeps_for_the_next_counts():
    kept = {}

    def call():
        return kept.setdefault("workspace", np.ones(2**20, np.float64))[:1] * 2

    assert measures.Memory(call).answer()["extra"] >= 8 * 2**20


def timed(warm, *digests):
    return Timed(warm, warm, digests)


def test_peers_that_compute_something_else_are_caught():
    check_same({"deepconv": timed(1.0, 5.0, 4.0), "torch": timed(1.0, 5.001, 4.0)}, "it")
    with pytest.raises(RuntimeError, match=r"deepconv and torch don't compute the same.*of it"):
        check_same({"deepconv": timed(1.0, 5.0, 4.0), "torch": timed(1.0, 5.0, 4.1)}, "it")
    with pytest.raises(RuntimeError, match="don't compute the same"):
        check_same({"deepconv": timed(1.0, np.nan), "torch": timed(1.0, 5.0)}, "it")


def test_the_best_peer_is_the_fastest():
    row = {"deepconv": timed(2.0), "torch": timed(3.0), "onnxruntime": timed(1.0)}
    assert ratio(row, "best") == 0.5
    assert ratio(row, "torch") == 1.5
    assert ratio({"deepconv": timed(2.0)}, "best") is None
    assert "torch 1.50x" in line("it", row)


def test_a_part_replaces_itself_and_leaves_the_others(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# An older page\n", encoding="utf-8")
    write_part(page, "startup", "## Start\n\nslow")
    write_part(page, "layers", "## Layers\n\none")
    write_part(page, "startup", "## Start\n\nfast\n")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Measured\n")
    assert "older" not in text
    assert text.index("## Layers") < text.index("## Start")
    assert "fast" in text
    assert "slow" not in text
    assert PARTS.index("layers") < PARTS.index("startup")


def test_what_did_not_all_run_is_not_published(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.tables.PAGE", tmp_path / "page.md")
    publish(arguments("layers", "").parse_args(["--only", "tiny"]), "layers", "one row")
    assert not (tmp_path / "page.md").exists()
    publish(arguments("layers", "").parse_args([]), "layers", "all rows")
    assert "all rows" in (tmp_path / "page.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == "one row\nall rows\n"


def test_no_runs_are_refused():
    with pytest.raises((SystemExit, argparse.ArgumentTypeError)):
        arguments("layers", "").parse_args(["--runs", "0"])


def test_a_table_has_words_left_and_numbers_right():
    assert table(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |"


@pytest.mark.parametrize("module", [measures, tables])
def test_the_examples_are_right(module):
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed
