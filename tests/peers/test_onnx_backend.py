"""ONNX judges us by its backend tests: a case for each operator and the models PyTorch exported.

ONNX's runner loads every case of every operator, which takes more than half a minute; the everyday run
loads only the files of the operators that exist here, without the cases whose answers ONNX itself computes for
seconds, and the full run proves that no case was lost.
"""

import importlib
import os
import unittest
import warnings

import numpy as np
import pytest

import deepconv as dc
from tests.conftest import examples
from tests.peers.conftest import peer

onnx = peer("onnx")
for needed in ("onnx.backend.test", "onnx.reference", "onnx.backend.test.case.node"):
    peer(needed)

from onnx.backend.test import BackendTest, runner  # noqa: E402  (absent where ONNX is, which skips first)
from onnx.backend.test.loader import load_model_tests  # noqa: E402

from tests.peers.onnx_words import OPERATORS, PLUMBING, Deepconv, Model  # noqa: E402

NODE = "onnx.backend.test.case.node"

# operator: (the file of its cases, how many cases of its own must run, how many models PyTorch exported)
CASES = {
    "Conv": ("conv", 6, 27),
    "ConvInteger": ("convinteger", 2, 0),
    "CausalConvWithState": ("causal_conv_with_state", 13, 0),
    "ConvTranspose": ("convtranspose", 11, 3),
    "MaxPool": ("maxpool", 19, 9),
    "AveragePool": ("averagepool", 20, 7),
    "LpPool": ("lppool", 8, 0),
    "GlobalAveragePool": ("globalaveragepool", 2, 0),
    "GlobalMaxPool": ("globalmaxpool", 2, 0),
    "Col2Im": ("col2im", 5, 0),
    "Pad": ("pad", 6, 5),
    "BatchNormalization": ("batch_normalization", 4, 5),
    "GroupNormalization": ("groupnormalization", 2, 0),
    "InstanceNormalization": ("instance_normalization", 2, 1),
    "Relu": ("relu", 1, 2),
    "LeakyRelu": ("leakyrelu", 3, 2),
    "Gelu": ("gelu", 4, 0),
    "Swish": ("swish", 1, 0),
    "Sigmoid": ("sigmoid", 2, 1),
    "Tanh": ("tanh", 2, 1),
    "Softmax": ("softmax", 7, 3),
    "LogSoftmax": ("logsoftmax", 7, 3),
    "Gemm": ("gemm", 0, 1),
    "Upsample": ("upsample", 1, 0),
    "Resize": ("resize", 2, 0),
}

# Nothing of these is left out but what "expanded" names: another operator's case written out in
# exponentials and reductions, which are not ours. Of two operators only some cases are ours, in other
# words: a dense layer, and enlargement by whole numbers. LayerNormalization's cases also ask for the mean
# and the deviation, which our operator keeps to itself.
ONLY = {
    "Gemm": {"test_Linear"},
    "Resize": {"test_resize_upsample_scales_nearest", "test_resize_upsample_scales_linear"},
}


# ONNX computes the answers of these while their files are loaded, in Python and number by number: 90,000 windows.
SLOW = {"LpPool": "test_lppool_3d_default", "AveragePool": "test_averagepool_3d_default",
        "MaxPool": "test_maxpool_3d_default"}  # fmt: skip
LEFT_OUT = {} if examples(0, full=1) else SLOW


def quick(pool):
    """Let ONNX's pooling leave what is large uncomputed: not a number, which no case can pass with."""

    def pooled(padded, x_shape, kernel, strides, out_shape, *others, **words):
        shape = (*x_shape[:2], *out_shape)
        if LEFT_OUT and np.prod(shape) > 50_000:
            return np.full(shape, np.nan, padded.dtype)
        return pool(padded, x_shape, kernel, strides, out_shape, *others, **words)

    return pooled


def load_only_ours(data_dir=None, kind=None):
    """Stand in for the runner's loader: of the node cases import only the files that CASES names."""
    if kind != "node":
        return load_model_tests(kind=kind)
    common = importlib.import_module("onnx.reference.ops.op_pool_common")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(common, "pool", quick(common.pool))
        for file, _, _ in CASES.values():
            importlib.import_module(f"{NODE}.{file}")
    files = importlib.import_module(NODE)
    return [case for case in files._NodeTestCases if case.name not in LEFT_OUT.values()]


def operators_of(case):
    model = case.model
    if model is None and case.model_dir is not None:
        model = onnx.load(os.path.join(case.model_dir, "model.onnx"))
    return {node.op_type for node in model.graph.node} if model is not None else {None}


def selected(cases):
    """Return `{operator: its cases}` for the cases that our operators are enough for."""
    found = {op: [] for op in CASES}
    for case in cases:
        ops = operators_of(case)
        ours = ops & CASES.keys()
        known = len(ours) == 1 and ops <= ours | PLUMBING.keys()
        if known and "expanded" not in case.name:
            (op,) = ours
            if case.name in ONLY.get(op, {case.name}):
                found[op].append(case)
    return found


def all_cases(loader):
    kinds = ("node", "simple", "pytorch-converted", "pytorch-operator")
    with warnings.catch_warnings(action="ignore"):  # ONNX casts infinities to make its cases
        return [case for kind in kinds for case in loader(kind=kind)]


@pytest.fixture(scope="module")
def cases():
    return selected(all_cases(load_only_ours))


def run_suite(monkeypatch, names):
    """Run the named cases in ONNX's own runner against our backend."""
    monkeypatch.setattr(runner, "load_model_tests", load_only_ours)
    suite = BackendTest(Deepconv, __name__)
    for name in names:
        suite.include(f"^{name}_cpu$")
    result = unittest.TestResult()
    suite.test_suite.run(result)
    return result


def first_lines(problems):
    return "\n".join(f"{case}: {trace.strip()[-600:]}" for case, trace in problems[:5])


@pytest.mark.parametrize("op", CASES)
def test_backend_cases(cases, op, monkeypatch):
    mine = cases[op]
    kinds = [case.kind == "node" for case in mine]
    _, nodes, models = CASES[op]
    assert kinds.count(True) >= nodes - (op in LEFT_OUT)
    assert kinds.count(False) >= models
    before = Model.calls[op]
    result = run_suite(monkeypatch, [case.name for case in mine])
    problems = result.failures + result.errors
    assert not problems, f"{len(problems)} of {len(mine)} fail:\n{first_lines(problems)}"
    assert result.testsRun - len(result.skipped) == len(mine)  # skipped: everything that was not named
    assert Model.calls[op] - before >= len(mine)  # ours ran, every time


def test_every_operator_is_judged():
    assert OPERATORS.keys() == CASES.keys()


def test_a_flipped_kernel_is_noticed(cases, monkeypatch):
    """ONNX's own Conv cases have kernels of ones and can't see it; PyTorch's models must."""
    right = dc.conv
    monkeypatch.setattr(dc, "conv", lambda *a, **k: right(*a, **k, flip=True))
    result = run_suite(monkeypatch, [case.name for case in cases["Conv"]])
    assert len(result.failures) >= 20


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_random_kernels_agree_with_the_onnx_reference(cases, op, rng):
    """The same models as the cases, their kernels of ones replaced by random ones."""
    checked = 0
    for case in cases[op]:
        if case.kind != "node":
            continue
        feeds = {
            i.name: rng.standard_normal([d.dim_value for d in i.type.tensor_type.shape.dim]).astype(
                np.float32
            )
            for i in case.model.graph.input
        }
        expected = onnx.reference.ReferenceEvaluator(case.model).run(None, feeds)
        ours = Model(case.model).run(list(feeds.values()))
        np.testing.assert_allclose(ours[0], expected[0], rtol=1e-5, atol=1e-5, err_msg=case.name, strict=True)
        checked += 1
    assert checked >= CASES[op][1]


@pytest.mark.parametrize(("auto_pad", "padding"), [("SAME_UPPER", "same"), ("SAME_LOWER", "same_lower")])
def test_strided_same_padding_is_that_of_onnx(rng, auto_pad, padding):
    """PyTorch refuses it, and ONNX's own cases have one stride and one kernel."""
    tensor = onnx.helper.make_tensor_value_info
    for _ in range(40):
        kernel, stride, dilation = (tuple(map(int, rng.integers(1, most, 2))) for most in (5, 5, 3))
        x = rng.standard_normal((1, 2, *rng.integers(4, 14, 2)))
        weight = rng.standard_normal((3, 2, *kernel))
        words = {"strides": stride, "dilations": dilation, "kernel_shape": kernel, "auto_pad": auto_pad}
        node = onnx.helper.make_node("Conv", ["x", "w"], ["y"], **words)
        double = onnx.TensorProto.DOUBLE
        inputs = [tensor("x", double, x.shape), tensor("w", double, weight.shape)]
        model = onnx.helper.make_model(
            onnx.helper.make_graph([node], "same", inputs, [tensor("y", double, None)])
        )
        expected = onnx.reference.ReferenceEvaluator(model).run(None, {"x": x, "w": weight})[0]
        ours = dc.conv(x, weight, stride=stride, dilation=dilation, padding=padding)
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10, err_msg=str(words), strict=True)


@pytest.mark.full
def test_loading_every_case_finds_the_same_ones(cases):
    everything = selected(all_cases(load_model_tests))
    names = {op: {case.name for case in found} for op, found in everything.items()}
    assert names == {op: {case.name for case in found} for op, found in cases.items()}
