"""Image kernels on any picture: the named ones and the person's own, colour, alpha, bits and borders done right.

    picture = dc.images.read_image("photo.jpg")
    dc.images.write_image("sharp.png", dc.images.apply(picture, "sharpen"))

Reading and writing files needs Pillow, which the extra `app` brings, and is loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

from deepconv.images.applying import ALPHA, SIGNED, apply
from deepconv.images.borders import BORDERS
from deepconv.images.effects import GALLERY, Effect, describe, effect
from deepconv.images.filtering import convolve, correlate
from deepconv.images.kernel_files import format_kernel, parse_kernel, read_kernel
from deepconv.images.kernels import KERNELS, NamedKernel, Setting, kernel
from deepconv.images.picture import Picture

if TYPE_CHECKING:
    from deepconv.images.files import read_image as read_image
    from deepconv.images.gallery import contact_sheet as contact_sheet
    from deepconv.images.writing import write_image as write_image

__all__ = [
    "ALPHA",
    "BORDERS",
    "GALLERY",
    "KERNELS",
    "SIGNED",
    "Effect",
    "NamedKernel",
    "Picture",
    "Setting",
    "apply",
    "contact_sheet",
    "convolve",
    "correlate",
    "describe",
    "effect",
    "format_kernel",
    "kernel",
    "parse_kernel",
    "read_image",
    "read_kernel",
    "write_image",
]


def __getattr__(name: str) -> Any:
    """Load what needs Pillow at its first use."""
    if name == "read_image":
        from deepconv.images.files import read_image as found
    elif name == "write_image":
        from deepconv.images.writing import write_image as found  # type: ignore[assignment]
    elif name == "contact_sheet":
        from deepconv.images.gallery import contact_sheet as found  # type: ignore[assignment]
    else:
        raise AttributeError(f"module 'deepconv.images' has no attribute {name!r}")
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return every name, those not loaded yet too."""
    return sorted({*globals(), *__all__})
