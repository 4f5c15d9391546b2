"""PyTorch judges us by its own samples: every one it computes we compute, every one it refuses we refuse.

OpInfo is PyTorch's table of operators, each with sample inputs and error inputs, that its own test suite
runs on. The adapters below say PyTorch's words in ours and compute nothing: each takes a sample's
arguments and returns our outputs and a function from their gradient to the arguments' gradients, which
autograd's must equal. An adapter's parameters are named and ordered as PyTorch's function has them.
"""

import inspect
import itertools
import re
import warnings

import numpy as np
import pytest

import deepconv as dc
from tests.peers.conftest import peer

torch = peer("torch")
F = torch.nn.functional

CLOSE = {"rtol": 1e-9, "atol": 1e-11, "strict": True}


def spread(value, rank):
    """Give every axis its number, as PyTorch does with one number and with a sequence of one."""
    if isinstance(value, (tuple, list)):
        return value[0] if len(value) == 1 else tuple(value)
    return value if isinstance(value, str) else (value,) * rank


def batched(dy, rank):
    """Give dy its batch axis for the bias' gradient, which can't see from dy alone that it lacks one."""
    return dy if dy.ndim == rank + 2 else dy[None]


def convolution(rank):
    def adapter(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        words = {
            "stride": spread(stride, rank),
            "padding": spread(padding, rank),
            "dilation": spread(dilation, rank),
            "groups": groups,
        }

        def pullback(dy):
            grads = {
                "x": dc.conv_input_grad(dy, weight, x.shape, **words),
                "weight": dc.conv_weight_grad(dy, x, weight.shape, **words),
            }
            return grads if bias is None else {**grads, "bias": dc.conv_bias_grad(batched(dy, rank))}

        return dc.conv(x, weight, bias, **words), pullback

    return adapter


def transposed(rank):
    def adapter(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        words = {
            "stride": spread(stride, rank),
            "padding": spread(padding, rank),
            "dilation": spread(dilation, rank),
            "groups": groups,
        }
        extra = spread(output_padding, rank)

        def pullback(dy):
            grads = {
                "x": dc.conv_transpose_input_grad(dy, weight, x.shape, **words, output_padding=extra),
                "weight": dc.conv_transpose_weight_grad(dy, x, weight.shape, **words, output_padding=extra),
            }
            return (
                grads if bias is None else {**grads, "bias": dc.conv_transpose_bias_grad(batched(dy, rank))}
            )

        return dc.conv_transpose(x, weight, bias, output_padding=extra, **words), pullback

    return adapter


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    kernel = spread(kernel_size, 2)
    words = {"stride": spread(stride, 2), "padding": spread(padding, 2), "dilation": spread(dilation, 2)}
    columns = dc.im2col(x, kernel, **words)
    return columns.swapaxes(-1, -2), lambda dy: {
        "x": dc.col2im(dy.swapaxes(-1, -2), x.shape[-2:], kernel, **words)
    }


def pad(x, pad, mode="constant", value=None):
    pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]  # PyTorch counts from the last axis
    words = {"mode": "zeros" if mode == "constant" else mode}
    y = dc.pad(x, pairs, value=0 if value is None else value, **words)
    return y, lambda dy: {"x": dc.pad_input_grad(dy, x.shape, pairs, **words)}


def pooling_words(rank, kernel_size, stride, padding, ceil_mode, **others):
    kernel = spread(kernel_size, rank)
    kernel = (kernel,) * rank if isinstance(kernel, int) else kernel  # its length tells ours the rank
    stride = None if stride in (None, (), []) else spread(stride, rank)
    return kernel, {"stride": stride, "padding": spread(padding, rank), "ceil_mode": ceil_mode, **others}


def max_pool(rank):
    def adapter(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        kernel, words = pooling_words(
            rank, kernel_size, stride, padding, ceil_mode, dilation=spread(dilation, rank)
        )
        y = dc.max_pool(x, kernel, **words)
        outputs = (y, dc.max_pool_indices(x, kernel, **words)) if return_indices else y
        return outputs, lambda dy: {"x": dc.max_pool_input_grad(dy, x, kernel, **words)}

    return adapter


def avg_pool(rank):
    def adapter(
        x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        kernel, words = pooling_words(
            rank,
            kernel_size,
            stride,
            padding,
            ceil_mode,
            count_include_pad=count_include_pad,
            divisor_override=divisor_override,
        )
        return dc.avg_pool(x, kernel, **words), lambda dy: {
            "x": dc.avg_pool_input_grad(dy, x.shape, kernel, **words)
        }

    return adapter


def adaptive_size(x, output_size, rank):
    """Fill in what PyTorch leaves open with None: an axis that keeps its size."""
    sizes = (output_size,) * rank if isinstance(output_size, int) else tuple(output_size)
    return tuple(n if size is None else size for n, size in zip(x.shape[-rank:], sizes, strict=False))


def adaptive_avg_pool(rank):
    def adapter(x, output_size):
        size = adaptive_size(x, output_size, rank)
        return dc.adaptive_avg_pool(x, size), lambda dy: {
            "x": dc.adaptive_avg_pool_input_grad(dy, x.shape, size)
        }

    return adapter


def adaptive_max_pool(rank):
    def adapter(x, output_size, return_indices=False):
        size = adaptive_size(x, output_size, rank)
        y = dc.adaptive_max_pool(x, size)
        outputs = (y, dc.adaptive_max_pool_indices(x, size)) if return_indices else y
        return outputs, lambda dy: {"x": dc.adaptive_max_pool_input_grad(dy, x, size)}

    return adapter


def affine_grads(grads, weight, bias):
    return {
        name: g() for name, g in grads.items() if {"weight": weight, "bias": bias}.get(name, 0) is not None
    }


def batch_norm(x, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    stats = {"mean": None if training else running_mean, "var": None if training else running_var}
    return dc.batch_norm(x, weight, bias, **stats, eps=eps), lambda dy: affine_grads(
        {
            "x": lambda: dc.batch_norm_input_grad(dy, x, weight, **stats, eps=eps),
            "weight": lambda: dc.batch_norm_weight_grad(dy, x, **stats, eps=eps),
            "bias": lambda: dc.batch_norm_bias_grad(dy),
        },
        weight,
        bias,
    )


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    return dc.group_norm(x, num_groups, weight, bias, eps=eps), lambda dy: affine_grads(
        {
            "x": lambda: dc.group_norm_input_grad(dy, x, num_groups, weight, eps=eps),
            "weight": lambda: dc.group_norm_weight_grad(dy, x, num_groups, eps=eps),
            "bias": lambda: dc.group_norm_bias_grad(dy),
        },
        weight,
        bias,
    )


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    return dc.layer_norm(x, normalized_shape, weight, bias, eps=eps), lambda dy: affine_grads(
        {
            "x": lambda: dc.layer_norm_input_grad(dy, x, normalized_shape, weight, eps=eps),
            "weight": lambda: dc.layer_norm_weight_grad(dy, x, normalized_shape, eps=eps),
            "bias": lambda: dc.layer_norm_bias_grad(dy, normalized_shape),
        },
        weight,
        bias,
    )


def linear(x, weight, bias=None):
    return dc.linear(x, weight, bias), lambda dy: affine_grads(
        {
            "x": lambda: dc.linear_input_grad(dy, weight),
            "weight": lambda: dc.linear_weight_grad(dy, x),
            "bias": lambda: dc.linear_bias_grad(dy),
        },
        weight,
        bias,
    )


def pointwise(name):
    def adapter(x, **words):
        return getattr(dc, name)(x, **words), lambda dy: {
            "x": getattr(dc, f"{name}_input_grad")(dy, x, **words)
        }

    return adapter


def along_axis(name):
    def adapter(x, dim, dtype=None):  # every sample's dtype is float64, which its input has already
        return getattr(dc, name)(x, axis=dim), lambda dy: {
            "x": getattr(dc, f"{name}_input_grad")(dy, x, axis=dim)
        }

    return adapter


def by_rank(pattern, adapter):
    return {pattern.format(rank): adapter(rank) for rank in (1, 2, 3)}


ADAPTERS = {
    **by_rank("nn.functional.conv{}d", convolution),
    **by_rank("nn.functional.conv_transpose{}d", transposed),
    "nn.functional.unfold": unfold,
    **{
        f"nn.functional.pad:{v}": pad
        for v in ("constant", "reflect", "replicate", "replicate_negative", "circular")
    },
    **by_rank("nn.functional.max_pool{}d", max_pool),
    **by_rank("nn.functional.avg_pool{}d", avg_pool),
    **by_rank("nn.functional.adaptive_avg_pool{}d", adaptive_avg_pool),
    **by_rank("nn.functional.adaptive_max_pool{}d", adaptive_max_pool),
    "nn.functional.batch_norm": batch_norm,
    "nn.functional.group_norm": group_norm,
    "nn.functional.layer_norm": layer_norm,
    "nn.functional.linear": linear,
    "nn.functional.relu": pointwise("relu"),
    "nn.functional.leaky_relu": pointwise("leaky_relu"),
    "nn.functional.gelu": pointwise("gelu"),
    "nn.functional.silu": pointwise("silu"),
    "sigmoid": pointwise("sigmoid"),
    "tanh": pointwise("tanh"),
    "softmax": along_axis("softmax"),
    "softmax:with_dtype": along_axis("softmax"),
    "log_softmax": along_axis("log_softmax"),
    "log_softmax:with_dtype": along_axis("log_softmax"),
}

# How many samples and refusals PyTorch 2.13 has: an empty selection must not pass.
COUNTS = {
    "nn.functional.conv1d": (10, 10),
    "nn.functional.conv2d": (30, 10),
    "nn.functional.conv3d": (20, 10),
    "nn.functional.conv_transpose1d": (10, 0),
    "nn.functional.conv_transpose2d": (12, 0),
    "nn.functional.conv_transpose3d": (10, 0),
    "nn.functional.unfold": (163, 0),
    "nn.functional.pad:constant": (51, 0),
    "nn.functional.pad:reflect": (12, 0),
    "nn.functional.pad:replicate": (12, 0),
    "nn.functional.pad:replicate_negative": (6, 0),
    "nn.functional.pad:circular": (8, 0),
    "nn.functional.max_pool1d": (864, 24),
    "nn.functional.max_pool2d": (1440, 7),
    "nn.functional.max_pool3d": (576, 7),
    "nn.functional.avg_pool1d": (9, 2),
    "nn.functional.avg_pool2d": (7, 5),
    "nn.functional.avg_pool3d": (8, 6),
    "nn.functional.adaptive_avg_pool1d": (6, 2),
    "nn.functional.adaptive_avg_pool2d": (10, 3),
    "nn.functional.adaptive_avg_pool3d": (12, 3),
    "nn.functional.adaptive_max_pool1d": (8, 2),
    "nn.functional.adaptive_max_pool2d": (24, 3),
    "nn.functional.adaptive_max_pool3d": (20, 3),
    "nn.functional.batch_norm": (12, 0),
    "nn.functional.group_norm": (21, 2),
    "nn.functional.layer_norm": (6, 0),
    "nn.functional.linear": (18, 0),
    "nn.functional.relu": (4, 0),
    "nn.functional.leaky_relu": (9, 0),
    "nn.functional.gelu": (8, 1),
    "nn.functional.silu": (3, 0),
    "sigmoid": (3, 0),
    "tanh": (1, 0),
    "softmax": (7, 0),
    "softmax:with_dtype": (7, 0),
    "log_softmax": (7, 0),
    "log_softmax:with_dtype": (7, 0),
}

# Of a group as large as this the everyday run takes every 29th sample: 29 divides none of the counts the
# groups are products of, so that every setting of every argument still comes up, as is held below.
LARGE, STEP = 200, 29

# What PyTorch refuses and we compute on purpose: (operator, what tells the sample, why we don't refuse).
DELIBERATE = [
    ("nn.functional.conv1d", "int64(1, 1, 4)", "whole-number pictures; types promote as in NumPy"),
    ("nn.functional.conv2d", "int64(2, 4, 4)", "whole-number pictures; types promote as in NumPy"),
    ("nn.functional.conv3d", "int64(1, 1, 4, 4, 4)", "whole-number pictures; types promote as in NumPy"),
    ("nn.functional.conv3d", "stride=2, padding='same'", "a strided 'same' has ceil(size/stride) outputs"),
]

# What PyTorch computes and we refuse on purpose: (operator, what tells the sample, why).
REFUSED = [
    ("nn.functional.batch_norm", "float64(0,), float64(0,)", "an array of one axis has no channels"),
    ("nn.functional.group_norm", "eps=-0.5", "the root of a negative number waits where eps is negative"),
    ("nn.functional.layer_norm", "eps=-0.5", "the root of a negative number waits where eps is negative"),
    ("softmax", "float64(), 0", "one number has no axis to sum over"),
    ("log_softmax", "float64(), 0", "one number has no axis to sum over"),
]


@pytest.fixture(scope="module")
def op_db():
    peer("expecttest")  # OpInfo imports it
    module = peer("torch.testing._internal.common_methods_invocations")
    return {f"{op.name}:{op.variant_test_name}".rstrip(":"): op for op in module.op_db}


def test_counts_cover_every_adapter():
    assert COUNTS.keys() == ADAPTERS.keys()


def to_numpy(value):
    return value.detach().numpy() if isinstance(value, torch.Tensor) else value


def call_adapter(adapter, sample):
    arguments = {k: to_numpy(v) for k, v in sample.kwargs.items()}
    return adapter(to_numpy(sample.input), *map(to_numpy, sample.args), **arguments)


def call_torch(op, adapter, sample):
    """Return PyTorch's outputs and its leaves by our names for them."""
    bound = inspect.signature(adapter).bind(sample.input, *sample.args, **sample.kwargs)
    leaves = {k: v for k, v in bound.arguments.items() if isinstance(v, torch.Tensor)}
    for name, leaf in leaves.items():
        leaf.grad = None  # samples may share a tensor
        leaf.requires_grad_(leaf.dtype.is_floating_point and not name.startswith("running_"))
    with warnings.catch_warnings(action="ignore"):  # of PyTorch's own speed
        outputs = op.op(sample.input, *sample.args, **sample.kwargs)
    return outputs if isinstance(outputs, tuple) else (outputs,), leaves


def compare(op, adapter, sample, rng):
    """Hold one sample's outputs and gradients against PyTorch's."""
    expected, leaves = call_torch(op, adapter, sample)
    outputs, pullback = call_adapter(adapter, sample)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    dy = rng.standard_normal(tuple(expected[0].shape))
    grads = pullback(dy)
    assert len(outputs) == len(expected)
    for name, ours, theirs in zip(("y", "indices"), outputs, expected, strict=False):
        assert ours.dtype == to_numpy(theirs).dtype, f"{name} is {ours.dtype}"
        np.testing.assert_allclose(ours, to_numpy(theirs), **CLOSE, err_msg=name)
    expected[0].backward(torch.from_numpy(np.asarray(dy)))
    assert grads.keys() == {name for name, leaf in leaves.items() if leaf.requires_grad}
    for name, ours in grads.items():
        theirs = leaves[name].grad
        theirs = np.zeros(leaves[name].shape) if theirs is None else theirs.numpy()
        np.testing.assert_allclose(ours, theirs, **CLOSE, err_msg=f"d{name}")


def describe(sample):
    def short(v):
        return f"{str(v.dtype)[6:]}{tuple(v.shape)}" if isinstance(v, torch.Tensor) else repr(v)

    words = [
        short(sample.input),
        *map(short, sample.args),
        *(f"{k}={short(v)}" for k, v in sample.kwargs.items()),
    ]
    return ", ".join(words)


def settings(samples):
    """Return every setting of every argument that comes up: its name or place, and its value or shape."""
    return {
        (place, tuple(value.shape) if isinstance(value, torch.Tensor) else str(value))
        for sample in samples
        for place, value in [*enumerate((sample.input, *sample.args)), *sample.kwargs.items()]
    }


def wrong_samples(op, name, step, rng):
    """Return how many samples there are, and a line for each that differs from PyTorch."""
    torch.manual_seed(0)
    samples = list(op.sample_inputs("cpu", torch.float64, requires_grad=False))
    assert settings(samples[::step]) == settings(samples)
    wrong = []
    for number, sample in itertools.islice(enumerate(samples), 0, None, step):
        told = describe(sample)
        try:
            if any(name.split(":")[0] == operator and mark in told for operator, mark, _ in REFUSED):
                with pytest.raises(ValueError, match=r"^(\w+_norm|(log_)?softmax): "):
                    call_adapter(ADAPTERS[name], sample)
            else:
                compare(op, ADAPTERS[name], sample, rng)
        except Exception as error:  # noqa: BLE001  (whatever it is, all samples are reported together)
            said = f"{type(error).__name__}: {str(error).strip()[:400]}"
            wrong.append(f"sample {number} ({told}): {said}")
    return len(samples), wrong


EVERYDAY = [(name, STEP if count >= LARGE else 1) for name, (count, _) in COUNTS.items()]
EXHAUSTIVE = [pytest.param(name, 1, marks=pytest.mark.full) for name, step in EVERYDAY if step > 1]


@pytest.mark.parametrize(("name", "step"), EVERYDAY + EXHAUSTIVE)
def test_every_sample_and_its_gradients(op_db, name, step, rng):
    count, wrong = wrong_samples(op_db[name], name, step, rng)
    assert count >= COUNTS[name][0]
    assert not wrong, f"{len(wrong)} wrong of {count}:\n" + "\n".join(wrong[:8])


def test_a_gradient_wrong_by_a_thousandth_is_noticed(op_db, rng, monkeypatch):
    right = dc.conv_weight_grad
    monkeypatch.setattr(dc, "conv_weight_grad", lambda *a, **k: right(*a, **k) * 1.001)
    count, wrong = wrong_samples(op_db["nn.functional.conv2d"], "nn.functional.conv2d", 1, rng)
    assert len(wrong) == count >= 30


def accepted_refusals(op, name):
    """Return what PyTorch refuses and we compute, and which entries of DELIBERATE that used."""
    accepted, used = [], set()
    for refusal in op.error_inputs("cpu"):
        try:
            call_adapter(ADAPTERS[name], refusal.sample_input)
        except (ValueError, TypeError) as error:
            named = re.match(r"(\w+): ", str(error))
            if not named or not hasattr(dc, named[1]):  # NumPy's own complaint from the depths is no refusal
                accepted.append(f"{describe(refusal.sample_input)}: not our message: {error!r}")
            continue
        sample = describe(refusal.sample_input)
        extension = next((entry for entry in DELIBERATE if entry[0] == name and entry[1] in sample), None)
        used.add(extension)
        if extension is None:
            accepted.append(f"{sample}: PyTorch says {str(refusal.error_regex)!r}")
    return accepted, used - {None}


@pytest.mark.parametrize("name", [n for n, (_, refusals) in COUNTS.items() if refusals])
def test_every_refusal(op_db, name):
    assert len(list(op_db[name].error_inputs("cpu"))) >= COUNTS[name][1]
    accepted, used = accepted_refusals(op_db[name], name)
    assert not accepted, f"{len(accepted)} accepted:\n" + "\n".join(accepted)
    assert used == {entry for entry in DELIBERATE if entry[0] == name}, "DELIBERATE names what we refuse now"


def test_accepting_everything_is_noticed(op_db, monkeypatch):
    monkeypatch.setattr(dc, "conv", lambda x, weight, bias, **words: x)
    accepted, _ = accepted_refusals(op_db["nn.functional.conv2d"], "nn.functional.conv2d")
    assert len(accepted) >= 9
