"""The trainer: what it learns, what it reports, what it leaves alone, and what it refuses."""

import numpy as np
import pytest

from deepconv.data import Batches, Shift
from deepconv.layers.dense import Linear
from deepconv.layers.flatten import Flatten
from deepconv.training import (
    SGD,
    Adam,
    CrossEntropy,
    EarlyStopping,
    MeanSquared,
    OneCycle,
    Trainer,
    evaluate,
)
from tests.training.small import assert_same, differs, network, pictures, scale

X, Y = pictures()
XF = scale(X)
VALIDATION = (scale(pictures(40, seed=1)[0]), pictures(40, seed=1)[1])


class Recorder:
    """Writes down every event."""

    def __init__(self, model=None):
        self.events, self.model, self.states = [], model, []

    def on_fit_start(self, progress):
        self.events.append(("start", progress))

    def on_batch_end(self, progress):
        self.events.append(("batch", progress))

    def on_epoch_end(self, record):
        self.events.append(("epoch", record))
        if self.model is not None:
            self.states.append(self.model.state())

    def on_fit_end(self, history):
        self.events.append(("end", history))

    def of(self, kind):
        return [news for event, news in self.events if event == kind]


def trainer(model=None, optimizer=None, **settings):
    return Trainer(model or network(), CrossEntropy(), optimizer or SGD(0.05, momentum=0.9), **settings)


def test_it_learns():
    run = trainer(optimizer=Adam(0.03), schedule=OneCycle())
    history = run.fit((XF, Y), VALIDATION, epochs=25, batch_size=16)
    assert history.column("epoch") == list(range(1, 26))
    assert history[-1].loss < 0.4 * history[0].loss
    assert history[-1].accuracy > 0.85
    assert evaluate(run.model, run.loss, (XF, Y))[1] > 0.9
    assert history[-1].validation_accuracy > 0.7
    assert all(record.seconds > 0 for record in history)
    assert run.history is history


def test_a_straight_line_is_found_exactly():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4))
    weight = rng.normal(size=(2, 4))
    model = Linear(4, 2).initialize((4,), dtype=np.float64)
    history = Trainer(model, MeanSquared(), SGD(0.1)).fit((x, x @ weight.T + [1, -2]), epochs=150)
    np.testing.assert_allclose(model.parameters()["weight"].data, weight, atol=1e-9)
    np.testing.assert_allclose(model.parameters()["bias"].data, [1, -2], atol=1e-9)
    assert history.column("accuracy") == [None] * 150
    assert history.column("validation_loss") == [None] * 150


def test_the_loss_is_the_average_over_samples_though_the_last_batch_is_short():
    model = Linear(4, 3).initialize((4,), dtype=np.float64)
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(23, 4)), rng.integers(0, 3, 23)
    whole = CrossEntropy()(model(x), y), CrossEntropy().accuracy(model(x), y)
    record = Trainer(model, CrossEntropy(), SGD(0.0)).fit((x, y), (x, y), epochs=1, batch_size=10)[0]
    assert (record.loss, record.accuracy) == pytest.approx(whole, rel=1e-12)
    assert (record.validation_loss, record.validation_accuracy) == pytest.approx(whole, rel=1e-12)
    assert evaluate(model, CrossEntropy(), (x, y), batch_size=7) == pytest.approx(whole, rel=1e-12)


def test_validation_changes_nothing():
    without, with_it = network(), network()
    trainer(without).fit((XF, Y), epochs=3)
    before = [VALIDATION[0].copy(), VALIDATION[1].copy()]
    trainer(with_it).fit((XF, Y), VALIDATION, epochs=3)
    assert_same(without.state(), with_it.state())
    np.testing.assert_array_equal(before[0], VALIDATION[0])
    evaluate(with_it, CrossEntropy(), VALIDATION)
    assert_same(without.state(), with_it.state())


def test_the_seed_decides_everything_and_the_data_stay():
    def run(seed):
        model, x = network(), XF.copy()
        trainer(model, seed=seed).fit((x, Y), epochs=2, augment=Shift(1))
        np.testing.assert_array_equal(x, XF)
        return model.state()

    assert_same(run(3), run(3))
    assert differs(run(3), run(4))


def test_a_model_without_values_is_initialised_from_the_seed():
    def run(seed):
        model = Linear(None, 3)
        Trainer(model, CrossEntropy(), SGD(0.0), seed=seed).fit((XF.reshape(90, -1), Y), epochs=1)
        return model.state()

    assert_same(run(1), Linear(None, 3).initialize((30,), seed=1).state())
    assert differs(run(1), run(2))


def test_fit_starts_the_optimizer_afresh():
    optimizer = SGD(0.05, momentum=0.9)
    first, second = network(), network()
    trainer(first, optimizer).fit((XF, Y), epochs=2)
    trainer(second, optimizer).fit((XF, Y), epochs=2)
    assert_same(first.state(), second.state())


def test_whole_numbers_are_converted_batch_by_batch():
    one, two = network(), network()
    trainer(one).fit((X, Y), epochs=2)
    trainer(two).fit((X.astype(np.float32), Y), epochs=2)
    assert_same(one.state(), two.state())


def test_float64_reaches_a_float64_model_whole():
    seen = []

    class Watching(Linear):
        def apply(self, x, **options):
            seen.extend(x if len(x) > 1 else ())  # a single sample only asks for the output's shape
            return super().apply(x, **options)

    x = np.random.default_rng(0).normal(size=(5, 4))
    Trainer(Watching(4, 3).initialize((4,), dtype=np.float64), CrossEntropy(), SGD()).fit(
        (x, [0, 1, 2, 1, 0]), (x, [0, 1, 2, 1, 0]), epochs=1
    )
    assert len(seen) == 10
    assert {tuple(row) for row in seen} == {tuple(row) for row in x}


class Stream:
    """Gives batches of its own, as a reader from a disk would."""

    def __init__(self, promised=4, given=4):
        self.promised, self.given, self.asked = promised, given, []

    def __len__(self):
        return self.promised

    def epoch(self, seed, epoch):
        self.asked.append((seed, epoch))
        rng = np.random.default_rng([seed, epoch])
        for _ in range(self.given):
            rows = rng.integers(0, 90, 16)
            yield XF[rows], Y[rows]


def test_anything_that_gives_batches_will_do():
    source, check, one, two = Stream(), Stream(), network(), network()
    history = trainer(one, seed=5).fit(source, check, epochs=2)
    trainer(two, seed=5).fit(Stream(), epochs=2)
    assert_same(one.state(), two.state())
    assert [(s, e) for s, e in source.asked if e] == [(5, 1), (5, 2)]
    assert {e for _, e in check.asked} == {0}
    assert history[1].validation_loss is not None


def test_batches_of_ones_own_train_as_arrays_do():
    one, two = network(), network()
    trainer(one).fit(Batches(X, Y, batch_size=20, prepare=scale), epochs=2)
    trainer(two).fit((XF, Y), epochs=2, batch_size=20)
    assert_same(one.state(), two.state())


@pytest.mark.parametrize(("promised", "given"), [(4, 3), (4, 5), (4, 0)])
def test_a_source_that_breaks_its_promise_is_an_error(promised, given):
    model = network()
    before = model.state()
    message = (
        "has no samples" if not given else f"train gave {'more' if given > 4 else given} batches in epoch 1"
    )
    with pytest.raises(ValueError, match=message):
        trainer(model).fit(Stream(promised, given), epochs=2)
    assert_same(model.state(), before)


def test_callbacks_hear_everything_in_order():
    recorder = Recorder()
    schedule = OneCycle()
    history = trainer(optimizer=SGD(0.2), callbacks=[recorder], schedule=schedule).fit(
        (XF, Y), VALIDATION, epochs=2, batch_size=40
    )
    kinds = [kind for kind, _ in recorder.events]
    assert kinds == ["start", *["batch"] * 3, "epoch", *["batch"] * 3, "epoch", "end"]
    assert recorder.of("epoch") == list(history)
    assert recorder.of("end") == [history]
    steps = recorder.of("batch")
    assert [(p.epoch, p.batch) for p in steps] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert {(p.epochs, p.batches) for p in steps} == {(2, 3)}
    assert [p.learning_rate for p in steps] == [0.2 * schedule(step, 6) for step in range(6)]
    assert (steps[2].loss, steps[5].accuracy) == (history[0].loss, history[1].accuracy)
    assert history.column("learning_rate") == [steps[2].learning_rate, steps[5].learning_rate]
    assert 0 < steps[0].seconds < steps[2].seconds < history[0].seconds
    assert recorder.of("start")[0].fraction == 0


def test_augmentation_touches_training_batches_alone():
    seen = []

    def watch(x, rng):
        seen.append((x.shape, x.dtype, rng.random()))
        return x

    run = trainer()
    run.fit((X, Y), VALIDATION, epochs=2, batch_size=45, augment=watch)
    assert [shape for shape, _, _ in seen] == [(45, 1, 5, 6)] * 4
    assert {dtype for _, dtype, _ in seen} == {np.dtype(np.float32)}
    assert len({number for _, _, number in seen}) == 4


class Listening(Linear):
    """Draws a number in each training step, as dropout would."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.draws = []

    def apply(self, x, *, training=True, rng=None):
        if training:
            self.draws.append(rng.random())
        return super().apply(x, training=training, rng=rng)


def test_every_seed_epoch_batch_and_use_draws_its_own_numbers():
    drawn = []

    def watch(x, rng):
        drawn.append(rng.random())
        return x

    for seed in (0, 1):
        layer = Listening(30, 3)
        layer.initialize((30,), seed=0)
        run = trainer(layer, seed=seed)
        run.fit((XF.reshape(len(XF), 30), Y), epochs=2, batch_size=45, augment=watch)
        drawn += layer.draws
    assert len(set(drawn)) == len(drawn) == 2 * 2 * 2 * 2


def test_clipping_bounds_every_step():
    model = network()
    before = model.state()
    trainer(model, SGD(1.0), clip_norm=1e-3).fit((XF, Y), epochs=1, batch_size=45)
    moved = sum(float(np.sum((p.data - before[n]) ** 2)) for n, p in model.parameters().items())
    assert 0 < np.sqrt(moved) <= 2e-3 * 1.001


@pytest.mark.parametrize("metric", ["validation_loss", "validation_accuracy"])
def test_early_stopping_gives_the_best_weights_back(metric):
    model = network()
    recorder = Recorder(model)
    stopping = EarlyStopping(patience=3, metric=metric)
    run = trainer(model, SGD(0.3, momentum=0.9), callbacks=[recorder], early_stopping=stopping)
    history = run.fit((XF, Y), VALIDATION, epochs=60, batch_size=16)
    best = history.best_epoch
    assert len(history) == best + 3 < 60
    values = history.column(metric)
    assert values[best - 1] == (min(values) if metric == "validation_loss" else max(values))
    assert_same(model.state(), recorder.states[best - 1])
    assert differs(model.state(), recorder.states[-1])
    index = 0 if metric == "validation_loss" else 1
    assert evaluate(model, CrossEntropy(), VALIDATION)[index] == pytest.approx(values[best - 1], rel=1e-6)


def test_without_patience_all_epochs_run_and_the_best_is_kept():
    model = network()
    recorder = Recorder(model)
    run = trainer(
        model, SGD(0.3, momentum=0.9), callbacks=[recorder], early_stopping=EarlyStopping(patience=None)
    )
    history = run.fit((XF, Y), VALIDATION, epochs=12, batch_size=16)
    assert len(history) == 12
    assert_same(model.state(), recorder.states[history.best_epoch - 1])


EMPTY = (XF[:0], Y[:0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: trainer().fit((XF, Y[:-1]), epochs=1),
            ValueError,
            r"fit: train: .* \(90, 1, 5, 6\) and y \(89,\)",
        ),
        (
            lambda: trainer().fit(EMPTY, epochs=1),
            ValueError,
            r"train: has no samples \(x has shape \(0, 1, 5, 6\)\)",
        ),
        (lambda: trainer().fit((XF, Y), EMPTY, epochs=1), ValueError, "fit: validation: has no samples"),
        (
            lambda: trainer().fit((XF, Y + 1), epochs=1),
            ValueError,
            "train: CrossEntropy: label 3 is not one of .* 3 cl",
        ),
        (
            lambda: trainer().fit((XF, Y), (XF, Y - 1), epochs=1),
            ValueError,
            "validation: CrossEntropy: label -1",
        ),
        (lambda: trainer().fit((XF, Y * 1.0), epochs=1), TypeError, r"train: .* float64; use astype\(int\)"),
        (lambda: trainer().fit((XF[..., :2], Y), epochs=1), ValueError, "kernel_size"),
        (lambda: trainer().fit(XF, epochs=1), TypeError, r"train: is ndarray; give \(x, y\), or an object"),
        (lambda: trainer().fit((XF, Y), epochs=0), ValueError, "epochs=0 is below 1"),
        (lambda: trainer().fit((XF, Y), epochs=1, batch_size=0), ValueError, "batch_size=0 is below 1"),
        (lambda: trainer().fit(Stream(), epochs=1, batch_size=8), ValueError, "batch_size=8 has no use"),
        (lambda: trainer().fit((XF, Y), epochs=1, resume=True), ValueError, "resume=True needs a file"),
        (
            lambda: trainer(early_stopping=EarlyStopping()).fit((XF, Y), epochs=1),
            ValueError,
            r"early_stopping watches validation_loss, but validation=None; give validation=\(x, y\)",
        ),
        (
            lambda: Trainer(
                Flatten(), MeanSquared(), SGD(), early_stopping=EarlyStopping(metric="validation_accuracy")
            ).fit((XF, XF.reshape(90, -1)), (XF, XF.reshape(90, -1)), epochs=1),
            ValueError,
            r"MeanSquared\(\) knows no accuracy; watch validation_loss",
        ),
        (lambda: trainer(clip_norm=0), ValueError, "clip_norm=0 is not"),
        (lambda: trainer(seed=-1), ValueError, "seed=-1 is negative"),
        (lambda: trainer(callbacks=[object()]), TypeError, "has none of on_fit_start"),
        (
            lambda: trainer(checkpoint="no/such/run.ckpt").fit((XF, Y), epochs=1),
            FileNotFoundError,
            "isn't there",
        ),
        (lambda: evaluate(network(), CrossEntropy(), EMPTY), ValueError, "evaluate: data: has no samples"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("parts", "words", "text"),
    [
        ((None, MeanSquared(), SGD()), {}, "model=None is no Layer; give an object such as dc.Sequential"),
        ((Linear, MeanSquared(), SGD()), {}, "model=<class .* is no Layer"),
        (
            (Linear(2, 1), MeanSquared, SGD()),
            {},
            "loss=<class .* is no Loss; give an object such as dc.Cross",
        ),
        ((Linear(2, 1), "mse", SGD()), {}, "loss='mse' is no Loss"),
        ((Linear(2, 1), SGD(), MeanSquared()), {}, "loss=SGD.* is no Loss"),
        ((Linear(2, 1), MeanSquared(), "adam"), {}, "optimizer='adam' is no Optimizer"),
        ((Linear(2, 1), MeanSquared(), Adam), {}, "optimizer=<class .* is no Optimizer; give .* dc.Adam"),
        ((Linear(2, 1), MeanSquared(), SGD()), {"early_stopping": 3}, "early_stopping=3 is no EarlyStopping"),
        ((Linear(2, 1), MeanSquared(), SGD()), {"schedule": "cosine"}, "schedule='cosine' is no schedule"),
        ((Linear(2, 1), MeanSquared(), SGD()), {"schedule": OneCycle}, "schedule=<class .* is no schedule"),
        (
            (Linear(2, 1), MeanSquared(), SGD()),
            {"callbacks": Recorder()},
            r"is not a list; use callbacks=\[...\]",
        ),
        ((Linear(2, 1), MeanSquared(), SGD()), {"seed": None}, "seed=None is not a whole number"),
        ((Linear(2, 1), MeanSquared(), SGD()), {"seed": 1.5}, "seed=1.5 is not a whole number"),
        ((Linear(2, 1), MeanSquared(), SGD()), {"clip_norm": "1"}, "clip_norm='1' is not a number"),
    ],
)
def test_parts_that_were_mixed_up(parts, words, text):
    with pytest.raises(TypeError, match=f"Trainer: .*{text}"):
        Trainer(*parts, **words)


@pytest.mark.parametrize("epochs", [1.5, "3", None, True])
def test_epochs_are_counted(epochs):
    with pytest.raises(TypeError, match=r"Trainer.fit: epochs=.* is not a whole number"):
        Trainer(network(), CrossEntropy(), SGD()).fit((XF, Y), epochs=epochs)


def test_pictures_without_their_channel_axis():
    with pytest.raises(
        ValueError, match=r"without the batch axis that .* x\[:, None\] for a batch of one channel"
    ):
        Trainer(network(), CrossEntropy(), SGD()).fit((XF[:, 0], Y), epochs=1)


def test_settings_that_are_no_numbers():
    for use, text in [
        (lambda: SGD("0.1"), "SGD: learning_rate='0.1' is not a number"),
        (lambda: Adam(betas=0.9), "Adam: betas=0.9 is not two numbers"),
        (lambda: CrossEntropy("0.1"), "CrossEntropy: label_smoothing='0.1' is not a number"),
        (lambda: EarlyStopping("5"), "EarlyStopping: patience='5' is not a whole number"),
        (
            lambda: SGD().step(list(Linear(2, 1).parameters().values())),
            "SGD: parameters is list, not a mapping",
        ),
    ]:
        with pytest.raises(TypeError, match=text):
            use()
