"""Decode image files, as they should be seen, to (H, W, 3) uint8 RGB.

Formats whose decoders can crash on a damaged file are decoded in a process of their own: a crash costs that one image.
"""

from __future__ import annotations

import atexit
import io
import os
import stat
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from edge_runtime.child import Child, EndedError, interpreter
from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.resize import STRIP_PIXELS

JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})
IMAGE_SUFFIXES = JPEG_SUFFIXES | {".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".heic", ".heif", ".hif"}
SAFE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")  # whose decoders do not crash on damaged files
DECODE_ERRORS = (  # what Pillow raises for a broken file
    OSError, SyntaxError, ValueError, RuntimeError, EOFError, LookupError, TypeError, ArithmeticError, struct.error,
    zlib.error, Image.DecompressionBombError,
)  # fmt: skip
EXPECTED = "a complete JPEG, PNG, WebP, BMP, TIFF, GIF, AVIF or HEIF of at most 178 million pixels"
ORIENTATION_TAG = 0x0112  # EXIF
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")  # ISO 23008-12; bytes 8 to 12
JPEG_START, PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
TIFF_STARTS = (b"II*\0", b"MM\0*")
DECODE_LIMIT_S = 120.0  # for one image of a risky format
TAIL_BYTES = 1 << 16  # cameras write previews and notes behind a JPEG's end


Source = Path | str | bytes  # the name of an image file, or its content


def read_rgb(source: Source) -> np.ndarray:
    """Decode an image file, or its bytes, as it should be seen, (H, W, 3) uint8 RGB; the first frame where there are several.

    EXIF orientation is applied, alpha is laid over black, CMYK and palettes become RGB, 16-bit gray is scaled to 8. Color
    profiles are ignored. Takes at most about 8 bytes per pixel meanwhile. TIFF, AVIF, HEIF and rare formats are decoded in
    a process of their own (`edge_runtime.child`). Raises `InputError` for a file that is missing or broken.
    """
    return read_reduced(source, None)[0]


def read_reduced(source: Source, sides: tuple[int, int] | None) -> tuple[np.ndarray, tuple[int, int]]:
    """Decode as `read_rgb` does, a large JPEG at 1/2, 1/4 or 1/8 of its size; also return the full (height, width), upright.

    The (height, width) of what is returned is at least `sides`; None is the full size. The decoder scales in the frequency
    domain, which is faster and nearly a mean.
    """
    what = source if isinstance(source, bytes) else Path(source)
    if isinstance(what, Path) and (wrong := what_is_wrong(what)):
        raise InputError(f"got {what}, {wrong}, expected an existing image")
    try:
        try:
            return _decode(what, SAFE_FORMATS, sides)
        except UnidentifiedImageError:
            if _is_heif(_start_of(what)):
                register_heif(what)  # says what to install
            image = _decode_apart(what)
            return image, (image.shape[0], image.shape[1])
    except InputError:
        raise
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read {_name(what)}: {error}; expected {EXPECTED}") from error


def _decode_apart(source: Path | bytes) -> np.ndarray:
    """Decode in the process for risky formats; in this one where the program cannot start one."""
    if interpreter() is None:
        return decode_any(source)
    try:
        found: np.ndarray = DECODER.ask(Path(os.path.abspath(source)) if isinstance(source, Path) else source, DECODE_LIMIT_S)
    except EndedError as error:
        raise ValueError(f"not done after {DECODE_LIMIT_S:.0f} s" if error.late else "its decoder crashed") from error
    return found


def open_decoder() -> Callable[[Path | bytes], np.ndarray]:
    """Return what decodes in the process for risky formats; it raises `InputError`, or `ValueError` for a broken file."""

    def decode(source: Path | bytes) -> np.ndarray:
        try:
            return decode_any(source)
        except InputError:
            raise
        except (*DECODE_ERRORS, MemoryError) as error:
            raise ValueError(str(error) or type(error).__name__) from error

    return decode


DECODER = Child(open_decoder)
atexit.register(DECODER.close)


def decode_any(source: Path | bytes) -> np.ndarray:
    """Decode a file of any format in this process, which a damaged one may crash; raises one of `DECODE_ERRORS`."""
    start = _start_of(source)
    if _is_heif(start):
        register_heif(source)
    try:
        return _decode(source)[0]
    except UnidentifiedImageError:
        if not start.startswith(TIFF_STARTS):
            raise
        return _decode_tiff(_content(source))


def _start_of(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:12]
    with source.open("rb") as file:
        return file.read(12)


def _content(source: Path | bytes) -> bytes:
    return source if isinstance(source, bytes) else source.read_bytes()


def _name(source: Path | bytes) -> str:
    """Return what errors call a file, or bytes."""
    return f"image {source}" if isinstance(source, Path) else f"the image from {len(source)} bytes"


def _is_heif(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in HEIF_BRANDS


@contextmanager
def open_image(source: Path | bytes, formats: tuple[str, ...] | None = None) -> Iterator[Image.Image]:
    """Open an image file or its bytes, of one of Pillow's `formats`; raises one of `DECODE_ERRORS` where it is none."""
    with warnings.catch_warnings():
        # Pillow warns from 89 million pixels on and refuses from 178 on: here that is known, and allowed.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=formats) as opened:
            yield opened


def _decode(
    source: Path | bytes, formats: tuple[str, ...] | None = None, sides: tuple[int, int] | None = None
) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the image and its full (height, width); see `read_reduced`."""
    with open_image(source, formats) as opened:
        width, height = opened.size
        if opened.format == "PNG":
            check_png(_content(source))
        elif sides is not None and opened.format in ("JPEG", "MPO"):
            opened.draft(None, (max(sides), max(sides)))  # it may be turned yet
        opened.load()
        orientation = _orientation(opened)
        image = to_rgb8(opened)
    # Turned after Pillow's copy is gone.
    return upright(image, orientation), (width, height) if 5 <= orientation <= 8 else (height, width)


def check_png(content: bytes) -> None:
    """Refuse a PNG that is cut short or has a chunk with a wrong CRC; Pillow does not check the CRCs of pixels."""
    data = memoryview(content)
    at, kind = len(PNG_START), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at) if at + 12 <= len(data) else (len(data), b"")
        end = at + 8 + length
        if end + 4 > len(data):
            raise OSError("the PNG is cut short")
        if zlib.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4]):
            raise OSError("a PNG chunk's CRC does not match its content")
        at = end + 4


def register_heif(source: Path | bytes) -> None:
    """Teach Pillow HEIF, for which it needs a package of its own (extra `heif`)."""
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{_name(source)} is a HEIF image, for which pillow-heif is needed; pip install pillow-heif, or convert it"
        ) from error
    pillow_heif.register_heif_opener()


def _decode_tiff(content: bytes) -> np.ndarray:
    """Decode a TIFF of a kind that Pillow does not know, such as colors in 32-bit float, by OpenCV."""
    try:
        values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"OpenCV says {error.err}") from error
    if values is None or values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)):
        raise ValueError("neither Pillow nor OpenCV knows this kind of TIFF")
    if values.dtype != np.uint8:
        values = _to_8_bits(values, 1 / 257 if values.dtype == np.uint16 else _white(values, values.dtype.kind == "f"))
    if values.ndim == 2:
        return np.repeat(values[:, :, None], 3, axis=2)
    if values.shape[2] == 4:
        alpha = values[:, :, 3:].astype(np.uint16)
        values = ((values[:, :, :3] * alpha + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(values[:, :, ::-1])


def what_is_wrong(path: Path) -> str | None:
    """Say why a path cannot be opened and read as a file; None where it can be."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "a link to nothing" if path.is_symlink() else "which does not exist"
    except (OSError, ValueError) as error:  # a loop of links, a name too long or with a zero byte, no rights
        return getattr(error, "strerror", None) or str(error)
    if stat.S_ISREG(mode):
        return None
    return "a folder" if stat.S_ISDIR(mode) else "a FIFO" if stat.S_ISFIFO(mode) else "a socket or device"


def read_size(path: Path, expected: tuple[int, int]) -> tuple[int, int]:
    """Return (height, width) of an image as it is seen, from its header.

    The orientation is only looked up where the size is `expected` turned: in a PNG it may stand behind the pixels.
    """
    if wrong := what_is_wrong(path):
        raise InputError(f"got {path}, {wrong}, expected an existing image")
    try:
        with open_image(path, SAFE_FORMATS) as opened:
            size = (opened.height, opened.width)
            if size != expected and size[::-1] == expected and 5 <= _orientation(opened) <= 8:
                return expected
            return size
    except UnidentifiedImageError:
        height, width, _ = read_rgb(path).shape  # of a format that only a decoder may look at
        return height, width
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read image {path}: {error}; expected {EXPECTED}") from error


def is_damaged(path: Path) -> bool:
    """Tell whether a PNG or JPEG was damaged after it was written: by all CRCs of a PNG, start and end of a JPEG."""
    content = path.read_bytes()
    if path.suffix.lower() != ".png":
        return not content.startswith(JPEG_START) or is_cut_off(path)
    try:
        check_png(content)
    except OSError:
        return True
    return not content.startswith(PNG_START)


def is_cut_off(path: Path) -> bool:
    """Tell whether a JPEG, PNG or WebP seems to lack its end; False for other formats."""
    with path.open("rb") as file:
        start = file.read(12)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        tail = file.read()
    if start[:4] == b"RIFF":
        return size < int.from_bytes(start[4:8], "little") + 8
    return (start.startswith(JPEG_START) and b"\xff\xd9" not in tail) or (start[:4] == b"\x89PNG" and b"IEND" not in tail)


def to_rgb8(image: Image.Image) -> np.ndarray:
    """Return any Pillow image as (H, W, 3) uint8 RGB; transparent parts lie over black."""
    scale = None
    if image.mode.startswith(("I", "F")):
        scale = 1 / 257 if image.mode.startswith("I;16") else _white(np.asarray(image), image.mode == "F")
    width, height = image.size
    step = max(1, STRIP_PIXELS // max(1, width))
    if step >= height:
        return _strip_to_rgb8(image, scale)
    out = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        out[top:bottom] = _strip_to_rgb8(image.crop((0, top, width, bottom)), scale)
    return out


def from_pillow(image: Image.Image) -> np.ndarray:
    """Return a Pillow image as `read_rgb` returns a file, upright; raises `InputError` where its data is broken."""
    try:
        image.load()
        return upright(to_rgb8(image), _orientation(image))
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read the Pillow image: {error}; expected {EXPECTED}") from error


def _strip_to_rgb8(image: Image.Image, scale: float | None) -> np.ndarray:
    if scale is not None:
        return np.repeat(_to_8_bits(np.asarray(image), scale)[:, :, None], 3, axis=2)
    if image.mode == "La":  # Pillow converts it to nothing else
        image = image.convert("LA")
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        flat = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(flat, rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _white(values: np.ndarray, is_float: bool) -> float:
    """Return the factor to 0..255 of values that do not say what white is: 1, 255 or 65535, by the brightest pixel."""
    brightest = np.fmax.reduce(values, axis=None, initial=0)  # passes NaN over
    if is_float and brightest <= 1:
        return 255.0
    return 1.0 if brightest <= 255 else 1 / 257


def _to_8_bits(values: np.ndarray, scale: float) -> np.ndarray:
    return np.clip(np.rint(np.nan_to_num(values.astype(np.float64)) * scale), 0, 255).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 (upright) where there is none or it is broken."""
    try:
        value = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # Pillow raises many kinds for broken metadata, which is no reason to lose the image
        return 1
    return value if isinstance(value, int) else 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turn or mirror (H, W, ...) as EXIF orientation 1 to 8 asks for; other numbers leave it."""
    if 5 <= orientation <= 8:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return np.ascontiguousarray(image)
