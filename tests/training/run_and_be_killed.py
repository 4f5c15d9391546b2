"""A training run that says what it is at, for test_resume.py to kill: `run_and_be_killed.py FOLDER`.

It resumes from the folder's checkpoint, prints a word before each dangerous moment, and at the end writes
the model's arrays to final.npz. Everything that could spoil a resumed run takes part in it.
"""

import os
import sys
from pathlib import Path

import numpy as np

from deepconv.data import Affine, Compose, Noise
from deepconv.training import SGD, CrossEntropy, EarlyStopping, OneCycle, Trainer
from tests.training.small import network, pictures, scale


class Words:
    def on_batch_end(self, progress):
        print("batch", flush=True)

    def on_epoch_end(self, record):
        print("epoch", flush=True)


def train(folder, callbacks=(), seed=3):
    """Train for as long as early stopping lets it, from the folder's checkpoint if there is one."""
    model = network()
    x, y = pictures()
    held_x, held_y = pictures(40, seed=1)
    trainer = Trainer(
        model,
        CrossEntropy(label_smoothing=0.05),
        SGD(0.2, momentum=0.9, weight_decay=1e-3),
        schedule=OneCycle(),
        callbacks=callbacks,
        clip_norm=2.0,
        seed=seed,
        early_stopping=EarlyStopping(patience=6),
        checkpoint=Path(folder) / "run.ckpt",
    )
    augment = Compose(Affine(degrees=5, shift=0.3, fill=-0.5), Noise(0.05))
    history = trainer.fit(
        (scale(x), y), (scale(held_x), held_y), epochs=40, batch_size=16, augment=augment, resume=True
    )
    return model, history


def main():
    fsync = os.fsync

    def spoken(handle):  # between a written and a replaced checkpoint
        print("writing", flush=True)
        fsync(handle)

    os.fsync = spoken
    model, history = train(sys.argv[1], [Words()])
    np.savez(Path(sys.argv[1]) / "final.npz", **model.state())
    (Path(sys.argv[1]) / "final.json").write_text(history.to_json())


if __name__ == "__main__":
    main()
