"""How people write a convolution: each form is understood, and what is wrong in it is still found."""

import pytest

from tests.check.inside import examined
from tests.check.test_check import IM2COL, LAYER, PAIR, PLAIN

GRADIENTS = """
    import deepconv as dc

    def conv_input_grad(dy, w, x_shape, stride=1, padding=0):
        return dc.conv_input_grad(dy, w, x_shape, stride=stride, padding=padding)

    def conv_weight_grad(dout, x, kernel_shape, stride=1, padding=0):
        return dc.conv_weight_grad(dout, x, kernel_shape, stride=stride, padding=padding)

    def conv_bias_grad(dz):
        return dc.conv_bias_grad(dz)
"""

SIDES = """
    import deepconv as dc

    def Im2Col(images, kernel_h, kernel_w, step, pad, flavour="plain"):
        return dc.im2col(images, (kernel_h, kernel_w), stride=step, padding=pad)

    def col2im(cols, x_shape, k1, k2, stride=1, padding=0):
        return dc.col2im(cols, x_shape[2:], (k1, k2), stride=stride, padding=padding)
"""

NETWORK = """
    import numpy as np
    import deepconv as dc
    from deepconv import Conv2d, Linear

    class ConvLayer:
        def __init__(self, nc_in, nc_out, kernel_size, stride=1, padding=0):
            self.words = {"stride": stride, "padding": padding}
            self.kernel_size = kernel_size
            self.weights = np.zeros(FORM)
            self.biases = np.zeros((1, nc_out))

        def kernel(self):
            return BACK

        def forward(self, x):
            self.x = x
            return dc.conv(x, self.kernel(), self.biases.ravel(), **self.words)

        def backward(self, dy):
            dw = dc.conv_weight_grad(dy, self.x, self.kernel().shape, **self.words)
            self.dweights, self.dbiases = THERE, dy.sum((0, 2, 3)).reshape(1, -1)
            return dc.conv_input_grad(dy, self.kernel(), self.x.shape, **self.words)

    class Relu:
        def forward(self, x):
            return x * (x > 0)

        def backward(self, dy):
            return dy
"""
FORMS = {
    "(C·R·S, K)": (
        ("FORM", "(nc_in * kernel_size[0] * kernel_size[1], nc_out)"),
        ("BACK", "self.weights.T.reshape(self.weights.shape[1], -1, *self.kernel_size)"),
        ("THERE", "dw.reshape(len(dw), -1).T"),
    ),
    "(K, C·R·S)": (
        ("FORM", "(nc_out, nc_in * kernel_size[0] * kernel_size[1])"),
        ("BACK", "self.weights.reshape(len(self.weights), -1, *self.kernel_size)"),
        ("THERE", "dw.reshape(len(dw), -1)"),
    ),
}


def results(report):
    return [(finding.name, finding.result, finding.tried, finding.right) for finding in report.findings]


def test_each_gradient_as_a_function_of_its_own():
    names = ("conv_input_grad", "conv_weight_grad", "conv_bias_grad")
    words = ("the input's gradient", "the weights' gradient", "the bias's gradient")
    report = examined(GRADIENTS)
    # One without a stride and a padding among its parameters is tried where there is none.
    assert results(report) == [(*pair, n, n) for *pair, n in zip(names, words, (12, 12, 6), strict=True)]
    assert report.notes == ("conv_bias_grad takes no stride and padding, so cases with it were left out",)
    wrong = examined(
        GRADIENTS,
        ("dc.conv_weight_grad(", "2 * dc.conv_weight_grad("),
        ("dc.conv_bias_grad", "-dc.conv_bias_grad"),
    )
    assert [finding.right for finding in wrong.findings] == [12, 0, 0]


def test_the_kernels_sides_apart_names_in_any_case_and_settings_of_ones_own():
    report = examined(SIDES)
    assert results(report) == [
        ("Im2Col", "the matrix of windows", 12, 12),
        ("col2im", "the image put back together", 12, 12),
    ]


@pytest.mark.parametrize("bias", ["(1, nc_out)", "(nc_out, 1)", "nc_out"])
@pytest.mark.parametrize("form", FORMS)
def test_a_layer_keeps_its_numbers_in_its_own_form(form, bias):
    """And the activation and the layers that the file imports are nobody's convolution."""
    own = [("np.zeros((1, nc_out))", f"np.zeros({bias})"), (".reshape(1, -1)", ".reshape(self.biases.shape)")]
    report = examined(NETWORK, *FORMS[form], *own)
    assert {finding.name for finding in report.findings} == {"class ConvLayer"}
    said = [(finding.result, finding.tried, finding.right) for finding in report.findings]
    words = ("the output", "the input's gradient", "the weights' gradient", "the bias's gradient")
    assert said == [(word, 12, 12) for word in words]
    wrong = examined(NETWORK, *FORMS[form], ("dw = dc", "dw = 3 * dc"))
    assert [finding.right for finding in wrong.findings] == [12, 12, 0, 12]


@pytest.mark.parametrize("there", ["dw", "dw.reshape(len(dw), -1).T"])
def test_gradients_may_come_in_our_form_as_well(there):
    report = examined(
        NETWORK,
        *FORMS["(C·R·S, K)"][:2],
        ("THERE", there),
        (".sum((0, 2, 3)).reshape(1, -1)", ".sum((0, 2, 3))"),
    )
    assert report.right


def test_a_gradient_of_a_wrong_shape_hides_nothing_else():
    change = (
        "self.dweights, self.dbiases = dw.reshape(len(dw), -1)",
        "self.dweights, self.dbiases = dw[:, :, 1:]",
    )
    report = examined(NETWORK, *FORMS["(K, C·R·S)"], change)
    assert [finding.right for finding in report.findings] == [12, 12, 0, 12]
    assert report.findings[2].problem == "has shape (1, 1, 2, 3) where (1, 1, 3, 3) is right"


def test_a_layer_with_nothing_but_a_way_forward():
    text = LAYER.partition("        def backward")[0]
    assert results(examined(text))[2:] == [("class MyConv", "the output", 12, 12)]


def test_a_bias_that_a_layer_never_gets_is_missed():
    report = examined(
        LAYER,
        (
            "self.weight.reshape(len(self.weight), -1).T + self.bias",
            "self.weight.reshape(len(self.weight), -1).T",
        ),
    )
    assert "the bias is missing" in [f.reason for f in report.findings]


def test_the_way_forward_counts_though_the_way_back_raises():
    report = examined(PAIR, ("db = dout.sum(axis=(0, 2, 3))", "raise RuntimeError('not yet')"))
    found = {finding.result: finding for finding in report.findings if finding.name.startswith("conv_")}
    assert found["the output"].right == found["the output"].tried == 12
    for result in ("the input's gradient", "the weights' gradient", "the bias's gradient"):
        assert (found[result].right, found[result].problem) == (0, "RuntimeError: not yet")


def test_a_way_forward_without_a_cache_and_a_way_back_that_is_given_all():
    report = examined(
        PAIR,
        (".reshape(len(x), len(w), h, wide), (x, w, b, conv_param)", ".reshape(len(x), len(w), h, wide)"),
        (
            "def conv_backward(dout, cache):\n    x, w, b, conv_param = cache\n",
            "def conv_backward(dout, x, w, b, conv_param):\n",
        ),
    )
    assert report.right
    assert len(report.findings) == 6


def test_a_function_of_plain_matrices_is_tried_where_there_are_some():
    report = examined(PLAIN)
    assert results(report) == [("conv2d", "the output", 8, 8)]


def test_a_way_forward_alone_as_a_tuple():
    report = examined(PAIR.partition("    def conv_backward")[0])
    assert results(report)[2:] == [("conv_forward", "the output", 12, 12)]


def test_the_first_wrong_cell_and_both_numbers_are_told():
    report = examined(
        IM2COL,
        (
            "return np.stack(rows, axis=1)",
            "found = np.stack(rows, axis=1); found[:, 1, 2] += 5; return found",
        ),
    )
    finding = report.findings[0]
    assert finding.cell == (0, 1, 2)
    assert finding.mine == pytest.approx(finding.theirs + 5)
    assert finding.problem == (
        f"is {finding.mine:.6g} at [0, 1, 2] where {finding.theirs:.6g} is right; 1 of 81 numbers differ"
    )
    assert (finding.tried, finding.right) == (12, 0)
    assert finding.case == "the plainest: x (1, 1, 5, 5), weight (1, 1, 3, 3), stride 1, padding 0"
    shaped = examined(
        IM2COL, ("return np.stack(rows, axis=1)", "return np.stack(rows, axis=1)[:, 1:]")
    ).findings[0]
    assert shaped.problem == "has shape (1, 8, 9) where (1, 9, 9) is right"


def test_nearly_right_is_right_or_named():
    """At the very edge of what counts as rounding, too: either all is well or a cell is shown."""
    for factor in (1 - 1.9e-5, 1 - 1.99999e-5, 1 - 2.00001e-5, 1 + 1.99999e-5, 1 + 2.1e-5):
        for finding in examined(
            IM2COL, ("return np.stack(rows, axis=1)", f"return np.stack(rows, axis=1) * {factor!r}")
        ).findings:
            assert (finding.case is None) == (finding.cell is None)


@pytest.mark.parametrize("name", ["dweight", "d_weight", "dW", "weight_gradient", "gradKernel"])
def test_the_names_that_a_gradient_goes_by(name):
    report = examined(LAYER, ("self.dw", f"self.{name}"), ("self.db", "self.bias_gradient"))
    words = ("the output", "the input's gradient", "the weights' gradient", "the bias's gradient")
    assert [(found.result, found.right) for found in report.findings if found.name == "class MyConv"] == [
        (word, 12) for word in words
    ]
    assert report.notes == ()


def test_a_gradient_that_is_not_found_is_said():
    report = examined(LAYER, ("self.dw", "self.slope"))
    assert "the weights' gradient" not in [found.result for found in report.findings]
    assert report.notes == (
        "class MyConv: no weights' gradient was found; keep it as self.dw in backward, and it is checked too",
    )
    notes = examined(PAIR, ("return dx, dw, db", "return dx")).notes
    assert [note.partition(";")[0] for note in notes] == [
        f"conv_forward and conv_backward: no {what} gradient was found" for what in ("weights'", "bias's")
    ]
    assert all("return dx, dw, db" in note for note in notes)
