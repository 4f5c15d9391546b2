"""Every check that scikit-learn has for estimators; the regressor's in the full run."""

import pytest
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator

import deepconv as dc

# What these leave out themselves: the array API is asked for by an environment variable, and there is no
# decision_function, as MLPClassifier has none.
SKIPPED = {"check_array_api_input", "check_classifiers_multilabel_output_format_decision_function"}

SLOW = {"check_class_weight_classifiers", "check_classifiers_train", "check_estimator_sparse_matrix"}


@pytest.mark.parametrize(("kind", "least"), [("ConvClassifier", 67), ("ConvRegressor", 60)])
def test_the_checks_are_all_there_and_no_tag_keeps_one_away(kind, least):
    estimator = getattr(dc, kind)()
    checks = [check.func.__name__ for _, check in estimator_checks_generator(estimator)]
    assert len(checks) >= least
    for name in ("check_sample_weight_equivalence_on_dense_data", "check_estimators_partial_fit_n_features"):
        assert name in checks
    tags = get_tags(estimator)
    assert not tags.non_deterministic
    assert not tags.no_validation
    kinds = (tags.classifier_tags, tags.regressor_tags)
    assert not any(own.poor_score for own in kinds if own is not None)


def passes(estimator, check):
    try:
        check(estimator)
    except pytest.skip.Exception:
        raise
    except Exception as error:
        if type(error).__name__ == "SkipTest" and check.func.__name__ in SKIPPED:
            pytest.skip(str(error))
        raise


def checks_of(estimator):
    for own, check in estimator_checks_generator(estimator):
        name = check.func.__name__
        yield pytest.param(own, check, marks=pytest.mark.full if name in SLOW else (), id=name)


@pytest.mark.parametrize(("estimator", "check"), [*checks_of(dc.ConvClassifier())])
def test_the_classifier_passes(estimator, check):
    passes(estimator, check)


@pytest.mark.full
@pytest.mark.parametrize(("estimator", "check"), [*checks_of(dc.ConvRegressor())])
def test_the_regressor_passes(estimator, check):
    passes(estimator, check)
