"""The choice says what it did and why not otherwise; what can't be had is refused."""

import json
import time

import numpy as np
import pytest

import deepconv as dc
from deepconv.engine.algorithms import direct_plan
from deepconv.engine.choice import TABLE, choose
from deepconv.engine.problem import PASSES, Problem
from deepconv.geometry import window


def problem(which="forward", kernel=3):
    return Problem(which, 2, 4, 6, (9, 8), window("conv", (9, 8), kernel), 1, np.dtype("f4"))


def test_each_table_ends_in_one_that_refuses_nothing():
    for which in PASSES:
        assert TABLE[which][-1].refuses(problem(which)) is None
        assert TABLE[which][-1].name == "taps"


def test_unknown_names_are_refused_with_those_known():
    with pytest.raises(ValueError, match="algorithm='fft' is not known for forward; use 'auto', 'pointwise'"):
        choose(problem(), "fft")
    with pytest.raises(ValueError, match=r"algorithm='pointwise' can't compute this weight_grad.*9 cells"):
        choose(problem("weight_grad"), "pointwise")


def test_a_named_algorithm_never_gives_way():
    x = np.random.default_rng(0).standard_normal((1, 3, 6, 5))
    w = np.random.default_rng(1).standard_normal((2, 3, 3, 3))
    with pytest.raises(ValueError, match="algorithm='depthwise_numpy' is not known for forward"):
        dc.conv(x, w, algorithm="depthwise_numpy")
    with pytest.raises(
        ValueError, match=r"'depthwise_numpy' can't compute this input_grad.*1 groups, 3 channels and 2"
    ):
        dc.conv_input_grad(np.zeros((1, 2, 4, 3)), w, x.shape, algorithm="depthwise_numpy")
    with pytest.raises(ValueError, match="'pointwise'"):
        dc.conv_weight_grad(np.zeros((1, 2, 4, 3)), x, w.shape, algorithm="pointwise")


def test_explain_tells_all():
    told = dc.explain((8, 64, 56, 56), (128, 64, 3, 3), stride=2, padding=1)
    assert told.output_shape == (8, 128, 28, 28)
    assert told.parameters == 128 * 64 * 9 + 128
    assert told.flops == 2 * 8 * 128 * 28 * 28 * 64 * 9
    assert told.operand_bytes == 4 * (8 * 64 * 56 * 56 + told.parameters + 8 * 128 * 28 * 28)
    assert [p.which for p in told.passes] == list(PASSES)
    for one in told.passes:
        assert {one.algorithm, *one.not_chosen} == {a.name for a in TABLE[one.which]}
        assert one.workspace_bytes <= told.workspace_limit
    text = str(told)
    for words in ("floor((56 + 1 + 1 - 1*(3 - 1) - 1) / 2) + 1 = 28", "not pointwise: the kernel has 9 cells",
                  "73,856", "924,844,032"):  # fmt: skip
        assert words in text
    assert json.loads(json.dumps(told.to_dict()))["output_shape"] == [8, 128, 28, 28]


def test_one_image_is_told_without_a_batch_axis():
    told = dc.explain((3, 9, 11), (4, 3, 3, 2))
    assert (told.x_shape, told.output_shape) == ((3, 9, 11), (4, 7, 10))
    assert str(told).startswith("input       3 x 9 x 11 float32\n")


def test_explain_says_what_conv_does(monkeypatch):
    """The algorithm that explain names is the one that runs."""
    ran = []
    for which in PASSES:
        for algorithm in TABLE[which]:
            real = algorithm.passes[which]
            monkeypatch.setitem(
                algorithm.passes, which, lambda *a, n=algorithm.name, f=real: ran.append(n) or f(*a)
            )
    rng = np.random.default_rng(0)
    for shape, words in [((4, 3, 3, 3), {}), ((4, 3, 1, 1), {}), ((3, 1, 3, 3), {"groups": 3})]:
        x, w = rng.standard_normal((2, 3, 7, 6)), rng.standard_normal(shape)
        y = dc.conv(x, w, **words)
        dc.conv_input_grad(y, w, x.shape, **words)
        dc.conv_weight_grad(y, x, w.shape, **words)
        assert ran == [p.algorithm for p in dc.explain(x.shape, w.shape, **words).passes]
        ran.clear()


def test_the_workspace_limit_is_the_persons():
    before = dc.get_workspace_limit()
    try:
        dc.set_workspace_limit(1000)
        refused = dc.explain((2, 3, 9, 9), (4, 3, 3, 3)).passes[0].not_chosen["matmul"]
        assert "the workspace limit is 1,000" in refused
    finally:
        dc.set_workspace_limit(before)
    refused = dc.explain((2, 3, 9, 9), (4, 3, 3, 3)).passes[0].not_chosen.get("matmul", "")
    assert "workspace limit" not in refused
    with pytest.raises(ValueError, match="limit=-1 must be at least 0"):
        dc.set_workspace_limit(-1)
    with pytest.raises(TypeError, match=r"limit=1\.5 is not a whole number of bytes"):
        dc.set_workspace_limit(1.5)


def test_a_container_that_grants_less_than_the_blas_saw(monkeypatch):
    from pathlib import Path

    from threadpoolctl import threadpool_info

    from deepconv.engine import settings

    for text, processors in (("150000 100000", 2), ("50000 100000", 1), ("400000 100000", 4)):
        monkeypatch.setattr(Path, "read_text", lambda *_, text=text, **__: text)
        assert settings._container_quota() == processors
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "max 100000")
    assert settings._container_quota() > 10_000
    before = dc.get_threads()
    try:
        dc.set_threads(np.int64(2))
        monkeypatch.setattr(settings, "_threads", None)
        monkeypatch.setattr(settings, "allowed_threads", lambda: 1)
        assert dc.get_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
    finally:
        dc.set_threads(before)


def test_threads_govern_the_blas():
    from threadpoolctl import threadpool_info

    before = dc.get_threads()
    try:
        dc.set_threads(1)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
        assert dc.get_threads() == 1
        dc.set_threads(2)
        assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {2}
        assert dc.get_threads() == 2
    finally:
        dc.set_threads(before)
    with pytest.raises(ValueError, match="is not from 1 to 4096"):
        dc.set_threads(10**30)
    with pytest.raises(ValueError, match="n=0 is not from 1 to 4096"):
        dc.set_threads(0)
    with pytest.raises(TypeError, match="n='2' is not a whole number"):
        dc.set_threads("2")


def test_what_no_memory_holds_is_not_planned_for():
    """It used to take minutes to say so: plans had a row for every tile."""
    start = time.process_time()
    told = dc.explain((1, 10**6, 8, 8), (10**6, 10**6, 3, 3))
    assert {one.algorithm for one in told.passes} == {"taps"}
    assert "its operands alone take" in told.passes[0].not_chosen["matmul"]
    dc.explain((10**9, 10**9, 10**9, 10**9), (8, 10**9, 3, 3))
    with pytest.raises(ValueError, match="its operands alone take"):
        choose(
            Problem("forward", 10**9, 10**9, 8, (99, 99), window("conv", (99, 99), 3), 1, np.dtype("f4")),
            "matmul",
        )
    assert time.process_time() - start < 20


def test_what_takes_a_gigabyte_is_planned_for_at_once():
    """Sizes are told without the tables of all rows, tiles and images, which took 1 to 30 s where these are many."""
    f4 = np.dtype("f4")
    start = time.process_time()
    for batch, channels, filters, size, kernel, how in (
        (64, 2**14, 2**14, 8, 3, dict(padding=1)),
        (2048, 1024, 16, 33, 31, dict(padding=15)),
        (2**14, 32, 128, 130, 1, dict(stride=3)),
    ):
        place = window("conv", (size, size), kernel, **how)
        choose(
            Problem(
                "weight_grad", batch, channels, filters, (size, size), place, 1, f4, workspace_limit=2**28
            )
        )
    assert time.process_time() - start < 0.5
    image = window("conv", (64, 64), 3, stride=2, padding=1)
    many = Problem("forward", 2**14, 32, 32, (64, 64), image, 1, f4, workspace_limit=2**28)
    assert len(direct_plan.table(many)) > 2**14  # an entry for each image
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    ("which", "called"),
    [("forward", "conv"), ("input_grad", "conv_input_grad"), ("weight_grad", "conv_weight_grad")],
)
def test_an_error_names_the_function_that_was_called(which, called):
    for name, said in (("pointwise", "can't compute this"), ("fft", "is not known for")):
        with pytest.raises(ValueError, match=f"^{called}: algorithm='{name}' {said} {which}"):
            choose(problem(which), name)
