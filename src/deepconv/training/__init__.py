"""Training: losses, optimizers, schedules, and the trainer that brings them together."""

from deepconv.training.callbacks import EpochLines, Progress
from deepconv.training.evaluation import evaluate
from deepconv.training.history import EpochRecord, History
from deepconv.training.losses import BinaryCrossEntropy, CrossEntropy, Huber, Loss, MeanSquared
from deepconv.training.optimizers import SGD, Adam, AdamW, Optimizer
from deepconv.training.schedules import Constant, Cosine, OneCycle, Schedule, StepDecay, WarmUp
from deepconv.training.stopping import EarlyStopping
from deepconv.training.trainer import Trainer, TrainingDiverged

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "EarlyStopping",
    "EpochLines",
    "EpochRecord",
    "History",
    "Huber",
    "Loss",
    "MeanSquared",
    "OneCycle",
    "Optimizer",
    "Progress",
    "Schedule",
    "StepDecay",
    "Trainer",
    "TrainingDiverged",
    "WarmUp",
    "evaluate",
]
