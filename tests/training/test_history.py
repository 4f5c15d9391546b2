"""The history survives its way through JSON, and early stopping reads it right."""

import io
import json

import pytest

from deepconv.training.callbacks import EpochLines, Progress, listeners
from deepconv.training.history import EpochRecord, History
from deepconv.training.stopping import EarlyStopping

RECORDS = [
    EpochRecord(1, 0.5, 0.75, 0.6, 0.7, 0.1, 1.25),
    EpochRecord(2, 0.1 + 0.2, None, None, None, 1e-7, 0.5),
]


def of(losses, metric="validation_loss"):
    return History([EpochRecord(i, 1.0, **{metric: value}) for i, value in enumerate(losses, 1)])


def test_json_keeps_every_bit():
    history = History(RECORDS, best_epoch=1)
    again = History.from_json(history.to_json())
    assert again == history
    assert list(again) == RECORDS
    assert again.best_epoch == 1
    assert again != History(RECORDS)
    assert json.loads(history.to_json())["epochs"][0]["validation_accuracy"] == 0.7


def test_columns():
    history = History(RECORDS)
    assert history.column("accuracy") == [0.75, None]
    assert (len(history), history[-1].epoch) == (2, 2)
    with pytest.raises(ValueError, match="name='speed' is not one of epoch, loss"):
        history.column("speed")


def change(**values):
    data = json.loads(History(RECORDS, best_epoch=1).to_json())
    data.update(values)
    return json.dumps(data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3", "the text is not a history, but int"),
        ("{}", "the text is not a history"),
        (change(epochs=[3]), "entry 1 is not the record of epoch 1"),
        (change(epochs=[{"epoch": 1}]), "entry 1 is not the record of epoch 1"),
        (History(RECORDS[1:]).to_json(), "entry 1 is not the record of epoch 1"),
        (change().replace("0.75", "NaN"), "epoch 1 has accuracy=nan, not a number"),
        (change().replace("1.25", "null"), "epoch 1 has seconds=None, not a number"),
        (change(best_epoch=3), "best_epoch=3 is not one of its 2 epochs"),
        (change(best_epoch=0), "best_epoch=0 is not one of its 2 epochs"),
        ("{", "Expecting"),
    ],
)
def test_what_is_no_history_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        History.from_json(text)


def test_the_best_epoch_is_the_first_of_the_lowest_loss():
    assert EarlyStopping().best_epoch(of([0.5, 0.3, 0.4, 0.3])) == 2
    assert EarlyStopping().best_epoch(History()) is None


def test_accuracy_counts_upwards():
    stopping = EarlyStopping(metric="validation_accuracy")
    assert stopping.best_epoch(of([0.5, 0.8, 0.7, 0.8], "validation_accuracy")) == 2


def test_a_gain_below_the_minimum_does_not_count():
    assert EarlyStopping(minimum_gain=0.1).best_epoch(of([0.5, 0.45, 0.41, 0.39, 0.35])) == 4


def test_patience():
    stopping = EarlyStopping(patience=2)
    assert [stopping.is_over(of([0.5, 0.3, 0.4, 0.35][:n])) for n in range(5)] == [False] * 4 + [True]
    assert not EarlyStopping(patience=None).is_over(of([0.1] + [0.5] * 100))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"patience": 0}, "patience=0 is below 1"),
        ({"metric": "loss"}, "metric='loss' is not one of validation_loss, validation_accuracy"),
        ({"minimum_gain": -1}, "minimum_gain=-1 is not"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**settings)


def test_lines():
    stream = io.StringIO()
    lines = EpochLines(stream)
    for record in RECORDS:
        lines.on_epoch_end(record)
    assert stream.getvalue() == (
        "epoch 1: loss 0.5, accuracy 75.00 %, validation loss 0.6, validation accuracy 70.00 %, "
        "learning rate 0.1, 1.2 s\n"
        "epoch 2: loss 0.3, learning rate 1e-07, 0.5 s\n"
    )


def test_progress_knows_how_much_is_done():
    assert Progress(1, 4, 0, 10).fraction == 0
    assert Progress(4, 4, 0, 10).fraction == 0.75  # resumed after three epochs
    assert Progress(3, 4, 5, 10, loss=0.1).fraction == 0.625
    assert Progress(4, 4, 10, 10, loss=0.1).fraction == 1


def test_a_callback_with_a_misspelt_event_is_refused():
    class Late:
        def on_epoch_finished(self, record):
            pass

    with pytest.raises(TypeError, match="has on_epoch_finished, but the events are on_fit_start"):
        listeners([Late()])
    with pytest.raises(TypeError, match="3 has none of on_fit_start"):
        listeners([3])
