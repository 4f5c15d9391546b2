"""`deepconv filter --list`: the kernels shown, with their numbers and settings."""

import numpy as np
import pytest

from deepconv.cli import filter_options
from deepconv.images import ALPHA, BORDERS, KERNELS, SIGNED, effect, kernel
from tests.cli.conftest import deepconv


def test_the_list_has_every_kernel_with_its_numbers():
    outcome = deepconv("filter", "--list")
    assert (outcome.status, outcome.err) == (0, "")
    for name, entry in KERNELS.items():
        assert f"\n{name}: {entry.does}\n" in outcome.out
        assert f"weights: {entry.formula}" in outcome.out
        assert all(f"\n{setting.name}=" in outcome.out for setting in entry.settings)
    assert "\n   0 -1  0\n  -1  5 -1\n   0 -1  0\n" in outcome.out
    assert "\nBLUR\n" in f"\n{outcome.out}"


@pytest.mark.parametrize("words", [["--list", "sobel"], ["-k", "sobel", "--list"], ["--list", "-k", "sobel"]])
def test_one_kernel_is_shown(words):
    shown = deepconv("filter", *words).out
    assert shown.startswith("sobel: edges of every direction")
    assert shown.count("\n3 × 3, sum 0") == 2
    assert "sobel-x: " not in shown


def test_the_list_as_json():
    found = deepconv("filter", "--list", "--json").json["kernels"]
    assert [one["name"] for one in found] == list(KERNELS)
    (one,) = deepconv("filter", "--list", "gaussian sigma=2", "--json").json["kernels"]
    assert one["name"] == "gaussian sigma=2"
    assert np.array_equal(one["kernels"][0], kernel("gaussian", sigma=2))
    assert {"sigma": 2}.items() <= {s["name"]: s["value"] for s in one["settings"]}.items()
    (own,) = deepconv("filter", "--list", "1 2 -3", "--json").json["kernels"]
    assert (own["sum"], own["signed"], own["kernels"]) == (0, "absolute", [[[1, 2, -3]]])


def test_an_unknown_kernel_is_not_listed():
    assert "did you mean 'laplacian'?" in deepconv("filter", "--list", "laplacean").error


def test_the_options_know_the_librarys_words():
    for rule, words in (
        (filter_options.Border, BORDERS), (filter_options.Signed, SIGNED), (filter_options.Alpha, ALPHA)
    ):  # fmt: skip
        assert sorted(rule) == sorted(words)
    assert effect("box").name == "box"
