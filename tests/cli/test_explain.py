"""`deepconv explain`: the numbers of a convolution, checked by hand."""

import pytest

import deepconv as dc
from tests.cli.conftest import deepconv

WORDS = ("explain", "--input", "8,64,56,56", "--kernel", 3, "--out", 128, "--stride", 2)


def test_it_prints_what_the_library_says():
    outcome = deepconv(*WORDS, "--padding", 1)
    assert outcome.status == 0
    expected = dc.explain((8, 64, 56, 56), (128, 64, 3, 3), stride=2, padding=1)
    assert outcome.out == f"{expected}\n"


def test_size_parameters_and_operations_are_right():
    outcome = deepconv(*WORDS, "--padding", 1, "--json")
    assert outcome.json["output_shape"] == [8, 128, 28, 28]
    assert outcome.json["parameters"] == 128 * 64 * 9 + 128
    assert outcome.json["flops"] == pytest.approx(
        2 * 8 * 128 * 28 * 28 * 64 * 9, rel=0.01
    )  # the bias may count
    assert {entry["which"] for entry in outcome.json["passes"]} == {"forward", "input_grad", "weight_grad"}


def test_the_formula_is_filled_in_and_every_other_algorithm_has_its_reason():
    out = deepconv(*WORDS).out
    assert "(56 + 0 + 0 - 1*(3 - 1) - 1) / 2) + 1 = 27" in out
    assert out.count("            not ") >= 3
    for word in ("parameters", "FLOPs", "bytes", "forward", "input_grad", "weight_grad"):
        assert word in out


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (["--input", "2,3,50", "--kernel", 5, "--out", 4, "--dilation", 2], [2, 4, 42]),
        (["--input", "2,3,9,11,13", "--kernel", "1,3,5", "--out", 4, "--stride", "1,2,3"], [2, 4, 9, 5, 3]),
        (["--input", "3,9,11", "--kernel", "3,2", "--out", 4], [4, 7, 10]),
        (
            ["--input", "1,6,9,11", "--kernel", 3, "--out", 4, "--groups", 2, "--padding", "same"],
            [1, 4, 9, 11],
        ),
        (["--input", "1,6,9,11", "--kernel", 3, "--out", 4, "--padding", "0:1,1:2"], [1, 4, 8, 12]),
        (["--input", "1,6,9,11", "--kernel", 3, "--out", 4, "--padding", "same_lower"], [1, 4, 9, 11]),
        (["--input", "0,6,9,11", "--kernel", 3, "--out", 4, "--padding", "1,2"], [0, 4, 9, 13]),
        (["--input", "1,6,9,11", "--kernel", 3, "--out", 4, "--dtype", "float64"], [1, 4, 7, 9]),
    ],
)
def test_every_geometry(words, shape):
    assert deepconv("explain", *words, "--json").json["output_shape"] == shape


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--input", "8,64,5,5", "--kernel", 7, "--out", 2], "kernel"),
        (["--input", "8x64x5x5", "--kernel", 7, "--out", 2], "write it as 8,64,5,5"),
        (
            ["--input", "8,64,5", "--kernel", "3,3,3", "--out", 2],
            "has 3 numbers, but a kernel of 3 axes needs",
        ),
        (["--input", "8", "--kernel", "3", "--out", 2], "has 1 numbers"),
        (["--input", "-8,64,9,9", "--kernel", 3, "--out", 2], "--input -8,64,9,9 has a number below 0"),
        (
            ["--input", "8,64,9,9", "--kernel", 3, "--out", 2, "--groups", 3],
            "--groups 3 does not divide the 64",
        ),
        (["--input", "8,64,9,9", "--kernel", 3, "--out", 2, "--stride", 0], "--stride 0 must be at least 1"),
        (
            ["--input", "8,64,9,9", "--kernel", 3, "--out", 2, "--padding", "full"],
            "--padding full is not known",
        ),
        (
            ["--input", "8,64,9,9", "--kernel", 3, "--out", 2, "--padding", "1:2:3"],
            "1:2:3 is not before:after",
        ),
        (["--input", "8,64,9,9", "--kernel", 3, "--out", 0], "--out"),
        (["--input", "8,64,9,9", "--kernel", 3], "Missing option '--out'"),
        (["--input", "8,64,9,9", "--kernel", 3, "--out", 2, "--dtype", "int8"], "int8"),
    ],
)
def test_what_cannot_work_is_one_line(words, message):
    assert message in deepconv("explain", *words).error
