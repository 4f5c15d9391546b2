"""The shipped digits: what they are, and that the parts never meet."""

from importlib.resources import files

import numpy as np
import pytest

from deepconv.data.digits import CLASSES, load_digits, split_digits, stratified


def test_they_are_uci_digits():
    images, labels = load_digits()
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert (images.min(), images.max()) == (0, 16)
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert images[0, 0, 2].tolist() == [0, 3, 15, 2, 0, 11, 8, 0]  # the first 0, as UCI prints it
    assert len(CLASSES) == 10


def test_they_come_with_their_attribution_and_stay_small():
    folder = files("deepconv.data")
    text = (folder / "digits.txt").read_text(encoding="utf-8")
    for part in (
        "Alpaydin",
        "Kaynak",
        "1998",
        "UCI Machine Learning Repository",
        "10.24432/C50P49",
        "CC BY 4.0",
    ):
        assert part in text
    assert len((folder / "digits.npz").read_bytes()) < 50_000


def test_each_load_is_ones_own():
    images, _ = load_digits()
    images[:] = 0
    assert load_digits()[0].max() == 16


@pytest.mark.parametrize("seed", [0, 1, 99])
def test_the_parts_are_disjoint_and_whole(seed):
    def rows(images, labels):
        return sorted((image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True))

    images, labels = load_digits()
    assert len({image.tobytes() for image in images}) == 1797  # so that equal rows mean the same digit
    parts = [row for part in split_digits(seed) for row in rows(*part)]
    assert sorted(parts) == rows(images, labels)


def test_every_class_has_its_share():
    _, labels = load_digits()
    train, validation, test = split_digits(3)
    for label, count in enumerate(np.bincount(labels)):
        held_out = np.count_nonzero(test[1] == label)
        assert held_out == round(count / 5)
        assert np.count_nonzero(validation[1] == label) == round((count - held_out) * 0.1)
        assert np.count_nonzero(train[1] == label) > 0.7 * count


def test_seeds_draw_different_parts_and_equal_seeds_equal_ones():
    first, again, other = split_digits(0), split_digits(0), split_digits(1)
    assert np.array_equal(first.test[0], again.test[0])
    assert not np.array_equal(first.test[0], other.test[0])


def test_the_held_out_part_does_not_depend_on_the_validation_part():
    assert np.array_equal(split_digits(4, validation=0.3).test[0], split_digits(4, validation=0.1).test[0])


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="split_digits: seed=-1 is negative"):
        split_digits(seed=-1)


def test_a_share_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"stratified: share=1\.5 is not between 0 and 1; use 0\.2"):
        stratified(np.array([0, 1]), 1.5, np.random.default_rng(0))
