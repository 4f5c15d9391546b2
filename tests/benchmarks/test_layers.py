"""The benchmark of layers measures what it says, and its means, marks and targets are right."""

import numpy as np
import pytest

import deepconv as dc
from benchmarks.cases import PASSES, Layer, read_layers
from benchmarks.layers import class_means, held_against_targets, markdown, score
from benchmarks.memory import cells as memory_cells
from benchmarks.peers import arrays, deepconv, request
from benchmarks.processes import Timed, Worker
from benchmarks.threads import cells as thread_cells

SMALL = Layer("small", "body", 2, 3, 7, 4, 3, 2, 1, 1, 1)
OTHER = Layer("other", "body", 1, 2, 5, 2, 1, 1, 0, 1, 1)
FIRST = Layer("first", "first", 1, 1, 6, 2, 3, 1, 1, 1, 1)


def test_the_layers_are_all_there_and_fit():
    layers = read_layers()
    assert len(layers) == 24
    assert len({layer.kind for layer in layers}) == 8
    for layer in layers:
        told = dc.explain(
            layer.x_shape, layer.weight_shape, stride=layer.stride, padding=layer.padding,
            dilation=layer.dilation, groups=layer.groups,
        )  # fmt: skip
        assert told.output_shape == layer.y_shape, layer.name
        assert told.flops == layer.flops, layer.name


def test_ours_computes_what_is_asked():
    x, weight, bias, dy = arrays(SMALL)
    words = {"stride": 2, "padding": 1}
    np.testing.assert_array_equal(deepconv(SMALL, "forward")(), dc.conv(x, weight, bias, **words))
    dx = dc.conv_input_grad(dy, weight, x.shape, **words)
    np.testing.assert_array_equal(deepconv(SMALL, "input_grad")(), dx)
    dw, db = deepconv(SMALL, "weight_grad")()
    np.testing.assert_array_equal(dw, dc.conv_weight_grad(dy, x, weight.shape, **words))
    np.testing.assert_array_equal(db, dc.conv_bias_grad(dy))


@pytest.mark.parametrize("measure", ["time", "threads", "memory"])
def test_a_worker_answers_from_its_own_process(measure):
    worker = Worker("layers", "deepconv", measure)
    try:
        answers = [worker.ask(request(SMALL, which)) for which in PASSES]
    finally:
        worker.close()
    assert worker.process.returncode == 0
    for answer in answers:
        if measure == "time":
            assert 0 < answer["warm"] <= answer["first"] * 1.5 < 30
            assert answer["digests"][0] > 0
        elif measure == "threads":
            assert answer["cpu"] > 0 < answer["wall"]
            assert answer["shares"][0] > 0.9  # one thread does it all
        else:
            assert answer["result"] in (2 * 4 * 4 * 4 * 4, 2 * 3 * 7 * 7 * 4, 4 * 3 * 3 * 3 * 4 + 4 * 4)
            assert 0 <= answer["extra"] < 2**24


def rows(small, other, first):
    return {
        (layer.name, which): {"deepconv": Timed(1.0, 1.0, (1.0,)), "torch": Timed(value, 1.0, (1.0,))}
        for layer, value in ((SMALL, small), (OTHER, other), (FIRST, first))
        for which in PASSES
    }


def test_means_are_geometric_and_first_layers_input_gradient_does_not_count():
    layers, found = [SMALL, OTHER, FIRST], rows(2.0, 8.0, 1.0)
    assert class_means(layers, found, "forward", "torch") == pytest.approx({"body": 4.0, "first": 1.0})
    assert score(layers, found, "forward", "torch") == pytest.approx(2.0)
    assert score(layers, found, "input_grad", "torch") == pytest.approx(4.0)
    assert score(layers, found, "forward", "onnxruntime") is None


def test_targets_are_those_of_each_pass_and_the_worst_row_is_named():
    layers = [SMALL, OTHER, FIRST]
    found = {result.what: result for result in held_against_targets(layers, rows(2.0, 8.0, 0.5))}
    forward = "Forward, against PyTorch on NCHW"
    assert found[f"{forward}: score"].value == pytest.approx(2.0**0.5)
    assert not found[f"{forward}: score"].reached
    assert found[f"{forward}: 3×3 bodies"].reached
    assert found[f"{forward}: worst row, first"].value == 0.5
    assert not found[f"{forward}: worst row, first"].reached
    assert found["Gradient of the input, against the best peer: worst row, small"].reached


def test_losing_rows_are_marked():
    text = markdown([SMALL, OTHER, FIRST], rows(0.5, 1.5, 1.0))
    shown = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "0.50 ✗" in shown["small"]
    assert "✗" not in shown["other"]
    assert "first (not scored)" in text


def test_more_memory_than_told_is_marked_and_so_is_an_uneven_or_dear_split():
    assert memory_cells(10 * 2**20, 9 * 2**20) == ["10.0", "9.0"]
    assert memory_cells(12 * 2**20, 9 * 2**20) == ["12.0 ✗", "9.0"]
    one = [{"cpu": 0.010, "wall": 0.010, "shares": [1.0]}]
    even = [{"cpu": 0.011, "wall": 0.006, "shares": [0.51, 0.49]}]
    dear = [{"cpu": 0.012, "wall": 0.007, "shares": [0.6, 0.4]}]
    assert thread_cells(one, even, even * 2) == ["10.00", "11.00", "1.10", "1.10", "0.51", "10.00", "6.00"]
    assert thread_cells(one, dear, one * 2)[2:5] == ["1.20 ✗", "1.00", "0.60 ✗"]
    slower = [{**answer, "cpu": 2 * answer["cpu"]} for answer in one + even]  # a run at half the clock
    beside = one * 2 + slower[:1] * 2
    assert thread_cells(one + slower[:1], even + slower[1:], beside)[2:4] == ["1.10", "1.00"]
