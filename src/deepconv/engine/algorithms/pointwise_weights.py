"""The gradient of the weights of a kernel of one cell, where its window stays inside the image: part of `direct`.

How it goes stands in kernels/pointwise_weights.py.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepconv.arrays import Array
from deepconv.engine import machine
from deepconv.engine.kernels import team, threads
from deepconv.engine.kernels.compile import library
from deepconv.engine.kernels.memory import plain
from deepconv.engine.kernels.workspace import scratch
from deepconv.engine.problem import Problem
from deepconv.engine.rates import rates, width

KERNELS = library("pointwise_weights")

_LINE = 64
_FACTS = 14
"""Numbers before the lists in the kernel's table."""

_REACHED = 0.95
"""The part of a register tile's rate that the products reach, measured on Zen 3."""


class Work(NamedTuple):
    """How one problem is cut up; the lists of its runs are made where it runs.

    Attributes:
        facts: what the kernel is told first, but for where its lists begin.
        starts: where the parts of scratch memory begin.
        by_rows: whether threads share the filters; the panels of channels, if not.
        tasks: tiles of filters, or panels of channels.
        rows: filters of a tile.
        panels: of channels.
        threads: how many take part.
        bytes: scratch memory of a thread.
        padded: channels in whole panels.
    """

    facts: tuple[int, ...]
    starts: tuple[int, ...]
    by_rows: bool
    tasks: int
    rows: int
    panels: int
    threads: int
    bytes: int
    padded: int


def _runs(problem: Problem) -> Array:
    """Return the runs of places, each with the place in x and in dy where it begins, and how many it has."""
    *outer, inner = problem.out
    *steps, _ = problem.window.stride
    x_image, dy_image = problem.in_channels * math.prod(problem.image), problem.out_channels * problem.places
    images = np.arange(problem.batch)
    if problem.out == problem.image:
        return np.stack([images * x_image, images * dy_image, np.full(len(images), problem.places)], 1)
    at = np.zeros((1, 1), np.int64)
    for size, step, image in zip(outer, steps, problem.image, strict=False):
        at = (at[:, :, None] * image + np.arange(size) * step).reshape(1, -1)
    x_at = (images[:, None] * x_image + at * problem.image[-1]).reshape(-1)
    dy_at = (images[:, None] * dy_image + np.arange(at.size) * inner).reshape(-1)
    return np.stack([x_at, dy_at, np.full(len(x_at), inner)], 1)


def _cut(runs: Array, take: int, chunks: int) -> tuple[Array, Array]:
    """Cut runs where a chunk ends; return them, and for each chunk its places, its first run and the one behind."""
    ends = np.cumsum(runs[:, 2])
    total = int(ends[-1])
    borders = np.array([total * i // chunks for i in range(chunks + 1)])
    marks = np.sort(np.concatenate([borders, ends]))
    marks = marks[np.append(True, np.diff(marks) > 0)]  # np.unique would import numpy.ma, 12 ms
    of = np.searchsorted(ends, marks[:-1], side="right")
    inside = marks[:-1] - (ends[of] - runs[of, 2])
    found = np.stack([runs[of, 0] + inside * take, runs[of, 1] + inside, np.diff(marks)], 1)
    first = np.searchsorted(marks, borders)
    return found, np.stack([np.diff(borders), first[:-1], first[1:]], 1)


def _serves(problem: Problem) -> bool:
    """Tell whether a problem is one for this: filters and channels enough, and no padding."""
    window, target = problem.window, machine.target()
    enough = (
        problem.in_channels * problem.dtype.itemsize >= 2 * target.vector_bytes
        and problem.out_channels >= 2 * target.rows
    )
    there = problem.batch * problem.places > 0
    return there and enough and window.taps == 1 and problem.groups == 1 and not any(map(any, window.padding))


@lru_cache(maxsize=512)
def work(problem: Problem) -> Work | None:
    """Return how a problem is computed, or None where it isn't one for this, or memory is short on one thread."""
    if not _serves(problem):
        return None
    for used in range(threads.worth(problem.threads, problem.flops // 2), 0, -1):
        found = _cut_for(problem, used)
        if found.bytes * found.threads <= problem.workspace_limit:
            return found
    return None


def _widths(problem: Problem) -> Array:
    """Return for each panel how many numbers it is wide: two vectors or `target.vectors`."""
    target = machine.target()
    lanes = target.vector_bytes // problem.dtype.itemsize
    vectors = -(-problem.in_channels // lanes)
    count = -(-vectors // target.vectors)
    return (vectors // count + (np.arange(count) < vectors % count)) * lanes


def _cut_for(problem: Problem, used: int) -> Work:
    """Return how a problem is cut for so many threads; chunks, and so the sums, are the same for any number."""
    target, item, caches = machine.target(), problem.dtype.itemsize, machine.caches()
    rows, filters = target.rows, problem.out_channels
    take = problem.window.stride[-1] if problem.out != problem.image else 1
    deepest = caches.l1 // 2 // (target.vectors * target.vector_bytes)
    chunks = max(1, round(problem.batch * problem.places / deepest))
    widths, depth = _widths(problem), -(-problem.batch * problem.places // chunks)
    padded = int(widths.sum())

    by_rows = filters >= problem.in_channels
    tasks = -(-filters // rows) if by_rows else len(widths)
    used = min(used, tasks)
    share = -(-tasks // used)
    own_rows = share * rows if by_rows else -(-filters // rows) * rows
    own_lanes = padded if by_rows else int(np.sort(widths)[-share:].sum())
    strip = max(1, caches.l2 // 4 // (depth * item * rows)) * rows  # beside it comes the next one, asked for
    strip = -(-own_rows // rows // -(-own_rows // strip)) * rows
    picked = target.vectors * target.vector_bytes // item * depth * (take > 1)
    starts = [0]
    for part in (own_lanes * depth, strip * depth, picked, own_rows * own_lanes):
        starts.append(starts[-1] + -(-(part * item + 2 * target.vector_bytes) // _LINE) * _LINE)

    facts = (
        problem.in_channels,
        filters,
        math.prod(problem.image),
        problem.places,
        take,
        depth,
        strip,
        chunks,
    )
    return Work(facts, tuple(starts[:-1]), by_rows, tasks, rows, len(widths), used, starts[-1], padded)


@lru_cache(maxsize=512)
def _table(problem: Problem, found: Work) -> Array:
    """Return what the kernel is told: facts, and the lists of runs, chunks and panels."""
    *_, take, _, _, chunks = found.facts
    runs, cuts = _cut(_runs(problem), take, chunks)
    widths = _widths(problem)
    panels = np.stack([np.cumsum(widths) - widths, widths], 1)
    lists = (_FACTS + runs.size, _FACTS + runs.size + cuts.size)
    facts = np.array([*found.facts, *lists, *found.starts])
    return np.concatenate([facts, *(a.reshape(-1) for a in (runs, cuts, panels))]).astype(np.int64)


def cost(problem: Problem, found: Work) -> float:
    """Return the nanoseconds it takes: sums of whole tiles, operands packed, a skipping x read line by line."""
    rate, item, places = rates(), problem.dtype.itemsize, problem.batch * problem.places
    filters = -(-problem.out_channels // found.rows) * found.rows
    packed = 2 * places * (filters + found.padded) * item
    packed += (problem.out != problem.image) * math.prod(problem.x_shape) * item
    products = 2 * places * filters * found.padded / _REACHED
    return float(rate.call + products / rate.tile * width(problem.dtype) + packed / rate.copy)


def weight_grad(problem: Problem, found: Work, dy: Array, x: Array) -> Array:
    """Return `dw` of `dy (N, K, *out)` and `x (N, C, *image)`."""
    dtype = problem.dtype
    dy, x, dw = plain(dy, dtype), plain(x, dtype), np.empty(problem.weight_shape, dtype)
    kernel, operands = KERNELS.pointwise_weight_grad[dtype], (dy, x, dw, _table(problem, found))

    def calls(first: int, stop: int, own: int) -> team.Calls:
        if found.by_rows:
            share = (first * found.rows, min(stop * found.rows, problem.out_channels), 0, found.panels)
        else:
            share = (0, problem.out_channels, first, stop)
        yield kernel, (*operands, own, *share)

    own = scratch(found.bytes), found.bytes
    team.run(calls, found.tasks, found.threads, own, multiply_adds=problem.flops // 2)
    return dw
