"""The estimators as people use them: what they take, what they learn, what they say."""

import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import deepconv as dc
from deepconv.estimators.base import _Continue
from deepconv.estimators.layout import Layout
from deepconv.estimators.samples import Scale
from tests.estimators.bars import SMALL, bars, fitted


def same(a, b):
    return all(np.array_equal(v, b.network_.state()[k]) for k, v in a.network_.state().items())


# -- what it takes ------------------------------------------------------------------------------------


def test_flat_rows_and_pictures_are_the_same():
    x, y = bars()
    flat = fitted(x.reshape(len(x), -1), y, image_shape=(6, 7))
    assert same(flat, fitted(x, y))
    assert same(flat, fitted(x[..., None], y, channels="last"))
    assert same(flat, fitted(x[:, None], y, channels="first"))
    assert same(flat, fitted(list(x), y))
    assert flat.n_features_in_ == 42
    assert flat.image_shape_ == (6, 7)
    assert np.array_equal(flat.predict_proba(x.reshape(60, -1)), flat.predict_proba(x))
    assert np.array_equal(flat.predict_proba(x[..., None]), flat.predict_proba(x))


def test_channels_first_and_last_are_the_same():
    x, y = bars(channels=3)
    first = np.moveaxis(x, -1, 1)
    last = fitted(x, y)  # told by itself: 3 is a number of channels, 6 and 7 aren't
    assert same(last, fitted(first, y))
    assert same(last, fitted(x, y, channels="last"))
    assert same(last, fitted(x.reshape(60, -1), y, image_shape=(6, 7, 3)))
    assert same(last, fitted(first.reshape(60, -1), y, image_shape=(3, 6, 7)))
    assert last.network_[0].weight.shape == (4, 3, 3, 3)


def test_rows_without_a_shape_are_signals():
    x, y = bars()
    model = fitted(x.reshape(60, -1), y)
    assert isinstance(model.network_[0], dc.Conv1d)
    assert model.image_shape_ == (42,)


def test_volumes_are_taken():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 5, 6, 7, 2)), rng.integers(0, 3, 20)
    model = fitted(x, y)
    assert isinstance(model.network_[0], dc.Conv3d)
    assert model.predict_proba(x).shape == (20, 3)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.float32, np.float16, bool])
def test_any_real_dtype_is_taken(dtype):
    x, y = bars(dtype=np.uint8)
    x = x > 130 if dtype is bool else x.astype(dtype)
    model = fitted(x, y, max_iter=10)
    assert np.allclose(model.predict_proba(x), model.predict_proba(x.astype(np.float64)), atol=1e-4)
    assert model.score(x, y) > 0.7


def test_the_scale_of_the_input_is_learned():
    x, y = bars()
    model = fitted(x, y)
    assert model.score(x, y) > 0.6
    shifted = fitted(x * 2 + 512, y)
    assert np.allclose(shifted._scale.down(x[:, None] * 2 + 512), model._scale.down(x[:, None]), atol=1e-5)
    assert np.isclose(shifted.score(x * 2 + 512, y), model.score(x, y), atol=0.2)
    weight, places = np.random.default_rng(1).random(9), np.arange(9, 18)
    scale = Scale.of(x.reshape(60, -1), Layout((6, 7), None), places, weight)
    mean = np.average(x[9:18].mean(axis=(1, 2)), weights=weight)
    spread = np.average(((x[9:18] - mean) ** 2).mean(axis=(1, 2)), weights=weight) ** 0.5
    assert (scale.mean[0], scale.deviation[0]) == pytest.approx((mean, spread))
    plain = fitted(np.ones((8, 4, 4)), np.arange(8) % 2)  # a deviation of 0 divides nothing by 0
    assert np.isfinite(plain.predict_proba(np.full((1, 4, 4), 7.0))).all()


# -- what it learns -----------------------------------------------------------------------------------


def test_strings_and_probabilities():
    x, y = bars(120)
    words = np.array(["column", "row"])[y]
    model = fitted(x, words, max_iter=15)
    assert model.classes_.tolist() == ["column", "row"]
    assert model.score(x, words) > 0.9
    shares = model.predict_proba(x)
    assert np.allclose(shares.sum(axis=1), 1)
    assert np.array_equal(model.classes_[shares.argmax(axis=1)], model.predict(x))
    assert np.allclose(np.exp(model.predict_log_proba(x)), shares)
    assert len(model.loss_curve_) == model.n_iter_ == 15
    assert model.best_loss_ == min(model.loss_curve_)
    assert model.loss_curve_[-1] < model.loss_curve_[0] / 2


def test_several_labels_at_once():
    x, y = bars(80)
    both = np.stack([y, 1 - y, x.mean(axis=(1, 2)) > 112], axis=1).astype(int)
    model = fitted(x, both, max_iter=15)
    assert model.predict(x).shape == (80, 3)
    assert (model.predict(x) == both).mean() > 0.85
    assert np.array_equal(model.predict(x), model.predict_proba(x) > 0.5)
    assert np.allclose(np.exp(model.predict_log_proba(x)), model.predict_proba(x))
    assert same(model, fitted(x, both, max_iter=15))


def test_the_seed_decides_and_the_order_of_rows_does_not():
    x, y = bars()
    model = fitted(x, y)
    order = np.random.default_rng(1).permutation(60)
    assert same(model, fitted(x[order], y[order]))
    assert not same(model, fitted(x, y, random_state=1))
    assert not same(fitted(x, y, random_state=None), fitted(x, y, random_state=None))


def test_a_class_of_no_weight_is_none():
    x, y = bars()
    weight = (np.arange(60) >= 3).astype(float)
    model = dc.ConvClassifier(**SMALL).fit(x, np.where(weight, y, 2), weight)
    assert model.classes_.tolist() == [0, 1]
    assert same(model, fitted(x[3:], y[3:]))


@pytest.mark.parametrize(
    "settings", [{}, {"early_stopping": True}, {"batch_size": 7, "augment": True}], ids=str
)
def test_a_weight_is_a_number_of_repetitions(settings):
    x, y = bars()
    weight = np.random.default_rng(2).integers(0, 4, 60)
    weighted = dc.ConvClassifier(**SMALL | settings).fit(x, y, sample_weight=weight)
    assert same(weighted, fitted(np.repeat(x, weight, 0), np.repeat(y, weight), **settings))
    assert not same(weighted, fitted(x, y, **settings))


def test_class_weight():
    x, y = bars(90)
    kept = (y == 0) | (np.arange(90) % 6 == 0)
    x, y = x[kept], y[kept]
    balanced = fitted(x, y, class_weight="balanced")
    counts = np.bincount(y)
    assert same(balanced, fitted(x, y, class_weight={i: len(y) / 2 / n for i, n in enumerate(counts)}))
    share = [fitted(x, y, class_weight=given).predict_proba(x)[:, 1].mean() for given in (None, {1: 50.0})]
    assert share[1] > share[0]
    with pytest.raises(ValueError, match="zero for every sample"):
        fitted(x, y, class_weight={0: 0, 1: 0})


def test_weights_are_shares_of_what_is_learned_and_have_no_unit():
    x, _ = bars(40)
    twice, both = np.concatenate([x, x]), np.repeat([0, 1], 40)  # whatever it is, 9 of 10 call it 1
    weight = np.repeat([1.0, 9.0], 40)
    model = dc.ConvClassifier(**SMALL | {"max_iter": 15}).fit(twice, both, weight)
    assert abs(model.predict_proba(x)[:, 1] - 0.9).mean() < 0.05
    numbers = dc.ConvRegressor(**SMALL | {"max_iter": 15}).fit(twice, both, weight)
    assert abs(numbers.predict(x) - 0.9).mean() < 0.05
    again = dc.ConvClassifier(**SMALL | {"max_iter": 15}).fit(twice, both, 1024 * weight)
    assert same(again, model)


def test_class_weights_and_sample_weights_multiply():
    x, y = bars()
    weight = np.random.default_rng(3).integers(1, 4, 60)

    def weighed(sample_weight, class_weight):
        return dc.ConvClassifier(**SMALL, class_weight=class_weight).fit(x, y, sample_weight)

    assert same(weighed(weight, {0: 2.0, 1: 3.0}), weighed(weight * np.where(y, 3.0, 2.0), None))
    counts = np.bincount(y, weights=weight)  # balanced is by weight: as many as the repetitions are
    assert same(weighed(weight, "balanced"), weighed(weight * (weight.sum() / (2 * counts))[y], None))


def test_regression_of_one_and_several_outputs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 6, 7))
    y = np.stack([1e4 + 300 * x[:, 2:4, 2:4].mean(axis=(1, 2)), x[:, 0].mean(axis=1)], axis=1)
    model = fitted(x, y, dc.ConvRegressor, max_iter=25)
    assert model.predict(x).shape == (150, 2)
    assert model.score(x, y) > 0.5
    one = fitted(x, y[:, 0], dc.ConvRegressor, max_iter=25)
    assert one.predict(x).shape == (150,)
    assert one.score(x, y[:, 0]) > 0.6
    weight = rng.integers(0, 3, 150)
    repeated = fitted(np.repeat(x, weight, 0), np.repeat(y, weight, 0), dc.ConvRegressor)
    assert same(repeated, dc.ConvRegressor(**SMALL).fit(x, y, sample_weight=weight))


def test_early_stopping_keeps_the_best_epoch():
    x, y = bars(100)
    model = fitted(x, y, early_stopping=True, max_iter=40, n_iter_no_change=3, learning_rate="constant")
    assert model.n_iter_ == len(model.validation_scores_) < 40
    assert model.best_validation_score_ in model.validation_scores_
    assert model.best_loss_ is None
    right = np.array(model.validation_scores_) * 10  # of as many samples that validate
    assert np.allclose(right, right.round())
    assert model.best_validation_score_ == model.validation_scores_[len(model.validation_scores_) - 4]
    assert fitted(x, y).validation_scores_ is None
    numbers = fitted(x, y * 2.0, dc.ConvRegressor, early_stopping=True, max_iter=5)
    assert len(numbers.validation_scores_) == 5
    stopped = dict(early_stopping=True, max_iter=30, n_iter_no_change=2, learning_rate="constant")
    numbers = fitted(x, y * 2.0, dc.ConvRegressor, learning_rate_init=0.05, **stopped)
    assert numbers.best_validation_score_ == max(numbers.validation_scores_) > numbers.validation_scores_[-1]
    kept, held = numbers._apart(np.zeros((13, 1)), np.random.default_rng(0))
    assert (len(kept), len(held)) == (11, 2)  # rounded up, as scikit-learn does
    assert sorted([*kept, *held]) == list(range(13))
    assert max(numbers.validation_scores_) <= 1


@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_alpha_makes_weights_small(solver):
    x, y = bars()
    sizes = [
        abs(fitted(x, y, solver=solver, alpha=alpha).network_[-1].weight.value).sum() for alpha in (0, 3.0)
    ]
    assert sizes[1] < 0.9 * sizes[0]


def test_what_validates_is_not_trained_on():
    x, y = bars()
    seen = []

    def note(pictures, rng):
        seen.append(np.round(pictures, 3).reshape(len(pictures), -1))
        return pictures

    model = fitted(x, y, early_stopping=True, validation_fraction=0.25, max_iter=2, augment=note)
    epochs = np.concatenate(seen)
    assert len(epochs) == 2 * 45  # 15 of 60 are held out
    assert len(np.unique(epochs, axis=0)) == 45
    assert model.n_iter_ == 2


def test_partial_fit_goes_on_with_the_optimizer():
    x, y = bars()
    model = dc.ConvClassifier(**SMALL, batch_size=64)
    for _ in range(3):
        model.partial_fit(x, y, classes=[0, 1])
    assert model.n_iter_ == len(model.loss_curve_) == 3
    assert model._optimizer_state["steps"] == 3
    whole = fitted(x, y, batch_size=64, learning_rate="constant", max_iter=3)
    assert np.allclose(model.predict_proba(x), whole.predict_proba(x), atol=1e-3)
    with pytest.raises(ValueError, match="has the class 2, which is not among"):
        model.partial_fit(x, np.full(60, 2))
    with pytest.raises(ValueError, match=r"classes=\[0, 1, 2\] are not the 2 of the first call"):
        model.partial_fit(x, y, classes=[0, 1, 2])
    several = np.stack([y, 1 - y, y], axis=1)
    with pytest.raises(ValueError, match=r"classes=\[0, 1\] names 2 labels, and y has 3 columns"):
        dc.ConvClassifier(**SMALL).partial_fit(x, several, classes=[0, 1])
    model = dc.ConvClassifier(**SMALL)
    for _ in range(2):  # names of labels keep the order of the columns
        model.partial_fit(x, several, classes=["c", "a", "b"])
    assert model.classes_.tolist() == ["c", "a", "b"]
    with pytest.raises(ValueError, match="classes=None at the first call"):
        dc.ConvClassifier().partial_fit(x, y)
    numbers = dc.ConvRegressor(**SMALL).partial_fit(x, y).partial_fit(x, y)
    assert numbers.n_iter_ == 2


def test_warm_start_goes_on():
    x, y = bars()
    model = fitted(x, y, warm_start=True)
    before = model.network_
    assert model.fit(x, y).network_ is before
    assert model.n_iter_ == 8
    assert fitted(x, y).fit(x, y).n_iter_ == 4


# -- the network ----------------------------------------------------------------------------------------


def test_own_layers_are_copied_and_start_from_their_values():
    x, y = bars()
    own = dc.Sequential(dc.Conv2d(1, 5, 3), dc.ReLU(), dc.Flatten(), dc.Linear(None, 2))
    assert same(fitted(x, y, layers=own), fitted(x, y, layers=list(own.layers)))
    assert own[0].weight.data is None  # nothing was drawn, nothing trained
    own.initialize((1, 6, 7), seed=3)
    before = own.state()
    model = fitted(x, y, layers=own, learning_rate_init=1e-9, alpha=0)
    assert all(np.array_equal(before[k], v) for k, v in own.state().items())
    assert all(np.allclose(before[k], v, atol=1e-6) for k, v in model.network_.state().items())


def test_layers_that_end_in_a_picture_get_a_last_layer():
    x, y = bars()
    model = fitted(x, y, layers=[dc.Conv2d(1, 3, 3), dc.ReLU()])
    assert repr(model.network_[-1]) == "Linear(60, 2)"
    mixed = fitted(x, y, layers=(3, "pool", dc.Dropout(0.1), "global", 9))
    assert [type(layer).__name__ for layer in mixed.network_][-4:] == [
        "GlobalAvgPool",
        "Linear",
        "ReLU",
        "Linear",
    ]
    large = fitted(np.zeros((4, 40, 40)), [0, 1, 0, 1], layers=(2,), max_iter=1)
    assert isinstance(large.network_[3], dc.GlobalAvgPool)  # 1,600 places would learn by heart


@pytest.mark.parametrize("shape", [(2,), (17,), (200,), (5, 6), (30, 90), (1, 40), (4, 5, 6)])
def test_the_automatic_network_fits_every_size(shape):
    x = np.random.default_rng(0).normal(size=(8, *shape, 1))
    settings = {"channels": "last"} if len(shape) > 1 else {}
    model = dc.ConvClassifier(max_iter=1, **settings).fit(x if settings else x[..., 0], np.arange(8) % 2)
    assert model.predict(x if settings else x[..., 0]).shape == (8,)


# -- scikit-learn's own -------------------------------------------------------------------------------


def test_clone_and_pickle():
    x, y = bars()
    model = fitted(x, y, layers=[dc.Conv2d(1, 4, 3), dc.ReLU()])
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301  (our own)
    assert np.array_equal(copy.predict_proba(x), model.predict_proba(x))
    new = clone(model)
    assert not hasattr(new, "network_")
    assert same(new.fit(x, y), model)
    copy.partial_fit(x, y)
    model.partial_fit(x, y)
    assert same(copy, model)  # the optimizer's state and the random state travel, too


def grid(pipe, **settings):
    choices = {"convclassifier__layers": [(4,), (4, "pool", 6)], "convclassifier__alpha": [0.1]}
    return GridSearchCV(pipe, choices, cv=2, **settings)


def test_pipeline_and_grid_search():
    x, y = bars()
    rows = x.reshape(60, -1)
    pipe = make_pipeline(MinMaxScaler(), dc.ConvClassifier(**SMALL, image_shape=(6, 7)))
    assert pipe.set_output(transform="default").fit(rows, y).score(rows, y) > 0.6
    assert grid(pipe).fit(rows, y).best_params_["convclassifier__layers"] in [(4,), (4, "pool", 6)]
    assert len(cross_val_score(dc.ConvClassifier(**SMALL), x, y, cv=3)) == 3


@pytest.mark.full
def test_grid_search_in_processes():
    x, y = bars()
    rows = x.reshape(60, -1)
    pipe = make_pipeline(MinMaxScaler(), dc.ConvClassifier(**SMALL, image_shape=(6, 7)))
    scores = [grid(pipe, n_jobs=jobs).fit(rows, y).cv_results_["mean_test_score"] for jobs in (None, 2)]
    assert np.array_equal(*scores)


def test_the_lazy_name_and_the_missing_library():
    code = """
        import sys
        import deepconv as dc
        assert "sklearn" not in sys.modules
        sys.modules["sklearn"] = None
        try:
            dc.ConvClassifier
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.stdout.count("\n") == 1, done.stderr
    assert 'pip install "deepconv[app]"' in done.stdout


def test_an_interrupt_keeps_what_was_learned(monkeypatch):
    x, y = bars()

    def interrupt(self, record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(_Continue, "on_epoch_end", interrupt, raising=False)
    with pytest.warns(
        ConvergenceWarning, match="interrupted; the weights are those at the end of epoch 2 of 4"
    ):
        model = fitted(x, y)
    assert model.n_iter_ == 2
    assert model.predict(x).shape == (60,)


def test_verbose_prints_a_line_for_each_epoch(capsys):
    fitted(*bars(), verbose=True)
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_what_comes_in_at_the_edge_is_the_papers_value():
    x, y = bars()
    x[:, [0, -1]] = x[:, :, [0, -1]] = 240
    model = fitted(x, y, max_iter=1)
    model.set_params(augment=True)
    part = model._part(x.reshape(60, -1), y, np.arange(60), np.ones(60), shuffle=False)
    assert model._augmentation("fit", part).fill == pytest.approx((240 - x.mean()) / x.std(), rel=1e-4)


def test_augmentation_changes_what_is_learned():
    x, y = bars(dtype=np.uint8)
    plain, turned = fitted(x, y), fitted(x, y, augment=True)
    assert not same(plain, turned)
    assert same(turned, fitted(x, y, augment=True))
    assert not same(plain, fitted(x, y, augment=dc.data.Flip()))
    with pytest.raises(ValueError, match="augment=True turns and moves pictures, and a sample is"):
        fitted(x.reshape(60, -1), y, augment=True)


# -- the digits -------------------------------------------------------------------------------------------


def held_out(model, seed, train_size=None):
    rows, labels = load_digits(return_X_y=True)
    train, test, wanted, truth = train_test_split(
        rows, labels, train_size=train_size, test_size=450, random_state=seed, stratify=labels
    )
    return model.fit(train, wanted).score(test, truth)


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_few_epochs_on_a_few_hundred_digits_beat_a_dense_network():
    ours = held_out(dc.ConvClassifier(image_shape=(8, 8), max_iter=8, random_state=1), 1, 400)
    assert ours > max(0.95, held_out(MLPClassifier(random_state=1, max_iter=60), 1, 400) + 0.02)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_few_epochs_on_the_digits_beat_a_dense_network():
    ours = held_out(dc.ConvClassifier(image_shape=(8, 8), max_iter=6, random_state=0), 0)
    assert ours > max(0.975, held_out(MLPClassifier(random_state=0), 0))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_the_defaults_beat_a_dense_network_on_the_digits():
    ours = [held_out(dc.ConvClassifier(image_shape=(8, 8), random_state=seed), seed) for seed in range(5)]
    dense = [held_out(MLPClassifier(random_state=seed), seed) for seed in range(5)]
    assert np.mean(ours) > np.mean(dense) + 0.01
    assert np.mean(ours) > 0.988
    split = dc.data.split_digits(0)  # ours: the same digits, channels first, uint8
    assert dc.ConvClassifier(random_state=0).fit(*split.train).score(*split.test) > 0.98


@pytest.mark.parametrize("name", ["small", "lenet"])
def test_the_networks_for_photographs_by_name(name):
    x, y = bars(height=28, width=28, channels=3)
    assert fitted(x, y, layers=name, max_iter=1).predict(x[:3]).shape == (3,)
    with pytest.raises(ValueError, match="is for pictures, and a sample has shape"):
        fitted(x.reshape(60, -1), y, layers=name)
