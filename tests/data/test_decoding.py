"""Batches straight from files: the same bytes for any number of threads, a few batches of memory, no thread left."""

import gc
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import deepconv as dc
from deepconv.data import Affine, ColourJitter, Compose, CutOut, Flip, Shift
from deepconv.data.batches import BatchSource
from deepconv.data.decoding import PictureBatches, picture_statistics, prepare_picture
from deepconv.data.folders import scan_folder
from deepconv.data.pictures import read_picture
from deepconv.data.preprocessing import photograph_steps, run_steps
from tests.data.photographs import make_folder

AUGMENT = Compose(
    Flip(),
    Shift(2, border="mirror"),
    Affine(degrees=10, scale=0.2, shift=1.5, border="mirror"),
    ColourJitter(0.2, 0.2, 0.2),
    CutOut(4, fill=0.5),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rng = np.random.default_rng(8)
    return scan_folder(make_folder(tmp_path_factory.mktemp("photos"), {"cat": 9, "dog": 4, "owl": 7}, rng))


def copied(folder, tmp_path):
    """The same pictures where they may be spoiled."""
    for row, name in enumerate(folder.files):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(folder.path(row).read_bytes())
    return scan_folder(tmp_path)


def raw(batches):
    return [tuple(array.tobytes() for array in batch) for batch in batches]


def decoders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("deepconv-decode")]


def test_every_picture_comes_once_with_its_own_label(folder):
    source = PictureBatches(folder, size=(8, 6), batch_size=6, shuffle=True)
    assert isinstance(source, BatchSource)
    assert len(source) == 4
    batches = list(source.epoch(3, 1))
    assert [len(y) for _, y in batches] == [6, 6, 6, 2]
    order = source.order(3, 1)
    assert sorted(order) == list(range(20))
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), folder.labels[order])
    x = np.concatenate([x for x, _ in batches])
    assert (x.shape, x.dtype) == ((20, 3, 8, 6), np.float32)
    for place, row in enumerate(order):
        np.testing.assert_array_equal(x[place], source.read(row))


@pytest.mark.parametrize(
    "settings", [{}, {"augment": AUGMENT, "mixup": 0.4, "balance": True, "shuffle": True}]
)
def test_the_bytes_are_the_same_for_any_number_of_threads(folder, tmp_path, settings):
    found = copied(folder, tmp_path)
    os.truncate(found.path(3), 60)
    found.path(12).unlink()
    results = []
    for workers in (0, 1, 2, 5):
        source = PictureBatches(
            found, size=(12, 9), batch_size=3, workers=workers, mean=[0.4] * 3, std=[0.2] * 3, **settings
        )
        results.append([raw(source.epoch(7, epoch)) for epoch in (0, 1, 2)])
        assert sorted(source.failed) == sorted([found.files[3], found.files[12]])
    assert results[0] == results[1] == results[2] == results[3]
    assert not settings or len({batches[0] for batches in results[0]}) == 3


def test_a_pictures_change_depends_on_seed_epoch_and_row_alone(folder):
    settings = {"size": (8, 8), "augment": AUGMENT, "shuffle": True}
    one, other = (
        PictureBatches(folder, batch_size=3, **settings),
        PictureBatches(folder, batch_size=20, **settings),
    )
    for epoch in (1, 2):
        x = np.concatenate([x for x, _ in one.epoch(5, epoch)])
        np.testing.assert_array_equal(x, next(iter(other.epoch(5, epoch)))[0])
    few = PictureBatches(folder, np.array([4, 11]), size=(8, 8), augment=AUGMENT)
    x = next(iter(other.epoch(5, 1)))[0]
    order = list(other.order(5, 1))
    np.testing.assert_array_equal(next(iter(few.epoch(5, 1)))[0], x[[order.index(4), order.index(11)]])


@pytest.mark.parametrize("settings", [{"augment": AUGMENT}, {"mixup": 0.4}, {"shuffle": True}], ids=str)
def test_every_seed_and_every_epoch_draws_anew(folder, settings):
    source = PictureBatches(folder, size=(8, 8), batch_size=10, **settings)
    drawn = {tuple(raw(source.epoch(seed, epoch))) for seed, epoch in [(5, 1), (5, 2), (6, 1), (5, 1)]}
    assert len(drawn) == 3
    if "mixup" in settings:
        drawn = []
        source.mixup = lambda x, y, rng, weight: drawn.append(rng.random()) or (x, y, weight)
        list(source.epoch(5, 1))
        assert len(drawn) == len(set(drawn)) == 2  # and so does every batch


def test_epoch_0_is_plain_and_in_order(folder):
    plain = PictureBatches(folder, size=(8, 8), batch_size=7)
    every = PictureBatches(folder, size=(8, 8), batch_size=7, augment=AUGMENT, mixup=1.0, shuffle=True)
    assert raw(every.epoch(1, 0)) == raw(plain.epoch(4, 0)) == raw(plain.epoch(4, 2))


def test_augmentation_comes_before_standardising(folder):
    seen = []

    def note(x, rng):
        seen.append((x.shape, float(x.min()), float(x.max())))
        return 1 - x

    plain = np.concatenate([x for x, _ in PictureBatches(folder, size=(8, 8)).epoch(0, 0)])
    source = PictureBatches(folder, size=(8, 8), augment=note, mean=[0.1, 0.2, 0.3], std=[0.5, 0.4, 0.3])
    changed = np.concatenate([x for x, _ in source.epoch(0, 1)])
    assert {shape for shape, _, _ in seen} == {(1, 3, 8, 8)}
    assert min(least for _, least, _ in seen) >= 0
    assert max(most for _, _, most in seen) <= 1
    mean, std = (np.float32(v).reshape(3, 1, 1) for v in ([0.1, 0.2, 0.3], [0.5, 0.4, 0.3]))
    np.testing.assert_allclose(changed, (1 - plain - mean) / std, rtol=1e-5, atol=1e-6)


def test_what_is_decoded_smaller_still_covers_the_size(tmp_path):
    stripes = np.zeros((640, 160, 3), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    Image.fromarray(stripes).save(tmp_path / "a.jpg", quality=95)
    steps = photograph_steps((20, 160))  # all of its columns, a few of its rows
    found = prepare_picture(tmp_path / "a.jpg", steps)
    np.testing.assert_array_equal(found, run_steps(read_picture(tmp_path / "a.jpg"), steps))
    assert found.std() > 0.4


def test_balance_gives_every_class_the_same_weight(folder):
    rows = np.array([0, 1, 2, 3, 9, 10, 13])  # 4, 2 and 1 of the classes
    source = PictureBatches(folder, rows, size=(4, 4), balance=True, batch_size=4)
    labels, weights = (np.concatenate(parts) for parts in list(zip(*source.epoch(0, 0), strict=True))[1:])
    totals = np.bincount(labels, weights)
    np.testing.assert_allclose(totals, totals.mean())
    assert weights.mean() == pytest.approx(1)
    source = PictureBatches(folder, rows[:-1], size=(4, 4), balance=True)  # of the third class is none here
    weights = np.concatenate([batch[2] for batch in source.epoch(0, 0)])
    np.testing.assert_allclose(weights, [0.75] * 4 + [1.5] * 2)


def test_mixup_blends_pictures_targets_and_weights_alike(folder):
    settings = {"size": (4, 4), "batch_size": 20, "balance": True, "workers": 0}
    x, labels, weight = next(iter(PictureBatches(folder, **settings).epoch(1, 1)))
    blended, y, w = next(iter(PictureBatches(folder, mixup=0.8, **settings).epoch(1, 1)))
    assert (y.shape, y.dtype) == ((20, 3), np.float32)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-6)
    for i in range(20):
        found = []
        for j in range(20):
            away = x[j] - x[i]
            share = float(np.vdot(blended[i] - x[i], away) / max(np.vdot(away, away), 1e-9))
            if i != j and np.allclose(x[i] + share * away, blended[i], atol=1e-5):
                target = np.eye(3)[labels[i]] * (1 - share) + np.eye(3)[labels[j]] * share
                np.testing.assert_allclose(y[i], target, atol=1e-4)
                np.testing.assert_allclose(w[i], weight[i] * (1 - share) + weight[j] * share, atol=1e-4)
                found.append(j)
        assert found


def test_a_file_that_vanishes_or_is_damaged_is_left_out_and_named(folder, tmp_path):
    found = copied(folder, tmp_path)
    source = PictureBatches(found, size=(8, 8), batch_size=5, workers=2)
    epoch = source.epoch(0, 1)
    first = next(epoch)
    found.path(18).unlink()
    found.path(19).write_text("no picture any more")
    rest = list(epoch)
    assert [len(first[1]), *(len(y) for _, y in rest)] == [5, 5, 5, 3]
    assert source.failed.pop(found.files[18]).startswith("no such file")
    assert source.failed.pop(found.files[19]).startswith("not a picture in a known format")
    assert source.failed == {}
    strict = PictureBatches(found, size=(8, 8), strict=True)
    with pytest.raises(ValueError, match=r"'owl/.*' can't be read: no such file; .*; strict refuses it"):
        list(strict.epoch(0, 1))


def test_a_stand_in_keeps_the_number_of_batches(folder, tmp_path):
    found = copied(folder, tmp_path)
    for row in (*range(3, 7), 18, 19):
        found.path(row).write_bytes(b"spoiled")
    source = PictureBatches(found, size=(8, 8), batch_size=2)
    labels = [y.tolist() for _, y in source.epoch(0, 1)]
    assert len(labels) == len(source)
    assert labels[1] == [0]  # its own second was spoiled
    assert labels[2] == labels[7 // 2 :][0][-1:]  # rows 4 and 5 are gone, 6 too: row 7 stands in
    assert labels[-1] == [0]  # after the last comes the first
    np.testing.assert_array_equal(list(source.epoch(0, 1))[2][0][0], source.read(7))
    evaluated = [y for _, y in source.epoch(0, 0)]
    assert sum(map(len, evaluated)) == 14  # and nothing counts twice where a model is judged


@pytest.mark.parametrize("epoch", [0, 1])
def test_where_no_picture_can_be_read_it_says_so(folder, tmp_path, epoch):
    found = copied(folder, tmp_path)
    for row in range(len(found)):
        found.path(row).unlink()
    with pytest.raises(
        ValueError, match=r"none of the 20 pictures can be read, such as 'cat/0\..*': no such file"
    ):
        list(PictureBatches(found, size=(8, 8), batch_size=8).epoch(0, epoch))
    assert decoders() == []


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_in_a_thread_reaches_the_caller_with_the_files_name(folder, workers):
    def fail(x, rng):
        raise ZeroDivisionError("augmented by nothing")

    source = PictureBatches(folder, size=(8, 8), augment=fail, workers=workers)
    with pytest.raises(RuntimeError, match=r"augment failed on 'cat/0\.\w+': augmented by nothing") as caught:
        list(source.epoch(0, 1))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    wider = PictureBatches(folder, size=(8, 8), augment=lambda x, rng: x[..., :-1], workers=workers)
    with pytest.raises(RuntimeError, match=r"augment failed on 'cat/0\.\w+': cannot reshape"):
        list(wider.epoch(0, 1))
    assert decoders() == []


def test_threads_stop_when_nobody_listens_any_more(folder):
    def slow(x, rng):
        time.sleep(0.02)
        return x

    source = PictureBatches(folder, size=(8, 8), batch_size=4, augment=slow, workers=3)
    epoch = source.epoch(0, 1)
    next(epoch)
    assert 1 <= len(decoders()) <= 3
    start = time.perf_counter()
    epoch.close()
    assert decoders() == []
    assert time.perf_counter() - start < 1
    epoch = source.epoch(0, 2)
    next(epoch)
    del epoch
    gc.collect()
    assert decoders() == []
    list(source.epoch(0, 3))
    assert decoders() == []


def test_threads_wait_two_batches_ahead(folder):
    seen = []
    source = PictureBatches(folder, size=(8, 8), batch_size=2, augment=lambda x, rng: seen.append(1) or x)
    epoch = source.epoch(0, 1)
    next(epoch)
    patience = time.monotonic() + 5
    while len(seen) < 6 and time.monotonic() < patience:
        time.sleep(0.01)
    time.sleep(0.1)  # in which they would go on
    assert len(seen) == 6
    assert len(list(epoch)) == 9


def test_two_epochs_at_once_do_not_disturb_each_other(folder):
    source = PictureBatches(folder, size=(8, 8), batch_size=3, shuffle=True)
    alone = [raw(source.epoch(1, epoch)) for epoch in (1, 2)]
    together = list(itertools.zip_longest(source.epoch(1, 1), source.epoch(1, 2)))
    assert [raw(part) for part in zip(*together, strict=True)] == alone


def test_a_batch_may_be_changed_without_changing_the_next(folder):
    source = PictureBatches(folder, size=(8, 8), batch_size=5)
    before = raw(source.epoch(0, 1))
    after = []
    for x, y in source.epoch(0, 1):
        after.append((x.tobytes(), y.tobytes()))
        x[...] = -1
        y[...] = -1
    assert after == before
    np.testing.assert_array_equal(folder.labels, scan_folder(folder.root).labels)


def test_what_it_depends_on_is_in_its_words(folder):
    def words(**settings):
        return repr(PictureBatches(folder, **{"size": (8, 8), **settings}))

    base = words()
    others = [
        {"size": (8, 9)}, {"channels": 1}, {"batch_size": 4}, {"augment": AUGMENT}, {"mixup": 0.2},
        {"shuffle": True}, {"balance": True}, {"mean": [0.5] * 3, "std": [0.5] * 3}, {"rows": np.arange(19)},
        {"rows": np.arange(20)[::-1]},
    ]  # fmt: skip
    assert len({base, *(words(**other) for other in others)}) == len(others) + 1
    assert words(workers=7) == base == words(rows=np.arange(20))
    assert "20 pictures" in base


@pytest.mark.parametrize(
    ("error", "settings", "message"),
    [
        (TypeError, {"batch_size": 1.5}, r"batch_size=1\.5 is not a whole number"),
        (ValueError, {"batch_size": 0}, "batch_size=0 is below 1"),
        (ValueError, {"workers": -1}, "workers=-1 is below 0"),
        (ValueError, {"channels": 4}, "channels=4 is neither 1"),
        (ValueError, {"mixup": -0.2}, r"Mixup: alpha=-0\.2"),
        (ValueError, {"rows": [0, 20]}, "rows go from 0 to 20, but the folder has 20 pictures"),
        (ValueError, {"rows": [-1]}, "rows go from -1 to -1"),
        (ValueError, {"rows": [0.5]}, r"rows has shape \(1,\) and dtype float64; give whole numbers"),
    ],
)
def test_refusals(folder, error, settings, message):
    with pytest.raises(error, match=message):
        PictureBatches(folder, **{"size": (8, 8), **settings})


def test_statistics_are_those_of_the_pictures(folder):
    rows = np.arange(3, 18)
    x = np.concatenate([x for x, _ in PictureBatches(folder, rows, size=(9, 7)).epoch(0, 0)]).astype(float)
    for workers in (0, 3):
        mean, std = picture_statistics(folder, rows, size=(9, 7), workers=workers)
        np.testing.assert_allclose(mean, x.mean(axis=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(std, x.std(axis=(0, 2, 3)), atol=1e-6)
    assert json.loads(json.dumps([mean, std])) == [mean, std]
    few = picture_statistics(folder, size=(9, 7), most=5)
    assert few == picture_statistics(folder, np.linspace(0, 19, 5).astype(int), size=(9, 7))
    standard = PictureBatches(folder, rows, size=(9, 7), mean=mean, std=std)
    x = np.concatenate([x for x, _ in standard.epoch(0, 0)])
    np.testing.assert_allclose([x.mean(), x.std()], [0, 1], atol=1e-4)


def test_pictures_of_one_colour_are_not_divided_by_nothing(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.new("L", (5, 5), 51).save(tmp_path / name / "1.png")
    assert picture_statistics(scan_folder(tmp_path), size=(4, 4), channels=1) == ([0.2], [0.01])


def test_a_network_trains_on_them(folder):
    mean, std = picture_statistics(folder, size=(8, 8))
    train = PictureBatches(
        folder, size=(8, 8), batch_size=8, mixup=0.1, balance=True, shuffle=True, mean=mean, std=std
    )
    check = PictureBatches(folder, size=(8, 8), batch_size=8, mean=mean, std=std)
    model = dc.Sequential(dc.Conv2d(3, 8, 3), dc.ReLU(), dc.Flatten(), dc.Linear(None, 3))
    history = dc.Trainer(model, dc.CrossEntropy(), dc.Adam(0.01)).fit(train, check, epochs=8)
    assert history[-1].validation_accuracy > 0.8
    assert decoders() == []


MEMORY = """
import resource, sys
import numpy as np
from deepconv.data.decoding import PictureBatches
from deepconv.data.folders import PictureFolder
from pathlib import Path
count, root = int(sys.argv[1]), Path(sys.argv[2])
labels = np.arange(count) % 2
folder = PictureFolder(root, ("a", "b"), ("one.jpg",) * count, labels, None, (), np.full((count, 2), 64), False)
source = PictureBatches(folder, size=(96, 96), batch_size=8, workers=2)
for x, y in source.epoch(0, 1):
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_is_that_of_a_few_batches_however_many_pictures(tmp_path, rng):
    pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 64)).save(tmp_path / "one.jpg")
    peaks = []
    for count in (64, 576):  # all of the latter are 64 MB
        command = [sys.executable, "-c", MEMORY, str(count), str(tmp_path)]
        peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert peaks[1] - peaks[0] < 8_000  # kilobytes


INTERRUPTED = """
import sys, time
from deepconv.data.decoding import PictureBatches
from deepconv.data.folders import scan_folder
def slow(x, rng):
    time.sleep(0.05)
    return x
source = PictureBatches(scan_folder(sys.argv[1]), size=(8, 8), batch_size=18, augment=slow)
try:
    for batch in source.epoch(0, 1):
        print("begun", flush=True)
        while True:
            time.sleep(0.1)
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_ends_the_program_at_once(folder):
    child = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(folder.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "begun\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=20)
    assert (out, err, child.returncode) == ("stopped\n", "", 0)
