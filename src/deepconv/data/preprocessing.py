"""What is done to a picture before a network sees it, kept in the model file as plain data.

A preprocessing is a list of steps, each `{"step": name, …settings}`: JSON, so that a model file holds no
code. `STEPS` is the table of what the names mean; each step takes an array and returns an array.
`DIGITS` turns any picture of one digit into what the UCI digits are: 8 × 8 counts of ink;
`photograph_steps` writes the steps that turn any photograph into numbers of one size.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deepconv.arrays import Array
from deepconv.data.photographs import cover, grey, standardise
from deepconv.geometry import whole_number

__all__ = ["DIGITS", "STEPS", "check_steps", "photograph_steps", "preprocess", "run_steps"]

Step = Callable[..., Array]

STEPS: dict[str, Step] = {"cover": cover, "grey": grey, "standardise": standardise}
"""The steps by name; a new one is a function in this file with `@_step` above it, or one in `photographs`."""

DIGITS: list[dict[str, Any]] = [
    {"step": "ink", "least_contrast": 0.08},
    {"step": "largest_parts", "share": 0.08},
    {"step": "crop"},
    {"step": "upright", "slant": 0.1},
    {"step": "crop"},
    {"step": "fit", "height": 128, "width": 80, "least_stretch": 0.5},
    {"step": "thicken", "ink": 0.34, "most": 12},
    {"step": "block_means", "size": [8, 8]},
]
"""From any picture of a digit to `(1, 8, 8)`, shares of ink from 0 to 1, as UCI's digits divided by 16."""

# What a model file, which may be a stranger's, can make this do.
_LARGEST = 4096
_MOST_STEPS = 100

# Settings that are lists: how many numbers they hold, at least and at most. All others are one number.
_LISTS = {"size": (2, 2), "mean": (1, 4), "std": (1, 4)}
_LEAST_STD = 1e-4


def preprocess(picture: Array, steps: Sequence[Mapping[str, Any]]) -> Array:
    """Run a picture through the steps of a model file.

    Args:
        picture: `(height, width, channels)`, values from 0 to 1.
        steps: what `check_steps` accepts.

    Returns:
        What the last step gives, as float32 with a channel axis in front: `(C, H, W)`.

    Raises:
        ValueError: a step is unknown or badly set, or the picture shows nothing.

    Example:
        >>> page = np.ones((40, 60, 3), dtype=np.float32)
        >>> page[10:30, 20:26] = 0.1
        >>> preprocess(page, DIGITS).shape
        (1, 8, 8)
    """
    check_steps(steps)
    return run_steps(picture, steps)


def run_steps(picture: Array, steps: Sequence[Mapping[str, Any]]) -> Array:
    """Run a picture through steps that `check_steps` has accepted; see `preprocess`.

    Args:
        picture: `(height, width, channels)`, values from 0 to 1.
        steps: the steps, in order.

    Returns:
        What the last one gives, `(C, H, W)` float32.

    Example:
        >>> run_steps(np.ones((9, 6, 3), np.float32), photograph_steps((4, 4), 1)).shape
        (1, 4, 4)
    """
    for step in steps:
        settings = {name: value for name, value in step.items() if name != "step"}
        picture = STEPS[step["step"]](picture, **settings)
    array = np.asarray(picture, dtype=np.float32)
    return array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)


def photograph_steps(
    size: tuple[int, int],
    channels: int = 3,
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> list[dict[str, Any]]:
    """Write the steps that prepare a photograph, as plain JSON.

    The picture is shrunk or enlarged, in proportion, until it just covers the size, and its centre is cut
    out: things keep their shape, the whole size is filled, and what is lost is the border, where what a
    photograph is of seldom stands.

    Args:
        size: height and width of the result.
        channels: 3 for colour, 1 for grey.
        mean: of each channel over the training part, values from 0 to 1; None leaves values as they are.
        std: the standard deviation of each channel; with `mean`.

    Returns:
        the steps, which `check_steps` accepts.

    Raises:
        ValueError: a size, the channels or the statistics can't be.

    Example:
        >>> [step["step"] for step in photograph_steps((32, 32), 1, mean=[0.4], std=[0.2])]
        ['cover', 'grey', 'standardise']
    """
    lengths = [whole_number(length) for length in size] if isinstance(size, Sequence) else []
    if len(lengths) != 2 or None in lengths:
        raise ValueError(f"photograph_steps: size={size!r:.100} is not (height, width); use (64, 64), say")
    if channels not in (1, 3):
        raise ValueError(f"photograph_steps: channels={channels!r} is neither 1 (grey) nor 3 (colour)")
    if (mean is None) != (std is None):
        raise ValueError("photograph_steps: mean and std come together; give both or neither")
    steps: list[dict[str, Any]] = [{"step": "cover", "size": lengths}]
    if channels == 1:
        steps.append({"step": "grey"})
    if mean is not None and std is not None:
        if len(mean) != channels or len(std) != channels:
            raise ValueError(
                f"photograph_steps: mean={list(mean)} and std={list(std)} must have one number per channel, "
                f"{channels}"
            )
        steps.append({"step": "standardise", "mean": [*map(float, mean)], "std": [*map(float, std)]})
    check_steps(steps)
    return steps


def check_steps(steps: Any) -> None:
    """Refuse a preprocessing that this version can't run, before any picture is read.

    Args:
        steps: a list of mappings, each with `step`, a name in `STEPS`, and that step's settings.

    Raises:
        ValueError: it is not such a list; the text says which step and why.

    Example:
        >>> check_steps(DIGITS)
        >>> check_steps([{"step": "wash"}])
        Traceback (most recent call last):
        ValueError: preprocessing: step 1 is 'wash', which is unknown; known are: block_means, cover, crop, ...
    """
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        raise ValueError(f"preprocessing: expected a list of steps, got {type(steps).__name__}")
    if len(steps) > _MOST_STEPS:
        raise ValueError(f"preprocessing: {len(steps)} steps, more than {_MOST_STEPS}")
    for number, step in enumerate(steps, 1):
        name = step.get("step") if isinstance(step, Mapping) else None
        if not isinstance(name, str) or name not in STEPS:
            known = ", ".join(sorted(STEPS))
            raise ValueError(
                f"preprocessing: step {number} is {name!r}, which is unknown; known are: {known}"
            )
        _check_settings(f"preprocessing: step {number} ({name})", STEPS[name], step)


def _check_settings(where: str, function: Step, step: Mapping[str, Any]) -> None:
    """Each setting must exist, each one without a default be there, each value be a bounded number."""
    allowed = list(inspect.signature(function).parameters.values())[1:]
    given = set(step) - {"step"}
    names = [setting.name for setting in allowed]
    required = {setting.name for setting in allowed if setting.default is setting.empty}
    if given - set(names) or required - given:
        raise ValueError(f"{where}: settings {sorted(map(str, given))} don't match; it takes {names}")
    for name in given:
        shown = f"{name}={step[name]!r:.100}"
        least, most = _LISTS.get(name, (0, 0))
        if isinstance(step[name], list) != bool(most) or (most and not least <= len(step[name]) <= most):
            wanted = f"{least} whole" if least == most else f"{least} to {most}"
            raise ValueError(f"{where}: {shown} must be {f'{wanted} numbers' if most else 'one number'}")
        values = step[name] if most else [step[name]]
        if not all(type(v) in (int, float) and 0 <= v <= _LARGEST for v in values):
            raise ValueError(f"{where}: {shown} is not a number from 0 to {_LARGEST}")
        if name in {"height", "width", "size", "most"} and not all(type(v) is int and v >= 1 for v in values):
            raise ValueError(f"{where}: {shown} must be whole and at least 1")
        if name == "std" and min(values) < _LEAST_STD:
            raise ValueError(f"{where}: {shown} must be at least {_LEAST_STD}")


def _step(function: Step) -> Step:
    STEPS[function.__name__] = function
    return function


@_step
def ink(picture: Array, least_contrast: float = 0.08) -> Array:
    """Tell ink from paper: how far each pixel is from the paper's colour.

    The paper is the median colour of the picture's border, so dark on white and white on dark are the same
    to this step, and so are colours. 1 is the strongest ink, barring a handful of pixels that may be noise.

    Args:
        picture: `(H, W)` or `(H, W, channels)`, values from 0 to 1.
        least_contrast: below this distance between paper and ink, nothing is drawn.

    Returns:
        `(H, W)`, 0 for paper to 1 for ink.

    Raises:
        ValueError: nothing stands out from the paper.

    Example:
        >>> ink(np.array([[0.9, 0.9, 0.9], [0.9, 0.1, 0.9], [0.9, 0.9, 0.9]])).round(1)[1].tolist()
        [0.0, 1.0, 0.0]
    """
    colours = picture if picture.ndim == 3 else picture[..., None]
    border = np.concatenate([colours[0], colours[-1], colours[:, 0], colours[:, -1]])
    distance = np.abs(colours - np.median(border, axis=0)).max(axis=-1)
    strongest = max(1, distance.size // 10_000)
    full = float(np.partition(distance, -strongest, axis=None)[-strongest])
    if full < least_contrast:
        raise ValueError(
            f"nothing stands out from the background (contrast {full:.2f}, less than {least_contrast})"
        )
    share: Array = np.minimum(distance / full, 1.0)
    return share


@_step
def largest_parts(picture: Array, share: float = 0.08) -> Array:
    """Remove specks: blank every connected part that is small beside the largest.

    Args:
        picture: ink `(H, W)`, 0 to 1; a pixel counts as drawn from 0.5 on.
        share: keep parts with at least this share of the largest part's pixels.

    Returns:
        `(H, W)`, with nothing left but those parts and the soft edge around them.

    Example:
        >>> largest_parts(np.array([[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 1]]), share=0.5).tolist()
        [[1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]]
    """
    labels = _connected(picture >= 0.5)
    areas = np.bincount(labels.ravel())
    areas[0] = 0
    kept = (areas >= share * areas.max(initial=1))[labels] & (labels > 0)
    for _ in range(2):
        kept = _grown(kept)
    return np.where(kept, picture, np.zeros_like(picture))


def _connected(drawn: Array) -> Array:
    """Number the connected parts of a mask (diagonals touch): 0 is outside, parts share a positive number."""
    height, width = drawn.shape
    label = np.pad(np.arange(1, drawn.size + 1).reshape(height, width) * drawn, 1).ravel()
    flat = np.flatnonzero(label)
    around = [dy * (width + 2) + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    number = np.zeros(label.size, dtype=np.int64)
    number[flat] = np.arange(1, flat.size + 1)
    parent = np.arange(flat.size + 1)
    pairs = np.concatenate([np.stack([number[flat], number[flat + step]]) for step in around[4:]], axis=1)
    pairs = pairs[:, pairs[1] > 0]
    while True:  # join the trees that a pair connects, then shorten the trees, until all pairs agree
        roots = parent[pairs]
        differ = roots[0] != roots[1]
        if not differ.any():
            break
        roots = roots[:, differ]
        np.minimum.at(parent, roots.max(axis=0), roots.min(axis=0))
        while not np.array_equal(shorter := parent[parent], parent):
            parent = shorter
    labels: Array = parent[number].reshape(height + 2, width + 2)[1:-1, 1:-1]
    return labels


def _grown(mask: Array) -> Array:
    """A mask and its four neighbours' cells."""
    wide = np.pad(mask, 1)
    middle = wide[1:-1, 1:-1]
    grown: Array = middle | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    return grown


@_step
def crop(picture: Array, least: float = 0.25) -> Array:
    """Cut out the smallest rectangle that holds all ink.

    Args:
        picture: ink `(H, W)`, 0 to 1.
        least: what counts as ink; less than a half, as the edge of a shrunk stroke is faint.

    Returns:
        `(h, w)`, at least one pixel.

    Raises:
        ValueError: there is no ink.

    Example:
        >>> crop(np.array([[0, 0, 0], [0, 1, 0], [0, 1, 0]])).tolist()
        [[1], [1]]
    """
    rows = np.flatnonzero((picture >= least).any(axis=1))
    columns = np.flatnonzero((picture >= least).any(axis=0))
    if not rows.size:
        raise ValueError(f"no ink of at least {least} is left to cut out")
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@_step
def upright(picture: Array, slant: float) -> Array:
    """Shear a figure that leans further than `slant` back until it leans just so far.

    How far it leans is the slope of column against row, fitted to the ink by least squares.

    Args:
        picture: ink `(H, W)`, 0 to 1.
        slant: columns per row; UCI's digits stay within about 0.2.

    Returns:
        `(H, W + margin)`.

    Example:
        >>> upright(np.eye(5), slant=0.0).sum(axis=0).round(1).max()
        np.float64(5.0)
    """
    weight = np.asarray(picture, dtype=np.float64)
    height, width = weight.shape
    total = max(float(weight.sum()), 1e-9)
    rows, columns = np.arange(height)[:, None], np.arange(width)
    rows = rows - (weight * rows).sum() / total
    columns = columns - (weight * columns).sum() / total
    lean = float((weight * rows * columns).sum() / max(float((weight * rows**2).sum()), 1e-9))
    excess = float(np.clip(lean - np.clip(lean, -slant, slant), -2.0, 2.0))
    margin = int(np.ceil(abs(excess) * height)) + 1
    wide = np.pad(weight, ((0, 0), (margin, margin + 1)))
    source = np.clip(np.arange(width + 2 * margin) + rows * excess, 0, width + 2 * margin - 1e-6)
    left = source.astype(np.intp)
    share = source - left
    row = np.arange(height)[:, None]
    sheared: Array = wide[row, left] * (1 - share) + wide[row, left + 1] * share
    return sheared


@_step
def fit(picture: Array, height: int, width: int, least_stretch: float = 0.35) -> Array:
    """Stretch ink to fill `height` × `width`, centred in a square.

    A narrow figure such as a 1 is not stretched into a slab: where height times the picture's own
    proportion is less than `least_stretch` times `height`, its width stays in proportion to its height.

    Args:
        picture: ink `(h, w)`, 0 to 1.
        height: rows of the result, and its columns too.
        width: columns that the ink fills.
        least_stretch: the proportion, width over height, from which a figure fills the width.

    Returns:
        `(height, height)`, 0 to 1.

    Example:
        >>> fit(np.ones((4, 2)), 8, 4).sum(axis=1).tolist()
        [4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0]
    """
    tall, wide = picture.shape
    proportion = wide / tall
    columns = width
    if proportion < least_stretch:
        columns = max(1, min(width, round(height * proportion)))
    rows = _resample(tall, height)
    stretched = rows @ np.asarray(picture, dtype=np.float64) @ _resample(wide, columns).T
    result = np.zeros((height, max(height, width)))
    left = (result.shape[1] - columns) // 2
    result[:, left : left + columns] = stretched
    return result


def _resample(old: int, new: int) -> Array:
    """Weights `(new, old)` that stretch or shrink a line: linear between pixels, averaging when shrinking."""
    centre = (np.arange(new) + 0.5) * (old / new) - 0.5
    reach = max(1.0, old / new)
    weights = np.maximum(0.0, 1.0 - np.abs(np.arange(old)[None] - centre[:, None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights


@_step
def thicken(picture: Array, ink: float, most: int = 12) -> Array:
    """Make ink black or white, then thicken or thin the strokes until a share of the picture is ink.

    NIST's programs did the same to the digits of UCI.

    Args:
        picture: ink `(H, W)`, 0 to 1. Pixels from 0.5 on are ink, and fainter ones too while ink is short:
            a hairline that was shrunk has faint pixels only.
        ink: the share of ones to come close to.
        most: at most so many pixels are added to or taken from each side of a stroke.

    Returns:
        `(H, W)` of 0 and 1.

    Example:
        >>> line = np.zeros((9, 9))
        >>> line[:, 4] = 1
        >>> thicken(line, ink=0.3).sum(axis=1)[:3].tolist()
        [3.0, 3.0, 3.0]
    """
    mask = picture >= np.clip(np.quantile(picture, 1.0 - min(ink, 1.0)), 0.03, 0.5)
    target = ink * mask.size
    grow = mask.sum() < target
    for _ in range(most):
        changed = _grown(mask) if grow else ~_grown(~mask)
        if not changed.any() or abs(changed.sum() - target) >= abs(mask.sum() - target):
            break
        mask = changed
    filled: Array = mask.astype(np.float64)
    return filled


@_step
def block_means(picture: Array, size: Sequence[int]) -> Array:
    """Shrink to `size` by the mean of each block.

    Args:
        picture: `(H, W)`; each side a multiple of the size asked for.
        size: rows and columns of the result.

    Returns:
        `(rows, columns)`.

    Raises:
        ValueError: the sides are no such multiples.

    Example:
        >>> block_means(np.arange(16).reshape(4, 4), [2, 2]).tolist()
        [[2.5, 4.5], [10.5, 12.5]]
    """
    rows, columns = size
    height, width = picture.shape
    if height % rows or width % columns:
        raise ValueError(
            f"block_means: size={[rows, columns]} does not divide the picture's {height}x{width}"
        )
    return np.asarray(picture.reshape(rows, height // rows, columns, width // columns).mean(axis=(1, 3)))
