"""Data frames of pandas as the estimators take them."""

import numpy as np
import pytest

import deepconv as dc
from tests.peers.conftest import peer

pandas = peer("pandas")


def test_a_data_frame_keeps_its_names(rng):
    rows, labels = rng.normal(size=(60, 42)), rng.integers(0, 2, 60)
    frame = pandas.DataFrame(rows, columns=[f"pixel {i}" for i in range(42)])
    model = dc.ConvClassifier((4, "pool"), image_shape=(6, 7), max_iter=2, random_state=0)
    model.fit(frame, pandas.Series(labels).map({0: "column", 1: "row"}))
    assert model.feature_names_in_[1] == "pixel 1"
    assert set(model.predict(frame)) <= {"column", "row"}
    assert np.array_equal(model.predict_proba(frame), model.fit(frame, labels).predict_proba(frame))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"pixel 1": "pixle"}))
