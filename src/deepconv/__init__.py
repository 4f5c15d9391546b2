"""Convolution for NumPy: see it, use it, train it, at the speed of the machine.

    y = dc.conv(x, weight, stride=2, padding="same")    any convolution, and its exact gradients
    model = dc.Sequential(dc.Conv2d(1, 16, 3), ...)     layers, each with its backward pass
    dc.Trainer(model, loss, optimizer).fit(train)       and what trains them

Every name is loaded at first use, so that importing this costs no more than importing NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_NAMES = {
    "operators.convolution": ("conv", "conv_input_grad", "conv_weight_grad", "conv_bias_grad", "explain"),
    "operators.transposed": (
        "conv_transpose",
        "conv_transpose_input_grad",
        "conv_transpose_weight_grad",
        "conv_transpose_bias_grad",
    ),
    "operators.windows": ("im2col", "col2im", "pad", "pad_input_grad"),
    "engine.settings": ("set_threads", "get_threads", "set_workspace_limit", "get_workspace_limit"),
}
"""Where each public name lives. The imports below say the same to type checkers; a test holds them equal."""

_HOME = {name: module for module, names in _NAMES.items() for name in names}

__all__ = [*_HOME]  # noqa: PLE0604  (they are strings)


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _HOME:
        from difflib import get_close_matches

        close = get_close_matches(name, _HOME, 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise AttributeError(f"module 'deepconv' has no attribute {name!r}{hint}")
    value = getattr(import_module(f"deepconv.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_HOME})


if TYPE_CHECKING:
    from deepconv.engine.settings import get_threads as get_threads
    from deepconv.engine.settings import get_workspace_limit as get_workspace_limit
    from deepconv.engine.settings import set_threads as set_threads
    from deepconv.engine.settings import set_workspace_limit as set_workspace_limit
    from deepconv.operators.convolution import conv as conv
    from deepconv.operators.convolution import conv_bias_grad as conv_bias_grad
    from deepconv.operators.convolution import conv_input_grad as conv_input_grad
    from deepconv.operators.convolution import conv_weight_grad as conv_weight_grad
    from deepconv.operators.convolution import explain as explain
    from deepconv.operators.transposed import conv_transpose as conv_transpose
    from deepconv.operators.transposed import conv_transpose_bias_grad as conv_transpose_bias_grad
    from deepconv.operators.transposed import conv_transpose_input_grad as conv_transpose_input_grad
    from deepconv.operators.transposed import conv_transpose_weight_grad as conv_transpose_weight_grad
    from deepconv.operators.windows import col2im as col2im
    from deepconv.operators.windows import im2col as im2col
    from deepconv.operators.windows import pad as pad
    from deepconv.operators.windows import pad_input_grad as pad_input_grad
