"""PyTorch judges us on larger random cases than its own samples, and on what those leave out.

OpInfo's samples are a few pixels wide and pad with zeros. Here sizes are odd and unequal, strides don't
divide, padding may be wider than the kernel, and every padding mode has its gradients compared.
"""

import numpy as np
import pytest

import deepconv as dc
from tests.peers.conftest import peer

torch = peer("torch")
F = torch.nn.functional

CLOSE = {"rtol": 1e-10, "atol": 1e-10, "strict": True}
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate", "circular": "circular"}
RANDOM = [(rank, mode, seed) for rank in (1, 2, 3) for mode in MODES for seed in range(3)]
MORE = [pytest.param(r, m, s, marks=pytest.mark.full) for r, m, _ in RANDOM[::3] for s in range(3, 40)]


def tensor(array):
    return torch.from_numpy(array).requires_grad_()


def draw(seed, rank, *, transposed=False):
    """Draw arrays and words for one convolution that fits."""
    rng = np.random.default_rng([seed, rank, transposed])
    largest = {1: 41, 2: 17, 3: 8}[rank]
    image = tuple(int(n) for n in rng.integers(largest // 2, largest + 1, rank))
    kernel = tuple(int(rng.integers(1, min(6, n) + 1)) for n in image)
    words = {
        "stride": tuple(int(n) for n in rng.integers(1, 4, rank)),
        "dilation": tuple(
            int(rng.integers(1, max(1, (n - 1) // max(k - 1, 1)) + 1)) if k > 1 else 1
            for n, k in zip(image, kernel, strict=True)
        ),
        "groups": int(rng.integers(1, 4)),
    }
    words["dilation"] = tuple(min(d, 3) for d in words["dilation"])
    channels, filters = (words["groups"] * int(n) for n in rng.integers(1, 4, 2))
    shape = (channels, filters // words["groups"]) if transposed else (filters, channels // words["groups"])
    x = rng.standard_normal((int(rng.integers(1, 4)), channels, *image))
    weight = rng.standard_normal((*shape, *kernel))
    bias = rng.standard_normal(filters) if seed % 2 else None
    return rng, x, weight, bias, words


def torch_pads(pairs):
    return [int(n) for pair in reversed(pairs) for n in pair]


@pytest.mark.parametrize(("rank", "mode", "seed"), RANDOM + MORE)
def test_conv_with_every_padding_mode(rank, mode, seed):
    rng, x, weight, bias, words = draw(seed, rank)
    most = {"zeros": 7, "reflect": min(x.shape[2:]) - 1, "replicate": 7, "circular": min(x.shape[2:])}[mode]
    pairs = [(int(b), int(a)) for b, a in rng.integers(0, most + 1, (rank, 2))]
    xt, wt = tensor(x), tensor(weight)
    bt = None if bias is None else tensor(bias)
    padded = F.pad(xt, torch_pads(pairs), mode=MODES[mode])
    expected = (F.conv1d, F.conv2d, F.conv3d)[rank - 1](padded, wt, bt, **words)
    ours = {**words, "padding": pairs, "padding_mode": mode}
    np.testing.assert_allclose(dc.conv(x, weight, bias, **ours), expected.detach().numpy(), **CLOSE)
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(dc.conv_input_grad(dy, weight, x.shape, **ours), xt.grad.numpy(), **CLOSE)
    np.testing.assert_allclose(dc.conv_weight_grad(dy, x, weight.shape, **ours), wt.grad.numpy(), **CLOSE)
    if bias is not None:
        np.testing.assert_allclose(dc.conv_bias_grad(dy), bt.grad.numpy(), **CLOSE)


@pytest.mark.parametrize(
    ("rank", "seed"),
    [(r, s) for r in (1, 2, 3) for s in range(4)]
    + [pytest.param(r, s, marks=pytest.mark.full) for r in (1, 2, 3) for s in range(4, 60)],
)
def test_conv_transpose(rank, seed):
    rng, x, weight, bias, words = draw(seed, rank, transposed=True)
    steps = zip(words["stride"], words["dilation"], strict=True)
    words["output_padding"] = tuple(int(rng.integers(0, max(s, d))) for s, d in steps)
    words["padding"] = tuple(int(p) for p in rng.integers(0, 3, rank))
    natural = [
        (n - 1) * s + d * (k - 1) + 1 + e
        for n, k, s, d, e in zip(
            x.shape[2:],
            weight.shape[2:],
            words["stride"],
            words["dilation"],
            words["output_padding"],
            strict=True,
        )
    ]
    words["padding"] = tuple(min(p, (n - 1) // 2) for p, n in zip(words["padding"], natural, strict=True))
    xt, wt = tensor(x), tensor(weight)
    bt = None if bias is None else tensor(bias)
    expected = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1](xt, wt, bt, **words)
    np.testing.assert_allclose(
        dc.conv_transpose(x, weight, bias, **words), expected.detach().numpy(), **CLOSE
    )
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    dx = dc.conv_transpose_input_grad(dy, weight, x.shape, **words)
    np.testing.assert_allclose(dx, xt.grad.numpy(), **CLOSE)
    dw = dc.conv_transpose_weight_grad(dy, x, weight.shape, **words)
    np.testing.assert_allclose(dw, wt.grad.numpy(), **CLOSE)
    if bias is not None:
        np.testing.assert_allclose(dc.conv_transpose_bias_grad(dy), bt.grad.numpy(), **CLOSE)


def draw_window(rng, rank):
    """Draw an image and a window over it that PyTorch accepts."""
    image = tuple(int(n) for n in rng.integers(5, (40, 19, 9)[rank - 1], rank))
    kernel = tuple(int(k) for k in rng.integers(1, 5, rank))
    words = {
        "stride": tuple(int(s) for s in rng.integers(1, 5, rank)),
        "padding": tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel),
        "ceil_mode": bool(rng.integers(2)),
    }
    return rng.standard_normal((2, 3, *image)), kernel, words


POOLINGS = [(rank, seed) for rank in (1, 2, 3) for seed in range(8)]
POOLINGS += [pytest.param(rank, seed, marks=pytest.mark.full) for rank in (1, 2, 3) for seed in range(8, 200)]


@pytest.mark.parametrize(("rank", "seed"), POOLINGS)
def test_avg_pool(rank, seed):
    rng = np.random.default_rng([seed, rank])
    x, kernel, words = draw_window(rng, rank)
    words["count_include_pad"] = bool(rng.integers(2))
    if rank > 1 and rng.integers(4) == 0:
        words["divisor_override"] = int(rng.integers(1, 9))
    xt = tensor(x)
    expected = getattr(F, f"avg_pool{rank}d")(xt, kernel, **words)
    np.testing.assert_allclose(dc.avg_pool(x, kernel, **words), expected.detach().numpy(), **CLOSE)
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(dc.avg_pool_input_grad(dy, x.shape, kernel, **words), xt.grad.numpy(), **CLOSE)


@pytest.mark.parametrize(("rank", "seed"), POOLINGS)
def test_max_pool(rank, seed):
    rng = np.random.default_rng([seed, rank])
    x, kernel, words = draw_window(rng, rank)
    words["dilation"] = tuple(int(d) for d in rng.integers(1, 3, rank))
    spans = [d * (k - 1) + 1 for d, k in zip(words["dilation"], kernel, strict=True)]
    if any(n + 2 * p < s for n, p, s in zip(x.shape[2:], words["padding"], spans, strict=True)):
        words["dilation"] = 1
    xt = tensor(x)
    expected, where = getattr(F, f"max_pool{rank}d")(xt, kernel, **words, return_indices=True)
    np.testing.assert_array_equal(dc.max_pool(x, kernel, **words), expected.detach().numpy(), strict=True)
    np.testing.assert_array_equal(dc.max_pool_indices(x, kernel, **words), where.numpy(), strict=True)
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    np.testing.assert_allclose(dc.max_pool_input_grad(dy, x, kernel, **words), xt.grad.numpy(), **CLOSE)


@pytest.mark.parametrize("kind", ["avg", "max"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_adaptive_pooling_where_windows_overlap(rng, rank, kind):
    x = rng.standard_normal((2, 3, *(23, 17, 7)[:rank]))
    size = (9, 5, 8)[:rank]  # the last one is larger than the image
    xt = tensor(x)
    expected = getattr(F, f"adaptive_{kind}_pool{rank}d")(xt, size)
    ours = getattr(dc, f"adaptive_{kind}_pool")(x, size)
    np.testing.assert_allclose(ours, expected.detach().numpy(), **CLOSE)
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    dx = getattr(dc, f"adaptive_{kind}_pool_input_grad")(dy, x.shape if kind == "avg" else x, size)
    np.testing.assert_allclose(dx, xt.grad.numpy(), **CLOSE)


def test_max_pool_takes_the_winner_that_pytorch_takes(rng):
    """Ties go to the first, and NaN wins."""
    x = rng.integers(0, 3, (2, 3, 9, 11)).astype(float)
    x[0, 1, 4, 5] = np.nan
    expected, where = F.max_pool2d(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    words = {"stride": 2, "padding": 1}
    np.testing.assert_array_equal(dc.max_pool(x, 3, **words), expected.numpy())
    np.testing.assert_array_equal(dc.max_pool_indices(x, 3, **words), where.numpy())


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_lp_pool(rng, rank, p):
    x = rng.uniform(0.1, 2, (2, 3, *(17, 11, 6)[:rank]))  # PyTorch raises signed numbers to odd powers
    kernel, stride = (3, 4, 2)[:rank], (2, 3, 1)[:rank]
    xt = tensor(x)
    theirs = (kernel[0], stride[0]) if rank == 1 else (kernel, stride)
    expected = getattr(F, f"lp_pool{rank}d")(xt, p, *theirs)
    np.testing.assert_allclose(dc.lp_pool(x, kernel, p=p, stride=stride), expected.detach().numpy(), **CLOSE)
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    dx = dc.lp_pool_input_grad(dy, x, kernel, p=p, stride=stride)
    np.testing.assert_allclose(dx, xt.grad.numpy(), **CLOSE)


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_upsample(rng, rank, mode):
    """OpInfo's interpolations all have fractional scales; ours are whole."""
    x = rng.standard_normal((2, 3, *(5, 7, 4)[:rank]))
    scale = (3, 2, 4)[:rank]
    theirs = mode if mode == "nearest" else ("linear", "bilinear", "trilinear")[rank - 1]
    xt = tensor(x)
    expected = F.interpolate(xt, scale_factor=scale, mode=theirs)
    np.testing.assert_allclose(dc.upsample(x, scale, mode=mode), expected.detach().numpy(), **CLOSE)
    dy = rng.standard_normal(tuple(expected.shape))
    expected.backward(torch.from_numpy(dy))
    dx = dc.upsample_input_grad(dy, x.shape, scale, mode=mode)
    np.testing.assert_allclose(dx, xt.grad.numpy(), **CLOSE)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_col2im_is_fold(rng, rank):
    image, kernel = (9, 8, 5)[:rank], (3, 2, 2)[:rank]
    words = {"stride": (2, 1, 1)[:rank], "padding": (1, 2, 0)[:rank], "dilation": (1, 2, 1)[:rank]}
    x = rng.standard_normal((2, 3, *image))
    columns = dc.im2col(x, kernel, **words)
    if rank == 2:
        theirs = F.fold(torch.from_numpy(columns.swapaxes(1, 2)), image, kernel, **words)
        np.testing.assert_allclose(dc.col2im(columns, image, kernel, **words), theirs.numpy(), **CLOSE)
    identity = np.eye(3 * int(np.prod(kernel))).reshape(-1, 3, *kernel)  # a filter that picks one cell
    theirs = (F.conv1d, F.conv2d, F.conv3d)[rank - 1](
        torch.from_numpy(x), torch.from_numpy(identity), **words
    )
    np.testing.assert_allclose(columns.swapaxes(1, 2), theirs.flatten(2).numpy(), **CLOSE)


def test_batch_statistics(rng):
    x = rng.standard_normal((4, 3, 5, 6)) * 2 + 1
    var, mean = torch.var_mean(torch.from_numpy(x), (0, 2, 3), correction=0)
    ours = dc.batch_statistics(x)
    np.testing.assert_allclose(ours[0], mean.numpy(), **CLOSE)
    np.testing.assert_allclose(ours[1], var.numpy(), **CLOSE)


@pytest.mark.parametrize(("name", "words"), [
    ("relu", {}),
    ("leaky_relu", {"negative_slope": 0.2}),
    ("gelu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("silu", {}),
    ("sigmoid", {}),
    ("tanh", {}),
    ("softmax", {}),
    ("log_softmax", {}),
])  # fmt: skip
def test_activations_far_from_zero(name, words):
    """Where exponentials overflow; OpInfo stays near zero. No warning may be raised either."""
    x = np.array([[-1e4, -800.0, -40.0, -6.5, -1e-9, 0.0, 1e-9, 0.3, 5.5, 38.0, 710.0, 1e4]])
    xt = tensor(x)
    expected = getattr(F, name)(xt, **({"dim": 1} if "softmax" in name else words))
    np.testing.assert_allclose(
        getattr(dc, name)(x, **words), expected.detach().numpy(), rtol=1e-12, atol=1e-300
    )
    dy = np.linspace(-1.0, 2.0, x.size).reshape(x.shape)
    expected.backward(torch.from_numpy(dy))
    dx = getattr(dc, f"{name}_input_grad")(dy, x, **words)
    np.testing.assert_allclose(dx, xt.grad.numpy(), rtol=1e-11, atol=1e-15)
