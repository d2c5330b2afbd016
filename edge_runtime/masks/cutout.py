"""An image without its sky: `remove_sky(image)`, as rembg's `remove` gives an image without its background."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np

from edge_runtime.images.resize import to_mask8
from edge_runtime.segmenter import DEFAULT_MODEL, Color, Ensemble, Segmenter, to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image


@overload
def remove_sky(
    image: np.ndarray, segmenter: Segmenter | Ensemble | None = ..., color: Color = ..., refine: bool = ...
) -> np.ndarray: ...
@overload
def remove_sky(image: bytes, segmenter: Segmenter | Ensemble | None = ..., color: Color = ..., refine: bool = ...) -> bytes: ...
@overload
def remove_sky(
    image: Image | Path | str, segmenter: Segmenter | Ensemble | None = ..., color: Color = ..., refine: bool = ...
) -> Image: ...


def remove_sky(
    image: np.ndarray | Image | Path | str | bytes,
    segmenter: Segmenter | Ensemble | None = None,
    color: Color = "RGB",
    refine: bool = False,
) -> np.ndarray | Image | bytes:
    """Return `image` with a transparent sky: alpha is round(255 (1 - p)), where p is the probability of sky.

    An array (H, W, 3) uint8 gives an array (H, W, 4) uint8, RGBA, or BGRA with `color="BGR"`. A PIL image or a path gives a
    PIL image of mode RGBA, and the bytes of an image file give those of a PNG. The result is upright (EXIF orientation), keeps
    the color profile, and parts that were transparent before are opaque and black. `segmenter` is by default the released
    `unet_lite_s`, which is loaded once. `refine` lets the edge follow branches and roofs, and needs OpenCV. Raises what
    `Segmenter` raises.
    """
    used = segmenter or _default()
    pixels = to_rgb(image, color)
    if refine:
        from edge_runtime.masks.refine import refine as refined

        mask = to_mask8(refined(pixels, used.low_res(pixels)))
    else:
        mask = used.mask8(pixels)
    alpha = 255 - mask
    if isinstance(image, np.ndarray):
        return np.dstack([image, alpha])
    from PIL import Image as pillow

    from edge_runtime.images.photo import Photo

    result = pillow.fromarray(np.dstack([pixels, alpha]))
    if icc := Photo.of(bytes(image) if isinstance(image, bytearray | memoryview) else image).icc:
        result.info["icc_profile"] = icc  # `save` writes it
    if not isinstance(image, bytes | bytearray | memoryview):
        return result
    png = io.BytesIO()
    result.save(png, "PNG")
    return png.getvalue()


@cache
def _default() -> Segmenter:
    return Segmenter.load(DEFAULT_MODEL)
