"""Pictures that the tests of this folder share."""

import numpy as np
from PIL import Image, ImageCms

from deepconv.images import Picture


def random_pixels(rng, channels, dtype, size=(7, 5)):
    shape = size if channels == 1 else (*size, channels)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max + 1, shape, dtype)


def everything(rng, channels=3, dtype=np.uint8):
    exif = Image.Exif()
    exif[271] = "Maker"
    exif[0x8769] = {36867: "2020:01:02 03:04:05", 0xA002: 999, 0xA003: 888}
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
    pixels = random_pixels(rng, channels, dtype)
    return Picture(
        pixels, channels in (2, 4), profile, exif.tobytes(), xmp, (300.0, 150.0), {"Comment": "h\u00e9llo"}
    )
