"""Estimators as they are compared: for each a function from a request to a call that fits, scores and tells."""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.measures import Call


def split(seed: int) -> list[Any]:
    """Return scikit-learn's digits in two stratified parts, a quarter of them held out."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    rows, labels = load_digits(return_X_y=True)
    parts: list[Any] = train_test_split(rows, labels, test_size=0.25, random_state=seed, stratify=labels)
    return parts


def told(make: Callable[[int], Any], asked: dict[str, Any]) -> Call:
    """Return a call that fits a new estimator and tells CPU seconds and held-out accuracy."""
    seed = asked["seed"]
    rows, held, labels, wanted = split(seed)
    make(seed).fit(rows[:200], labels[:200]).predict(held)  # what is loaded or compiled once

    def call() -> dict[str, float]:
        start = time.process_time()
        model = make(seed).fit(rows, labels)
        fitted = time.process_time()
        right = model.predict(held) == wanted
        return {
            "fit": fitted - start,
            "predict": time.process_time() - fitted,
            "accuracy": float(right.mean()),
        }

    return call


def deepconv(asked: dict[str, Any]) -> Call:
    """Return our call, with the defaults."""
    import deepconv as dc

    dc.set_threads(1)
    return told(lambda seed: dc.ConvClassifier(image_shape=(8, 8), random_state=seed), asked)


def mlp(asked: dict[str, Any]) -> Call:
    """Return MLPClassifier's call, with the defaults."""
    from sklearn.neural_network import MLPClassifier

    return told(lambda seed: MLPClassifier(random_state=seed), asked)


def scaled_mlp(asked: dict[str, Any]) -> Call:
    """Return MLPClassifier's call on scaled rows, which its documentation advises."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return told(lambda seed: make_pipeline(StandardScaler(), MLPClassifier(random_state=seed)), asked)


def svc(asked: dict[str, Any]) -> Call:
    """Return SVC's call, with the defaults."""
    from sklearn.svm import SVC

    return told(lambda seed: SVC(random_state=seed), asked)


PEERS = {"deepconv": deepconv, "mlp": mlp, "scaled mlp": scaled_mlp, "svc": svc}
"""Every peer by name, ours first."""
