"""The benchmark measures what it says, and its means and marks are right."""

import numpy as np
import pytest

import deepconv as dc
from benchmarks.cases import PASSES, Layer, read_layers
from benchmarks.layers import Worker, class_means, markdown, ratio, score
from benchmarks.peers import arrays, deepconv

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


def test_a_worker_answers_from_its_own_process():
    worker = Worker("deepconv")
    try:
        assert all(0 < worker.seconds(SMALL, which) < 1 for which in PASSES)
    finally:
        worker.close()
    assert worker.process.returncode == 0


def times(small, other, first):
    return {(layer.name, which): {"deepconv": 1.0, "torch": value} for layer, value in
            ((SMALL, small), (OTHER, other), (FIRST, first)) for which in PASSES}  # fmt: skip


def test_means_are_geometric_and_first_layers_input_gradient_does_not_count():
    layers, found = [SMALL, OTHER, FIRST], times(2.0, 8.0, 1.0)
    assert class_means(layers, found, "forward", "torch") == pytest.approx({"body": 4.0, "first": 1.0})
    assert score(layers, found, "forward", "torch") == pytest.approx(2.0)
    assert score(layers, found, "input_grad", "torch") == pytest.approx(4.0)
    assert score(layers, found, "forward", "onnxruntime") is None


def test_the_best_peer_is_the_fastest():
    assert ratio({"deepconv": 2.0, "torch": 3.0, "onnxruntime": 1.0}, "best") == 0.5
    assert ratio({"deepconv": 2.0}, "best") is None


def test_losing_rows_are_marked():
    text = markdown([SMALL, OTHER, FIRST], times(0.5, 1.5, 1.0))
    rows = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("| ")}
    assert "0.50 ✗" in rows["small"]
    assert "✗" not in rows["other"]
    assert "first (not scored)" in text
