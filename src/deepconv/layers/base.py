"""What every layer is: one pure `apply`, and on top of it inference, the post's interface and state."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from types import MappingProxyType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from deepconv.arrays import Array, as_array
from deepconv.layers.parameter import Buffer, Parameter
from deepconv.layers.pullback import Gradients, Pullback
from deepconv.layers.starting import LOCK, Start, starting

__all__ = ["Gradients", "Layer", "Pullback"]

T = TypeVar("T")

_PLAIN = (np.dtype(np.float32), np.dtype(np.float64))


class Layer:
    """A step of a network. A new layer defines `apply`, and `infer` if it has sizes to infer.

    The constructor stores each argument under its own name and takes no memory for parameters.
    Integer and boolean inputs (pictures of 0 to 255) are converted to the dtype of the layer's
    parameters, float32 where it has none; floats promote with the parameters as NumPy does.

    Example:
        >>> import numpy as np
        >>> class Double(Layer):
        ...     def apply(self, x, *, training=True, rng=None):
        ...         (x,) = self.prepare(x)
        ...         y = 2 * x
        ...         return y, Pullback("Double", y, lambda dy: (2 * dy, {}))
        >>> layer = Double()
        >>> layer(np.array([1.0, 2.0]))
        array([2., 4.])
        >>> layer.forward(np.array([1.0, 2.0]))
        array([2., 4.])
        >>> layer.backward(np.array([1.0, 1.0]))
        array([2., 2.])
    """

    metadata: Mapping[str, Any] = MappingProxyType({})
    """What else travels in the model's file: preprocessing, class names. JSON-able."""

    first_axis_is_batch: bool = False
    """Whether the layer takes the first axis for the batch whatever comes, so that one picture needs `x[None]`."""

    _initialised: bool = False
    _pullback: Pullback | None = None

    # -- what a layer defines -------------------------------------------------------------------

    def apply(self, *inputs: Any, **options: Any) -> tuple[Array, Pullback]:
        """Return the output and its pullback. Changes nothing: neither parameters nor buffers.

        Args:
            inputs: the layer's inputs, one array for most layers.
            options: `training` (True): behave as in training (dropout drops, batch norm uses the
                batch); `rng` (None): the `numpy.random.Generator` that dropout draws from; None draws
                from fresh entropy.
        """
        raise NotImplementedError(f"{type(self).__name__}: define apply(x, *, training=True, rng=None)")

    def infer(self, *inputs: Array) -> None:
        """Fill in the sizes that were None from the first inputs; nothing to do for most layers."""

    def check(self, *inputs: Array) -> None:
        """Raise ValueError for inputs that can't be this layer's; nothing to check for most layers."""

    def multiply_adds(self, input_shapes: Sequence[tuple[int, ...]], output_shape: tuple[int, ...]) -> int:
        """Return the multiplications, each with its addition, for one sample (shapes without the batch)."""
        return 0

    def children(self) -> dict[str, Layer]:
        """Return the layers this one is made of, by name."""
        return dict(_held(self, Layer))

    def arguments(self) -> dict[str, Any]:
        """Return the constructor's arguments as they stand now, inferred sizes filled in.

        Raises:
            AttributeError: the constructor keeps one under another name, or not at all.
        """
        name = type(self).__name__
        for argument in constructor_arguments(type(self)):
            if not hasattr(self, argument):
                raise AttributeError(
                    f"{name}: the argument {argument!r} is not kept under its name; write "
                    f"self.{argument} = {argument} in the constructor, or define arguments()"
                )
        return {argument: getattr(self, argument) for argument in constructor_arguments(type(self))}

    # -- using it -------------------------------------------------------------------------------

    def __call__(self, *inputs: Any) -> Array:
        """Return the output as inference sees it; keeps nothing, and many threads may call at once."""
        return checked_output(self, self.apply(*inputs, training=False))[0]

    def forward(self, *inputs: Any, rng: np.random.Generator | None = None) -> Array:
        """Return the output as training sees it, and remember the way back for `backward`.

        Running statistics are updated. This is the post's interface; `apply` is the one without memory.

        Args:
            inputs: the layer's inputs.
            rng: what dropout draws from; None draws from fresh entropy.
        """
        y, self._pullback = checked_output(self, self.apply(*inputs, training=True, rng=rng))
        self._pullback.commit()
        return y

    def backward(self, dy: Any) -> Array | tuple[Array, ...]:
        """Return the input's gradient, and add the parameters' gradients to their `grad`.

        Args:
            dy: the gradient of the loss with respect to the last `forward`'s output.

        Raises:
            RuntimeError: there was no `forward`.
            ValueError: `dy` has another shape than that output.
        """
        if self._pullback is None:
            name = type(self).__name__
            raise RuntimeError(f"{name}.backward: there was no forward to go back to; call forward(x) first")
        dx, gradients = self._pullback(dy)
        for parameter, gradient in gradients.items():
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
        return dx

    def zero_grad(self) -> None:
        """Forget the gradients that `backward` added up."""
        for parameter in self.parameters().values():
            parameter.grad = None

    # -- what it holds --------------------------------------------------------------------------

    def walk(self) -> Iterator[tuple[str, Layer]]:
        """Yield this layer and every layer inside it once, with its dotted name (its own is empty)."""
        seen: set[int] = set()
        waiting: list[tuple[str, Layer]] = [("", self)]
        while waiting:  # a stack, not recursion: a file may nest as deep as it likes
            name, layer = waiting.pop()
            if id(layer) not in seen:
                seen.add(id(layer))
                yield name, layer
                inside = [(f"{name}.{n}" if name else n, child) for n, child in layer.children().items()]
                waiting.extend(reversed(inside))

    def parameters(self) -> dict[str, Parameter]:
        """Return every parameter by its dotted name, a shared one once, under its first name."""
        return self._owned(Parameter)

    def buffers(self) -> dict[str, Buffer]:
        """Return every buffer by its dotted name, a shared one once, under its first name."""
        return self._owned(Buffer)

    def _owned(self, kind: type[T]) -> dict[str, T]:
        found: dict[int, tuple[str, T]] = {}
        for prefix, layer in self.walk():
            for name, value in _held(layer, kind):
                found.setdefault(id(value), (f"{prefix}.{name}" if prefix else name, value))
        return dict(found.values())

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the first parameter, float32 where there is none."""
        data = (parameter.data for parameter in self.parameters().values())
        return next((array.dtype for array in data if array is not None), np.dtype(np.float32))

    def state(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers by name.

        Raises:
            RuntimeError: the layer has no values yet.
        """
        return {name: value.value.copy() for name, value in self.values().items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take the parameters and buffers from `state`, dtypes included; all of them or, on an error, none.

        Args:
            state: arrays by name, as `state()` gives them.

        Raises:
            ValueError: a name is missing or unknown, or a shape or dtype doesn't fit.
        """
        name, values = type(self).__name__, self.values()
        arrays = {key: as_array(f"{name}.load_state", key, value) for key, value in state.items()}
        if arrays.keys() != values.keys():
            lacks, extra = sorted(values.keys() - arrays.keys()), sorted(arrays.keys() - values.keys())
            raise ValueError(
                f"{name}.load_state: state lacks {lacks} and has {extra}, which the model doesn't"
            )
        for key, array in arrays.items():
            if array.shape != values[key].shape or array.dtype.kind != "f":
                raise ValueError(
                    f"{name}.load_state: {key} has shape {array.shape} and dtype {array.dtype} but the model "
                    f"needs {values[key].shape} of floats; if that is None, call initialize(input_shape)"
                )
        for key, array in arrays.items():
            values[key].data = array.copy()

    def values(self) -> dict[str, Parameter | Buffer]:
        """Return parameters and buffers together, by their dotted names."""
        return {**self.parameters(), **self.buffers()}

    # -- first values ---------------------------------------------------------------------------

    def initialize(
        self,
        input_shape: Sequence[int] | Sequence[Sequence[int]],
        *,
        seed: int | np.random.Generator | None = 0,
        dtype: DTypeLike = np.float32,
    ) -> Self:
        """Infer the sizes left out and draw every parameter anew, in the order of use, from one generator.

        A layer used before that initialises itself, from fresh entropy and in float32.

        Args:
            input_shape: the shape of one sample, without the batch; several for several inputs.
            seed: a number, a generator, or None for fresh entropy.
            dtype: float16, float32 or float64.

        Returns:
            The layer itself. If the shape can't work, the error leaves the layer as it was.
        """
        _check_float(f"{type(self).__name__}.initialize", dtype)
        shapes = _shapes(type(self).__name__, input_shape)
        inputs = [np.zeros((0, *shape), dtype) for shape in shapes]
        return self.initialize_like(*inputs, seed=seed, dtype=dtype)

    def initialize_like(
        self, *inputs: Any, seed: int | np.random.Generator | None = 0, dtype: DTypeLike = np.float32
    ) -> Self:
        """Do what `initialize` does, from inputs instead of their shapes.

        Args:
            inputs: the layer's inputs; only their shapes matter.
            seed: as for `initialize`.
            dtype: as for `initialize`.

        Returns:
            The layer itself.
        """
        op = f"{type(self).__name__}.initialize"
        _check_float(op, dtype)
        with LOCK, starting(self._parts(), _generator(op, seed), np.dtype(dtype)):
            for value in self.values().values():
                value.data = None
            for _, layer in self.walk():
                layer._initialised = False
            self(*inputs)
            self._initialised = True
        return self

    def prepare(self, *inputs: Any) -> tuple[Array, ...]:
        """Return the inputs as arrays of floats, having checked them and initialised the layer if need be.

        Every `apply` starts with this.
        """
        arrays = inputs
        if len(inputs) != 1 or type(inputs[0]) is not np.ndarray or inputs[0].dtype not in _PLAIN:
            arrays = tuple([as_array(type(self).__name__, "x", value) for value in inputs])
            arrays = tuple([a.astype(self.dtype) if a.dtype.kind in "biu" else a for a in arrays])
        if not self._initialised:
            self._first_use(arrays)
        self.check(*arrays)
        return arrays

    def _first_use(self, inputs: tuple[Array, ...]) -> None:
        with LOCK:
            if Start.current is not None:
                self.infer(*inputs)
                self.check(*inputs)
                own: list[Parameter | Buffer] = [value for _, value in _held(self, Parameter)]
                own += [value for _, value in _held(self, Buffer)]
                for value in own:
                    if value.data is None:
                        value.initialise(Start.current.generator, Start.current.dtype)
            elif not self._complete():
                with starting(self._parts(), np.random.default_rng(), np.dtype(np.float32)):
                    self(*inputs)  # each layer inside meets its own input, infers from it and starts
            self._initialised = Start.current is None or self._complete()

    def _complete(self) -> bool:
        return all(value.data is not None for value in self.values().values())

    def _parts(self) -> list[object]:
        return [*(layer for _, layer in self.walk()), *self.values().values()]

    # -- copies and files -----------------------------------------------------------------------

    def copy(self) -> Self:
        """Return an independent copy; what `forward` remembered stays behind."""
        return copy.deepcopy(self)

    def astype(self, dtype: DTypeLike) -> Self:
        """Return a copy whose parameters and buffers have this dtype, as an array's `astype` does."""
        _check_float(f"{type(self).__name__}.astype", dtype)
        new = self.copy()
        for value in new.values().values():
            value.data = value.value.astype(dtype)
        return new

    def config(self) -> dict[str, Any]:
        """Return the constructor's arguments in a form that JSON can hold, layers inside included."""
        from deepconv.layers.architecture import describe

        arguments: dict[str, Any] = describe(self)["arguments"]
        return arguments

    def summary(self, input_shape: Sequence[int] | Sequence[Sequence[int]]) -> str:
        """Return a table of the layers: output shapes, parameters, multiplications, and their totals.

        Args:
            input_shape: the shape of one sample, without the batch; several for several inputs.
        """
        from deepconv.layers.summary import summarise

        return str(summarise(self, _shapes(type(self).__name__, input_shape)))

    def save(self, path: str | PathLike[str], *, metadata: Mapping[str, Any] | None = None) -> None:
        """Write the model to one file; see `deepconv.storage.save`.

        Args:
            path: the file, replaced whole or not at all.
            metadata: what else travels with it, JSON-able; None keeps the model's own `metadata`.
        """
        from deepconv.storage import save  # storage stands above the layers; only this convenience looks up

        save(self, path, metadata=metadata)

    def __getstate__(self) -> dict[str, Any]:
        # A pullback belongs to this object's parameters, not to a copy's.
        return {name: value for name, value in vars(self).items() if name != "_pullback"}

    def __repr__(self) -> str:
        shown: list[str] = []
        for name, parameter in constructor_arguments(type(self)).items():
            value = self.arguments()[name]
            if parameter.kind is parameter.VAR_POSITIONAL:
                shown.extend(map(repr, value))
            elif parameter.kind is parameter.KEYWORD_ONLY:
                shown.extend([f"{name}={value!r}"] if value != parameter.default else [])
            else:
                shown.append(repr(value))
        return f"{type(self).__name__}({', '.join(shown)})"


def constructor_arguments(kind: Any) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of a layer's constructor by name.

    Args:
        kind: the layer's class.
    """
    return _signature(kind)


@functools.cache  # asking Python anew at each call of a layer is slow
def _signature(kind: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kind).parameters


def _shapes(name: str, input_shape: Sequence[Any]) -> list[tuple[int, ...]]:
    """Read one shape, or a sequence of shapes, of samples without the batch."""
    try:
        several = len(input_shape) > 0 and all(np.ndim(size) == 1 for size in input_shape)
        shapes = [tuple(int(n) for n in shape) for shape in (input_shape if several else [input_shape])]
    except (TypeError, ValueError):
        raise TypeError(f"{name}: input_shape={input_shape!r} is not a shape such as (1, 28, 28)") from None
    if any(n < 1 for shape in shapes for n in shape):
        raise ValueError(
            f"{name}: input_shape={input_shape!r} has a size under 1; give one sample's, without the batch"
        )
    return shapes


def checked_output(layer: Layer, result: Any) -> tuple[Array, Pullback]:
    """Return what an `apply` returned, which must be an output and a pullback.

    Args:
        layer: whose `apply` it was, for the message.
        result: what it returned.

    Raises:
        TypeError: something else, which would be taken apart along its first axis without a word.
    """
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Pullback):
        return result
    name = type(layer).__name__
    got = (
        f"({', '.join(type(r).__name__ for r in result)})"
        if isinstance(result, tuple)
        else type(result).__name__
    )
    raise TypeError(
        f"{name}.apply: it returned {got}, not the output and a Pullback; end it with "
        f"return y, Pullback({name!r}, y, lambda dy: (dx, {{}}))"
    )


def _held(layer: Layer, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Yield a layer's own attributes of a kind by name, those in lists, tuples and dicts as `name.key`."""
    for name, value in vars(layer).items():
        if isinstance(value, kind):
            yield name, value
        elif isinstance(value, list | tuple | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            yield from ((f"{name}.{key}", item) for key, item in items if isinstance(item, kind))


def _check_float(op: str, dtype: DTypeLike) -> None:
    try:
        kind = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{op}: dtype={dtype!r} is no dtype; use float32 or float64") from None
    if kind not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{op}: dtype={dtype!r} is not a float; use float32 or float64")


def _generator(op: str, seed: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(
            f"{op}: seed={seed!r} is no seed; use a whole number ≥ 0, a generator or None"
        ) from None
