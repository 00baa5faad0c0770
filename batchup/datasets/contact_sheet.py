"""Samples of a data set and their labels, to look at."""

import math
from typing import TYPE_CHECKING

import numpy as np

from batchup.datasets.standard import DataSet

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE = 96
"""Pixels each image is scaled to, by whole pixels, as far as it goes."""
CAPTION = 14


def contact_sheet(source: DataSet, count: int) -> "Image":
    """An image of up to `count` samples of `source`, evenly spread over it, each with its label below.

    Raises `ImportError` if Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise ImportError("a contact sheet takes Pillow: pip install pillow") from error
    arrays = source.arrays()
    part = next(iter(source.samples))
    labels = arrays[f"{part}_y"]
    chosen = np.linspace(0, len(labels) - 1, min(count, len(labels))).astype(int)
    images = _as_rgb(arrays[f"{part}_X"][chosen], source.white)
    names = source.names()
    scale = max(1, SIDE // images.shape[1])
    side = images.shape[1] * scale
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (image, label) in enumerate(zip(images, labels[chosen].tolist(), strict=True)):
        row, column = divmod(place, columns)
        x, y = column * side, row * (side + CAPTION)
        sheet.paste(Image.fromarray(image.repeat(scale, 0).repeat(scale, 1)), (x, y))
        draw.text((x + 2, y + side + 1), names[label] if names else str(label), fill="black")
    return sheet


def _as_rgb(images: np.ndarray, white: float) -> np.ndarray:
    """Images (n, 1 or 3, h, w) of values from 0 to `white`, as uint8 (n, h, w, 3)."""
    scaled = (images * np.float32(255 / white)).round().astype(np.uint8)
    rgb: np.ndarray = np.broadcast_to(scaled, (len(images), 3, *images.shape[2:]))
    return rgb.transpose(0, 2, 3, 1)
