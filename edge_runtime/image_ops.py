"""Pictures in and masks out: decoding, the exact resize of the contract, and the way back to the picture's size."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from edge_runtime.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises for a broken file
ORIENTATION_TAG = 0x0112  # EXIF
TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_rgb(path: Path | str) -> np.ndarray:
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
    path = Path(path)
    if not path.is_file():
        raise InputError(f"got {path}, expected an existing picture")
    try:
        with Image.open(path) as opened:
            opened.load()
            turn = TO_UPRIGHT.get(_orientation(opened))
            return to_rgb8(opened if turn is None else opened.transpose(turn))
    except DECODE_ERRORS as error:
        expected = "a complete JPEG, PNG, WebP, BMP or TIFF of at most 178 million pixels"
        raise InputError(f"cannot read picture {path}: {error}; expected {expected}") from error


def to_rgb8(picture: Image.Image) -> np.ndarray:
    """Return any Pillow picture as (H, W, 3) uint8 RGB; transparent parts lie over black."""
    if picture.mode.startswith(("I", "F")):
        return np.repeat(_deep_grey(picture)[:, :, None], 3, axis=2)
    if picture.mode == "La":  # Pillow converts it to nothing else
        picture = picture.convert("LA")
    if picture.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in picture.info:
        rgba = picture.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(flat, rgba).convert("RGB"))
    return np.asarray(picture.convert("RGB"))


def _deep_grey(picture: Image.Image) -> np.ndarray:
    """Return a grey picture of 16 or 32 bits as (H, W) uint8."""
    values = np.nan_to_num(np.asarray(picture, dtype=np.float64))
    brightest = values.max(initial=0.0)
    if picture.mode.startswith("I;16"):
        scale = 1 / 257
    elif picture.mode == "F" and brightest <= 1:
        scale = 255.0
    else:  # I and F do not say what white is: 255 or 65535, by the brightest pixel
        scale = 1.0 if brightest <= 255 else 1 / 257
    return np.clip(np.rint(values * scale), 0, 255).astype(np.uint8)


def _orientation(picture: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none or it is broken."""
    try:
        value = picture.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises many kinds for broken metadata, which is no reason to lose the picture
        return 1
    return value if isinstance(value, int) else 1


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
    # Two calls: one would leave the order of the passes to Pillow, which from release 13 on takes the cheaper first.
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
