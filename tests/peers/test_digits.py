"""The shipped digits are scikit-learn's, which are UCI's."""

import numpy as np

from deepconv.data.digits import load_digits
from tests.peers.conftest import peer


def test_the_digits_equal_scikit_learns():
    theirs = peer("sklearn.datasets").load_digits()
    images, labels = load_digits()
    assert np.array_equal(images[:, 0], theirs.images)
    assert np.array_equal(labels, theirs.target)
