"""Batches give every sample once, in an order that the seed and the epoch alone decide."""

import numpy as np
import pytest

from deepconv.data import Batches, BatchSource

rng = np.random.default_rng(7)
X = rng.integers(0, 256, (23, 2, 3, 5), dtype=np.uint8)
Y = np.arange(23)


def test_every_sample_comes_once_with_its_own_target():
    batches = Batches(X, Y, batch_size=4)
    parts = list(batches.epoch(seed=3, epoch=2))
    assert [len(y) for _, y in parts] == [4, 4, 4, 4, 4, 3]
    assert len(batches) == 6
    labels = np.concatenate([y for _, y in parts])
    assert sorted(labels) == list(Y)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in parts]), X[labels])
    assert {x.dtype for x, _ in parts} == {np.dtype(np.float32)}


def test_the_order_depends_on_seed_and_epoch_and_nothing_else():
    def order(seed, epoch):
        return np.concatenate([y for _, y in Batches(X, Y, batch_size=5).epoch(seed, epoch)]).tolist()

    assert order(1, 2) == order(1, 2)
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(1, 4)}) == 9


def test_without_shuffling_the_order_stays():
    parts = list(Batches(X, Y, batch_size=23, shuffle=False, dtype=np.float64).epoch(5, 9))
    np.testing.assert_array_equal(parts[0][1], Y)
    assert parts[0][0].dtype == np.float64


def test_only_the_batch_is_read_and_prepared(tmp_path):
    np.save(tmp_path / "x.npy", X)
    seen = []

    def prepare(part):
        seen.append(part.shape)
        return part / np.float32(255)

    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = Batches(mapped, Y, batch_size=10, shuffle=False, prepare=prepare)
    x, _ = next(iter(batches.epoch()))
    assert seen == [(10, 2, 3, 5)]
    assert np.shares_memory(batches.x, mapped)
    np.testing.assert_allclose(x, X[:10] / 255, rtol=1e-6)


def test_a_batch_may_be_changed_without_changing_the_data():
    data = X.astype(np.float32)
    for x, _ in Batches(data, Y, batch_size=7, shuffle=False).epoch():
        x[...] = -1
    np.testing.assert_array_equal(data, X)


def test_an_empty_set_has_no_batches():
    empty = Batches(X[:0], Y[:0])
    assert (len(empty), list(empty.epoch())) == (0, [])
    assert isinstance(empty, BatchSource)


def test_refusals():
    with pytest.raises(
        ValueError, match=r"Batches: x has shape \(23, 2, 3, 5\) and y \(22,\); give one target"
    ):
        Batches(X, Y[:-1])
    with pytest.raises(TypeError, match=r"Batches: batch_size=1\.5 is not a whole number"):
        Batches(np.zeros((3, 1)), np.zeros(3), batch_size=1.5)
    with pytest.raises(ValueError, match="Batches: batch_size=0 is below 1"):
        Batches(X, Y, batch_size=0)
    with pytest.raises(TypeError, match="Batches: y has dtype <U1"):
        Batches(X[:2], ["a", "b"])
    with pytest.raises(ValueError, match=r"x has shape \(\)"):
        Batches(1.0, 1.0)
