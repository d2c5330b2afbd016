"""What an image that is made of a photograph takes over from it: color profile, EXIF, XMP."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS, ORIENTATION_TAG, open_image, register_heif

SOFTWARE_TAG = 0x0131  # EXIF
SIZE_TAGS = (0xA002, 0xA003)  # EXIF: width, height
EXIF_IFD = 0x8769
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
MOST_BYTES = 65_000  # of EXIF or XMP in a JPEG
SIDES = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # most pixels a side
XMP_ORIENTATION = re.compile(rb"(tiff:Orientation(?:=[\"']|>))\d")


@dataclass(frozen=True, eq=False)
class Photo:
    """The color profile of a photograph, None for sRGB, and its metadata."""

    icc: bytes | None = None
    exif: Image.Exif | None = None
    xmp: bytes | None = None

    @classmethod
    def of(cls, source: Path | str | bytes | Image.Image) -> Photo:
        """Read them; a file that is broken has none."""
        if isinstance(source, Image.Image):
            return cls._read(source)
        try:
            if not isinstance(source, bytes) and Path(source).suffix.lower() in HEIF_SUFFIXES:
                register_heif(Path(source))
            with open_image(source if isinstance(source, bytes) else Path(source)) as opened:
                return cls._read(opened)
        except (InputError, *DECODE_ERRORS):
            return cls()

    @classmethod
    def _read(cls, opened: Image.Image) -> Photo:
        icc, xmp = opened.info.get("icc_profile"), opened.info.get("xmp") or opened.info.get("XML:com.adobe.xmp")
        of_rgb = (icc or b"")[16:20] == b"RGB "  # gray and CMYK become RGB, which their profiles do not describe
        return cls(icc if of_rgb else None, opened.getexif(), xmp.encode() if isinstance(xmp, str) else xmp)

    def save(self, image: np.ndarray, path: Path, suffix: str, software: str, quality: int, metadata: bool = True) -> None:
        """Write an upright (H, W, 3) or (H, W, 4) uint8 image with the profile, and with the metadata unless told otherwise."""
        words: dict[str, Any] = {"icc_profile": self.icc, "quality": quality}
        xmp = XMP_ORIENTATION.sub(rb"\g<1>1", self.xmp) if metadata and self.xmp else b""
        words["exif"] = self._exif(image, software, metadata)
        if suffix == ".png" and xmp:
            words["pnginfo"] = PngImagePlugin.PngInfo()
            words["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp.decode(errors="replace"))
        elif xmp and len(xmp) < MOST_BYTES:
            words["xmp"] = xmp
        Image.fromarray(image).save(path, **words)

    def _exif(self, image: np.ndarray, software: str, metadata: bool) -> bytes:
        """Return the EXIF of an image made of this one: upright, its own size and software, no thumbnail."""
        exif = Image.Exif()
        if metadata and self.exif is not None:
            exif.load(self.exif.tobytes())
            exif.pop(ORIENTATION_TAG, None)
            details = exif.get_ifd(EXIF_IFD)
            details |= {tag: side for tag, side in zip(SIZE_TAGS, image.shape[1::-1], strict=True) if tag in details}
        exif[SOFTWARE_TAG] = software
        if metadata and len(content := exif.tobytes()) < MOST_BYTES:
            return content
        only = Image.Exif()
        only[SOFTWARE_TAG] = software
        return only.tobytes()


def check_side(path: Path, shape: tuple[int, ...]) -> None:
    """Raise `InputError` where an image of `shape` (H, W, ...) is larger than files of this kind can be."""
    most = SIDES.get(path.suffix.lower())
    if most is not None and max(shape[:2]) > most:
        got = f"{shape[1]} x {shape[0]} pixels for {path}"
        raise InputError(f"got {got}, expected sides of at most {most} in {path.suffix}; choose .png, or make it smaller")


def to_profile(image: np.ndarray, source: bytes | None, target: bytes | None) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of one color profile in another; None is sRGB."""
    if source == target:
        return image
    try:
        before, after = (ImageCms.getOpenProfile(io.BytesIO(icc or _srgb())) for icc in (source, target))
        converted = ImageCms.profileToProfile(Image.fromarray(image), before, after)
    except ImageCms.PyCMSError:  # a profile that is broken
        return image
    return np.asarray(converted)


def _srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
