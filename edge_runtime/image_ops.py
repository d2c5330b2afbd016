"""Pictures in and masks out: decoding, the exact resize of the contract, and the way back to the picture's size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps

from edge_runtime.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


def read_rgb(path: Path) -> np.ndarray:
    """Decode a picture as it should be seen.

    EXIF orientation is applied, alpha is laid over black, CMYK and palettes become RGB, 16-bit grey is scaled to 8.

    Returns
    -------
    np.ndarray
        (H, W, 3) uint8, RGB, values 0..255.

    Raises
    ------
    InputError
        The file is missing, is not a picture, or is broken.
    """
    if not path.is_file():
        raise InputError(f"got {path}, expected an existing picture")
    try:
        with Image.open(path) as opened:
            upright = ImageOps.exif_transpose(opened)
            return to_rgb8(upright)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        expected = "a complete JPEG, PNG, WebP, BMP or TIFF"
        raise InputError(f"cannot read picture {path}: {error}; expected {expected}") from error


def to_rgb8(picture: Image.Image) -> np.ndarray:
    """Return any Pillow picture as (H, W, 3) uint8 RGB; transparent parts lie over black."""
    if picture.mode.startswith(("I", "F")):
        values = np.asarray(picture, dtype=np.float64)
        # 16-bit greys come as I;16 or I (0..65535); pictures with no value above 255 are 8-bit already.
        scale = 1.0 if picture.mode in ("F", "I") and values.max(initial=0.0) <= 255 else 257.0
        grey = np.clip(np.rint(values / scale), 0, 255).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(flat, rgba).convert("RGB"))
    return np.asarray(picture.convert("RGB"))


def resize_rgb(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Stretch to the network's input size with Pillow's 8-bit BILINEAR, as every reader of the contract does.

    Parameters
    ----------
    image
        (H, W, 3) uint8, RGB.

    Returns
    -------
    np.ndarray
        (height, width, 3) uint8, RGB: triangle filter of support max(1, in/out), 22-bit fixed-point weights, horizontal
        pass first, rounded to 8 bits after each pass.
    """
    check_rgb(image)
    # One call would leave the order of the passes to Pillow, which from release 13 takes the cheaper one, and bytes differ.
    wide = Image.fromarray(image).resize((width, image.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(wide.resize((width, height), Image.Resampling.BILINEAR))


def resize_probability(probability: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bring (h, w) float32 probabilities to (height, width): bilinear, half-pixel centres, edges clamped."""
    if probability.shape == (height, width):
        return probability
    return cv2.resize(probability, (width, height), interpolation=cv2.INTER_LINEAR)


def to_mask8(probability: np.ndarray) -> np.ndarray:
    """Return round(255 p) as (H, W) uint8."""
    return np.rint(np.clip(probability, 0.0, 1.0) * 255.0).astype(np.uint8)


def check_rgb(image: np.ndarray) -> None:
    """Raise `InputError` unless `image` is (H, W, 3) uint8 with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise InputError(f"got {image.dtype} {image.shape}, expected uint8 (H, W, 3) RGB; convert the picture first")
