"""Finding out how a learner's code wants to be called. Runs in the child process, beside that code.

Functions are known by their names, arguments by theirs: the words that textbooks, courses and the post use. What
isn't understood is said, with the name that would be.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from deepconv.arrays import Array

__all__ = ["Adapter", "HalfWay", "find"]

_FUNCTIONS = {
    "cols": ("arr2vec", "im2col", "unfold", "im2vec", "im2row", "image_to_columns"),
    "image": ("vec2arr", "col2im", "fold", "vec2im", "row2im", "columns_to_image"),
    "forward": ("conv_forward", "conv_forward_naive", "forward", "conv2d_forward", "convolution_forward"),
    "backward": (
        "conv_backward",
        "conv_backward_naive",
        "backward",
        "conv2d_backward",
        "convolution_backward",
    ),
    "y": (
        "conv",
        "conv2d",
        "convolution",
        "convolve",
        "convolve2d",
        "convolution2d",
        "correlate",
        "correlate2d",
    ),
    "dx": ("conv_input_grad", "conv2d_input_grad", "input_grad", "grad_input"),
    "dw": ("conv_weight_grad", "conv2d_weight_grad", "weight_grad", "grad_weight"),
    "db": ("conv_bias_grad", "conv2d_bias_grad", "bias_grad", "grad_bias"),
}

_WORDS = {
    "x": "x image images input inputs img arr a data inp batch a_prev old_x imgs input_image in_ activations",
    "weight": "w weight weights kernels filters filter f kernel k",
    "bias": "b bias biases",
    "stride": "stride strides step s",
    "padding": "padding pad paddings p",
    "size": "kernel_size ksize k_size kernel_shape filter_size filter_shape window size kernel window_size",
    "rows": "k1 kh kernel_h kernel_height hh field_height filter_h r",
    "wide": "k2 kw kernel_w kernel_width ww field_width filter_w",
    "image_size": "image_size old_shape old_size im_size img_size image_shape output_size out_shape",
    "x_shape": "x_shape input_shape shape img_shape im_shape input_size",
    "dy": "dy dout grad grads grad_output d_out dz g out_grad grad_out upstream delta gradient dl_dy dl_dout",
    "columns": "cols col x columns vec x_col xcol vectors matrix dcols x_cols",
    "cache": "cache",
    "settings": "conv_param hparameters conv_params params hparams",
    "in_channels": "nc_in in_channels channels n_in in_ch c_in input_channels ch_in c num_channels in_c",
    "out_channels": "nc_out out_channels filters n_filters num_filters n_out c_out output_channels ch_out k f out_c",
}
_NAMES = {meaning: tuple(words.split()) for meaning, words in _WORDS.items()}

_WEIGHTS = ("weights", "weight", "w", "kernel", "kernels", "filters")
_BIASES = ("biases", "bias", "b")
_OF_WEIGHTS = ("w", "weight", "weights", "kernel", "kernels", "filter", "filters")
_OF_BIAS = ("b", "bias", "biases")


def _gradients(of: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that the gradient of something goes by: dw, d_w, grad_w, w_grad, wgrad and so on."""
    return tuple(form.format(word) for form in _GRADIENTS for word in of)


_GRADIENTS = (
    "d{}",
    "d_{}",
    "grad_{}",
    "grad{}",
    "{}_grad",
    "{}grad",
    "{}_gradient",
    "gradient_{}",
    "g{}",
    "delta_{}",
)
_DW, _DB = _gradients(_OF_WEIGHTS), _gradients(_OF_BIAS)


class HalfWay(Exception):
    """The way forward came out, the way back raised.

    Args:
        found: what came out.
        error: what was raised.
    """

    def __init__(self, found: dict[str, Array], error: Exception) -> None:
        super().__init__(str(error))
        self.found, self.error = found, error


@dataclass(frozen=True)
class Adapter:
    """One thing of the person's that can be checked.

    Args:
        name: what they call it.
        results: what it gives: y, dx, dw, db, cols, image.
        call: from a case's operands and settings to the results by name.
        settings: which of stride and padding it heeds.
    """

    name: str
    results: tuple[str, ...]
    call: Callable[[Mapping[str, Any]], dict[str, Array]]
    settings: tuple[str, ...] = ("stride", "padding")


def find(module: ModuleType) -> list[Adapter]:
    """Return what a module offers that can be checked, in the order in which to check it.

    Args:
        module: the person's.

    Raises:
        ValueError: it offers something known by name whose arguments are not understood.

    Example:
        >>> module = ModuleType("mine")
        >>> module.im2col = lambda x, kernel_size, stride=1, padding=0: x
        >>> [(found.name, found.results) for found in find(module)]
        [('im2col', ('cols',))]
    """
    found = []
    for kind in ("cols", "image"):
        for name, function in _functions(module, kind):
            found.append(_plain(name, function, kind))
    forward, backward = (next(iter(_functions(module, kind)), None) for kind in ("forward", "backward"))
    if forward:
        found.append(_pair(*forward, *(backward or (None, None))))
    for kind in ("y", "dx", "dw", "db"):
        for name, function in _functions(module, kind):
            found.append(_plain(name, function, kind))
    found.extend(_layer(name, kind) for name, kind in _classes(module))
    return found


def _functions(module: ModuleType, kind: str) -> list[tuple[str, Callable[..., Any]]]:
    known = {name.lower(): name for name in vars(module)}
    named = [known[word] for word in _FUNCTIONS[kind] if word in known]
    return [(name, getattr(module, name)) for name in named if inspect.isfunction(getattr(module, name))]


def _classes(module: ModuleType) -> list[tuple[str, type]]:
    own = [
        (name, kind)
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and kind.__module__ == module.__name__
    ]
    return [(name, kind) for name, kind in own if hasattr(kind, "forward") and "conv" in name.lower()] or [
        (name, kind) for name, kind in own if hasattr(kind, "forward") and hasattr(kind, "backward")
    ]


def _bind(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by the names that the person gave their parameters."""
    arguments: dict[str, Any] = {}
    free = dict(given)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD} or parameter.name == "self":
            continue
        word = parameter.name.lower()
        meaning = next((m for m, words in _NAMES.items() if m in free and word in words), None)
        if meaning is not None:
            arguments[parameter.name] = free.pop(meaning)
        elif parameter.default is parameter.empty:
            known = ", ".join(_NAMES[m][0] for m in given if m in _NAMES)
            raise ValueError(
                f"{name} has a parameter {parameter.name!r} that is not understood; known are: {known}"
            )
    return arguments


def _heeds(function: Callable[..., Any]) -> tuple[str, ...]:
    words = {name.lower() for name in inspect.signature(function).parameters}
    if words & set(_NAMES["settings"]):
        return ("stride", "padding")
    return tuple(name for name in ("stride", "padding") if words & set(_NAMES[name]))


def _given(case: Mapping[str, Any]) -> dict[str, Any]:
    """Return everything that a parameter may ask for."""
    kernel = case["weight"].shape[2:]
    return {
        "columns": case["columns"], "weight": case["weight"], "bias": case["bias"], "dy": case["dy"], "x": case["x"],
        "stride": case["stride"], "padding": case["padding"],
        "size": tuple(kernel), "rows": kernel[0], "wide": kernel[1],
        "image_size": tuple(case["x"].shape[2:]), "x_shape": tuple(case["x"].shape),
        "settings": {"stride": case["stride"], "pad": case["padding"], "padding": case["padding"]},
    }  # fmt: skip


def _plain(name: str, function: Callable[..., Any], kind: str) -> Adapter:
    """Adapt a function that gives one result; one of two plain matrices where batches don't work."""
    flat: list[bool] = []  # whether it takes plain matrices, once that is known

    def call(case: Mapping[str, Any]) -> dict[str, Array]:
        if kind != "y":
            return {kind: _flat(function(**_bind(name, function, _wanted(kind, case))))}
        if not flat:
            flat.append(not _works(lambda: forward(case), 4) and _works(lambda: forward(case, plain=True), 2))
        biased = {parameter.lower() for parameter in inspect.signature(function).parameters} & set(
            _NAMES["bias"]
        )
        found = {} if biased else {"bias": np.zeros_like(case["bias"])}
        if not flat[0]:
            return found | {"y": forward(case)}
        if case["x"].shape[:2] != (1, 1) or len(case["weight"]) > 1:
            return {}  # not for plain matrices
        return found | {"y": forward(case, plain=True)[None, None]}

    def forward(case: Mapping[str, Any], *, plain: bool = False) -> Array:
        given = _wanted("y", case)
        if plain:
            given |= {"x": given["x"][0, 0], "weight": given["weight"][0, 0], "x_shape": given["image_size"]}
        return _flat(function(**_bind(name, function, given)))

    return Adapter(name, (kind,), call, _heeds(function))


def _works(call: Callable[[], Array], rank: int) -> bool:
    try:
        return call().ndim == rank
    except ValueError as error:
        if "not understood" in str(error):
            raise
        return False
    except Exception:  # noqa: BLE001 - whatever a stranger's code raises says that it doesn't work so
        return False


def _wanted(kind: str, case: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the parameters of a function with one result may mean."""
    given = _given(case)
    del given["x" if kind == "image" else "columns"]
    if kind in {"y", "image", "cols"}:
        del given["dy"]
    if kind in {"cols", "image"}:
        del given["weight"]
    if kind == "dw":
        given["x_shape"] = given["size"] = given.pop("weight").shape
    return given


def _flat(result: Any) -> Array:
    """Return the array of a result that may have a cache beside it."""
    return np.asarray(result[0] if isinstance(result, tuple) else result)


def _pair(
    name: str, forward: Callable[..., Any], second: str | None, backward: Callable[..., Any] | None
) -> Adapter:
    """Adapt `conv_forward(x, w, b, …) -> y[, cache]` and `conv_backward(dy, cache or x, w, …) -> dx, dw, db`."""

    def call(case: Mapping[str, Any]) -> dict[str, Array]:
        given = _given(case)
        del given["columns"], given["dy"]
        answer = forward(**_bind(name, forward, given))
        found = {"y": _flat(answer)}
        if backward is not None and second is not None:
            given = {"dy": case["dy"], **given}
            if isinstance(answer, tuple) and len(answer) > 1:
                given["cache"] = answer[1]
            back = _way_back(found, lambda: backward(**_bind(second, backward, given)))
            names = ("dx", "dw", "db")
            back = back if isinstance(back, tuple | list) else (back,)
            found |= {key: np.asarray(value) for key, value in zip(names, back, strict=False)}
        return found

    shown = name if second is None else f"{name} and {second}"
    return Adapter(shown, ("y", "dx", "dw", "db") if backward else ("y",), call, _heeds(forward))


def _layer(name: str, kind: type) -> Adapter:
    """Adapt a class with `forward(x)`, and `backward(dy)` where it has one."""
    make: Callable[..., Any] = kind.__init__  # type: ignore[misc]
    heeded = _heeds(make)

    def call(case: Mapping[str, Any]) -> dict[str, Array]:
        weight = case["weight"]
        given = {
            "in_channels": weight.shape[1], "out_channels": weight.shape[0], "size": tuple(weight.shape[2:]),
            "rows": weight.shape[2], "wide": weight.shape[3], "stride": case["stride"], "padding": case["padding"],
            "x_shape": tuple(case["x"].shape),
        }  # fmt: skip
        layer = kind(**_bind(f"{name}()", make, given))
        form = _set(name, layer, _WEIGHTS, weight)
        form_of_bias = _set(name, layer, _BIASES, case["bias"])
        found = {"y": _flat(layer.forward(case["x"]))}
        if hasattr(layer, "backward"):
            found["dx"] = _flat(_way_back(found, lambda: layer.backward(case["dy"])))
            dw, db = _attribute(layer, _DW), _attribute(layer, _DB)
            if dw is not None:
                found["dw"] = form(np.asarray(dw))
            if db is not None:
                found["db"] = form_of_bias(np.asarray(db))
        return found

    results = ("y", "dx", "dw", "db") if hasattr(kind, "backward") else ("y",)
    return Adapter(f"class {name}", results, call, heeded)


def _way_back(found: dict[str, Array], backward: Callable[[], Any]) -> Any:
    try:
        return backward()
    except Exception as error:
        raise HalfWay(found, error) from error


def _attribute(layer: object, names: tuple[str, ...]) -> Any:
    known = {name.lower(): name for name in vars(layer)}
    return next((getattr(layer, known[name]) for name in names if name in known), None)


def _from_form(own: tuple[int, ...], back: Callable[[Array], Array]) -> Callable[[Array], Array]:
    return lambda found: back(found) if found.shape == own else found


def _set(name: str, layer: object, names: tuple[str, ...], value: Array) -> Callable[[Array], Array]:
    """Put our numbers into the layer in the form its own have; return how to turn that form back into ours.

    What has another form is left as it is, to be found right or wrong.
    """
    known = {word.lower(): word for word in vars(layer)}
    attribute = next((known[word] for word in names if word in known), None)
    if attribute is None:
        raise ValueError(
            f"class {name} has no attribute {names[0]!r}; give it one, so that both compute with equal numbers"
        )
    own = np.shape(getattr(layer, attribute))
    flat = value.reshape(len(value), -1)
    forms: list[tuple[Array, Callable[[Array], Array]]] = [
        (value, lambda found: found),
        (flat.T, lambda found: found.T.reshape(value.shape)),
        (flat, lambda found: found.reshape(value.shape)),
        (value.reshape(-1, 1), lambda found: found.reshape(value.shape)),
        (value.reshape(1, -1), lambda found: found.reshape(value.shape)),
    ]
    for form, back in forms:
        if form.shape == own:
            setattr(layer, attribute, form.copy())
            return _from_form(own, back)
    raise ValueError(
        f"class {name}: {attribute} has shape {own}; (K, C, R, S) = {value.shape} or (C·R·S, K) = {flat.T.shape} is "
        f"understood"
    )
