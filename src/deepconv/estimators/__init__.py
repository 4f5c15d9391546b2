"""Convolutional networks as scikit-learn estimators: `ConvClassifier` and `ConvRegressor`."""

try:
    import sklearn  # noqa: F401  (its absence is met here, once, in one line)
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        'deepconv: ConvClassifier and ConvRegressor need scikit-learn; pip install "deepconv[app]"',
        name="sklearn",
    ) from None

from deepconv.estimators.classifier import ConvClassifier
from deepconv.estimators.regressor import ConvRegressor

__all__ = ["ConvClassifier", "ConvRegressor"]
