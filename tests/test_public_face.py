"""The public face as the design draws it: these lines, written as they stand there, work."""

import inspect

import numpy as np
import pytest

import deepconv as dc

CONV = (
    "(x, weight, bias=None, *, stride=1, padding=0, dilation=1, groups=1, padding_mode='zeros', flip=False, "
    "algorithm='auto')"
)
SIGNATURES = {
    "conv": CONV,
    "conv_input_grad": CONV.replace("x, weight, bias=None", "dy, weight, x_shape"),
    "conv_weight_grad": CONV.replace("x, weight, bias=None", "dy, x, weight_shape"),
    "conv_transpose": "(x, weight, bias=None, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1)",
    "im2col": "(x, kernel_size, *, stride=1, padding=0, dilation=1)",
    "col2im": "(cols, image_size, kernel_size, *, stride=1, padding=0, dilation=1)",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_the_arguments_are_those_of_the_design(name):
    parameters = inspect.signature(getattr(dc, name)).parameters.values()
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in parameters]
    assert str(inspect.Signature(bare)) == SIGNATURES[name]


def test_every_operator_has_its_gradients():
    operators = ["conv", "conv_transpose", "linear", "batch_norm", "group_norm", "layer_norm"]
    assert {f"{f}_{g}_grad" for f in operators for g in ("input", "weight", "bias")} <= set(dc.__all__)
    others = [
        "pad",
        "max_pool",
        "avg_pool",
        "lp_pool",
        "adaptive_avg_pool",
        "adaptive_max_pool",
        "global_avg_pool",
        "global_max_pool",
        "global_lp_pool",
        "upsample",
        "relu",
        "relu6",
        "leaky_relu",
        "gelu",
        "silu",
        "sigmoid",
        "tanh",
        "softmax",
        "log_softmax",
    ]
    assert {f"{f}_input_grad" for f in others} <= set(dc.__all__)


def test_the_lines_of_the_design_run(rng, tmp_path):
    x, labels = rng.standard_normal((20, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 20)
    model = dc.Sequential(
        dc.Conv2d(1, 16, 3, padding="same"), dc.ReLU(), dc.MaxPool2d(2), dc.Flatten(), dc.Linear(None, 10)
    )
    y = model(x)  # inference: keeps nothing
    y, pullback = model.apply(x)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    dx, gradients = pullback(dy)
    assert all(p.grad is None for p in model.parameters().values())  # nothing is kept on the layer
    np.testing.assert_array_equal(model.forward(x), y)
    np.testing.assert_array_equal(model.backward(dy), dx)
    model.forward(x)
    model.backward(dy)  # adds to each parameter's .grad …
    for parameter in model.parameters().values():
        np.testing.assert_allclose(parameter.grad, 2 * gradients[parameter], rtol=1e-6)
    model.zero_grad()  # … which zero_grad() clears
    assert all(p.grad is None for p in model.parameters().values())
    history = dc.Trainer(model, dc.CrossEntropy(), dc.SGD(0.1)).fit((x, labels), (x, labels))
    assert history[-1].loss < history[0].loss
    path = tmp_path / "model.safetensors"
    model.save(path)
    np.testing.assert_array_equal(dc.load(path)(x), model(x))
    assert "Conv2d" in str(model.summary((1, 28, 28)))
    dc.check_gradients(dc.Conv2d(None, 2, 3), rng.standard_normal((2, 3, 6, 5)))
    print(dc.explain(x.shape, (16, 1, 3, 3), stride=2, padding=1))
