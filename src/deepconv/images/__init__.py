"""Image kernels on any picture: the named ones and the person's own, colour, alpha, bits and borders done right."""

from deepconv.images.borders import BORDERS
from deepconv.images.filtering import convolve, correlate
from deepconv.images.kernel_files import format_kernel, parse_kernel, read_kernel
from deepconv.images.kernels import KERNELS, NamedKernel, Setting, kernel

__all__ = [
    "BORDERS",
    "KERNELS",
    "NamedKernel",
    "Setting",
    "convolve",
    "correlate",
    "format_kernel",
    "kernel",
    "parse_kernel",
    "read_kernel",
]
