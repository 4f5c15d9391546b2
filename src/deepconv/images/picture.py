"""A picture as its file tells of it: the numbers, whether they hold transparency, and what else stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from deepconv.arrays import Array

__all__ = ["Picture"]


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels, and what goes with them from file to file.

    Attributes:
        pixels: `(height, width)` grey or `(height, width, channels)`: two are grey and alpha, three colours,
            four colours and alpha. uint8 and uint16 use their whole range; floats mean 0 for black and 1 for
            white, and may go beyond.
        alpha: the last channel says how opaque a pixel is. Its colours are not premultiplied.
        profile: the ICC profile that says what the colours are; None means sRGB.
        exif: EXIF data, as the bytes of a TIFF structure; it holds no orientation, as the pixels stand upright.
        xmp: XMP data.
        dpi: pixels per inch, across and down.
        text: comments and other texts by their names.
        format: the format of the file that it came from, by Pillow's name; empty if it came from none.
        notes: what one should know of how it was read, a line each.

    Example:
        >>> import numpy as np
        >>> Picture(np.zeros((2, 3, 4), np.uint8), alpha=True)
        Picture: 3 x 2 pixels, RGBA, uint8
    """

    pixels: Array
    alpha: bool = False
    profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    text: Mapping[str, str] = field(default_factory=dict)
    format: str = ""
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return 1 if self.pixels.ndim == 2 else int(self.pixels.shape[2])

    @property
    def mode(self) -> str:
        """`grey`, `grey+alpha`, `RGB` or `RGBA`."""
        return {(1, False): "grey", (2, True): "grey+alpha", (3, False): "RGB", (4, True): "RGBA"}.get(
            (self.channels, self.alpha), f"{self.channels} channels"
        )

    def with_pixels(self, pixels: Array, *notes: str) -> Picture:
        """Return the same picture with other pixels, and more notes.

        Args:
            pixels: as many channels, of any height, width and dtype.
            *notes: lines to add.

        Returns:
            A new picture; profile, EXIF and the like are kept.

        Example:
            >>> import numpy as np
            >>> Picture(np.zeros((2, 3), np.uint8)).with_pixels(np.zeros((1, 1), np.uint8)).pixels.shape
            (1, 1)
        """
        return replace(self, pixels=pixels, notes=(*self.notes, *notes))

    def __repr__(self) -> str:
        """Return size, mode and type, not thousands of numbers."""
        height, width = self.pixels.shape[:2]
        return f"Picture: {width} x {height} pixels, {self.mode}, {self.pixels.dtype}"
