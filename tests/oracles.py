"""Plain-loop definitions of pooling, resampling and normalisation, in float64: slow, and obviously right."""

import itertools

import numpy as np


def window_cells(window, image):
    """Yield each place of a window with the cells it sees as (pixel or None where it is padding)."""
    for place in np.ndindex(*window.output_size(image)):
        corner = [o * s - b for o, s, (b, _) in zip(place, window.stride, window.padding, strict=True)]
        cells = []
        for cell in np.ndindex(*window.kernel):
            at = tuple(c + i * d for c, i, d in zip(corner, cell, window.dilation, strict=True))
            cells.append(at if all(0 <= a < n for a, n in zip(at, image, strict=True)) else None)
        yield place, cells


def counted_cells(window, image, place):
    """Return how many cells of a window count with padding: those within the padded image."""
    count = 0
    for cell in np.ndindex(*window.kernel):
        at = [o * s + i * d for o, s, i, d in zip(place, window.stride, cell, window.dilation, strict=True)]
        count += all(a < n for a, n in zip(at, window.padded_size(image), strict=True))
    return count


def adaptive_cells(image, output):
    """Yield each place of adaptive pooling with the pixels it sees."""
    for place in np.ndindex(*output):
        ranges = [
            range((i * n) // o, -((-(i + 1) * n) // o)) for i, n, o in zip(place, image, output, strict=True)
        ]
        yield place, list(itertools.product(*ranges))


def pooled(x, output, cells, reduce):
    """Apply `reduce(values, place)` to the pixels of every window of every plane of `x (N, C, *spatial)`."""
    y = np.empty((*x.shape[:2], *output))
    for n, c in np.ndindex(*x.shape[:2]):
        for place, seen in cells:
            y[(n, c, *place)] = reduce([float(x[(n, c, *at)]) for at in seen if at is not None], place)
    return y


def max_pool(x, window):
    """Largest pixel of each window; -inf where there is none."""
    image = x.shape[2:]
    cells = list(window_cells(window, image))
    return pooled(x, window.output_size(image), cells, lambda v, _: max(v, default=-np.inf))


def max_pool_indices(x, window):
    """Where the first largest pixel stands in its plane, row by row; -1 where there is none."""
    image = x.shape[2:]
    y = np.full((*x.shape[:2], *window.output_size(image)), -1)
    for n, c in np.ndindex(*x.shape[:2]):
        for place, seen in window_cells(window, image):
            best = None
            for at in seen:
                if at is not None and (best is None or x[(n, c, *at)] > x[(n, c, *best)]):
                    best = at
            if best is not None:
                y[(n, c, *place)] = np.ravel_multi_index(best, image)
    return y


def max_pool_input_grad(dy, x, window):
    """Give each window's dy to its first largest pixel."""
    dx = np.zeros(x.shape)
    indices = max_pool_indices(x, window)
    for n, c, *place in np.ndindex(*dy.shape):
        index = indices[(n, c, *place)]
        if index >= 0:
            dx[(n, c, *np.unravel_index(index, x.shape[2:]))] += dy[(n, c, *place)]
    return dx


def avg_pool(x, window, count_include_pad=True, divisor_override=None):
    """Sum of each window divided by its count of cells, of pixels, or by a given number."""
    image = x.shape[2:]

    def mean(values, place):
        count = counted_cells(window, image, place) if count_include_pad else len(values)
        return sum(values) / (divisor_override or max(count, 1))

    return pooled(x, window.output_size(image), list(window_cells(window, image)), mean)


def lp_pool(x, window, p):
    """p-norm of each window."""
    cells = list(window_cells(window, x.shape[2:]))
    output = window.output_size(x.shape[2:])
    return pooled(x, output, cells, lambda v, _: sum(abs(a) ** p for a in v) ** (1 / p))


def adaptive_avg_pool(x, output):
    """Mean of each adaptive window."""
    return pooled(x, output, list(adaptive_cells(x.shape[2:], output)), lambda v, _: sum(v) / len(v))


def adaptive_max_pool(x, output):
    """Largest pixel of each adaptive window."""
    return pooled(x, output, list(adaptive_cells(x.shape[2:], output)), lambda v, _: max(v))


def upsample(x, factors, mode):
    """Repeat each pixel, or interpolate between pixel centres, the outermost held beyond the edge."""
    image = x.shape[2:]
    y = np.zeros((*x.shape[:2], *(n * f for n, f in zip(image, factors, strict=True))))
    for place in np.ndindex(*y.shape[2:]):
        corners = []
        for o, n, f in zip(place, image, factors, strict=True):
            if mode == "nearest":
                corners.append([(o // f, 1.0)])
                continue
            at = min(max((o + 0.5) / f - 0.5, 0), n - 1)
            low = int(at)
            corners.append([(low, 1 - (at - low)), (min(low + 1, n - 1), at - low)])
        for chosen in itertools.product(*corners):
            weight = np.prod([w for _, w in chosen])
            y[(..., *place)] += weight * x[(..., *(i for i, _ in chosen))]
    return y


def normalised(x, sets, eps):
    """Bring each set of places (a list of index tuples) to mean 0 and variance 1."""
    y = np.empty(x.shape)
    for places in sets:
        values = [float(x[at]) for at in places]
        mean = sum(values) / len(values)
        var = sum((v - mean) ** 2 for v in values) / len(values)
        for at, v in zip(places, values, strict=True):
            y[at] = (v - mean) / (var + eps) ** 0.5
    return y


def sets_by(shape, key):
    """Return the places of an array in sets of equal `key(place)`."""
    sets = {}
    for at in np.ndindex(*shape):
        sets.setdefault(key(at), []).append(at)
    return list(sets.values())


def numeric_gradient(function, x, dy, step=1e-6):
    """Central differences of `sum(function(x) * dy)` with respect to every number of x."""
    dx = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        saved, values = x[at], []
        for sign in (1, -1):
            x[at] = saved + sign * step
            values.append(float((function(x) * dy).sum()))
        x[at] = saved
        dx[at] = (values[0] - values[1]) / (2 * step)
    return dx
