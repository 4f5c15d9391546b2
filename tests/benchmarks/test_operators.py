"""The operators' calls are the public functions' own, and every case can be asked for."""

import numpy as np
import pytest

import deepconv as dc
from benchmarks import our_operators
from benchmarks.operator_cases import BACKWARD, CASES, FORWARD, Case, random_array
from benchmarks.operator_peers import deepconv
from benchmarks.operators import markdown, with_shapes
from benchmarks.processes import Timed

TWO = {"kernel": 2, "stride": 2, "padding": 0}


def test_every_operator_has_a_case_and_no_row_is_there_twice():
    assert {case.operator for case in CASES} == set(our_operators.OPERATORS)
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "case",
    [
        *(
            Case(name, (2, 3, 4, 4), "")
            for name in ("relu", "gelu", "softmax", "batch_norm", "cross_entropy")
        ),
        *(Case(name, (2, 3, 4, 4), "", TWO) for name in ("max_pool", "avg_pool", "im2col", "col2im")),
        Case("global_avg_pool", (2, 3, 4, 4), ""),
    ],
    ids=lambda case: case.operator,
)
def test_each_call_computes_its_pass(case):
    for which in case.passes:
        result = deepconv(case.request(which))()
        if case.operator == "cross_entropy":
            assert isinstance(result, tuple) is (which == BACKWARD)
        elif case.operator == "im2col":
            assert result.shape == (2, 4, 12)
        elif which == BACKWARD or case.operator in ("relu", "gelu", "softmax", "batch_norm", "col2im"):
            array = result[0] if isinstance(result, tuple) else result
            assert array.shape == case.shape


def test_a_backward_call_is_the_gradient_of_the_forward_one():
    case = Case("tanh", (2, 3), "")
    x, dy = random_array((2, 3), 0), random_array((2, 3), 1)
    np.testing.assert_array_equal(deepconv(case.request(FORWARD))(), dc.tanh(x))
    np.testing.assert_array_equal(deepconv(case.request(BACKWARD))(), dc.tanh_input_grad(dy, x))


def test_an_update_changes_the_parameters_of_its_network():
    case = with_shapes(Case("sgd", (), "digits"))
    update = deepconv(case.request(FORWARD))
    before = [array.copy() for array in update()]
    after = update()
    assert [list(array.shape) for array in after] == [list(shape) for shape in case.options["shapes"]]
    assert all(np.abs(a - b).max() > 0 for a, b in zip(after, before, strict=True))


def test_rows_and_means_are_marked():
    case = Case("sgd", (), "lenet")
    row = {"deepconv": Timed(2.0, 3.0, ()), "torch": Timed(1.0, 1.0, ())}
    text = markdown([(case, FORWARD, row)], ["deepconv", "torch"])
    assert "| sgd lenet | lenet | update | 3000.00 | 2000.0000 | 0.50 ✗ |" in text
    assert "| **sgd** |  |  |  |  | 0.50 ✗ |" in text
