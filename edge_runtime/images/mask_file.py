"""Mask files, read strictly and written with a mark: the one convention that every command shares.

A mask is 8-bit gray: 255 sky, 0 other, 128 exactly is void (left out of every loss and metric); other values are soft
edges, value / 255 sky. A file of another convention (class numbers, palette, colors, cut-out) is refused, with advice.

`segment --low-res` and `batch` store the network's own map, a few kB, with the size of its image in a text chunk; readers
enlarge it.
"""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS, JPEG_START, PNG_START, SAFE_FORMATS, check_png, open_image, what_is_wrong
from edge_runtime.images.resize import resize_to_mask8

VOID = 128
RECORD_KEY = "skyedge"  # PNG text chunk of every mask that this program writes: how it was made
SIZE_KEY = f"{RECORD_KEY}-size"  # PNG text chunk of a low-resolution mask: WIDTHxHEIGHT of its image
MOST_PIXELS = 1 << 29  # that such a mask is enlarged to
EXPECTED = "8 bits of gray: 255 sky, 0 other, 128 void"
SOFTWARE_TAG = 0x0131  # EXIF
EXIF_RECORD, MOST_EXIF = re.compile(rb"skyedge: (\w+)\0"), 4096  # where a JPEG has its EXIF
PIXELS = {PNG_START: b"IDAT", JPEG_START: b"\xff\xda"}  # start of a file -> what stands before its pixels
PNG_FILTER_UP = 2
STRIP_BYTES = 1 << 17  # of a mask that are packed at once: it stays in the cache
CONVERT = "to `python train/adapters.py folder`"
SKY_FROM, CLASS_TO = 200, 63  # levels: surely sky from the one; up to the other (1 at least) surely not sky, and not 0 either
FEW_CLASS_PIXELS, MANY_CLASS_PIXELS, MOST_CLASSES = 0.005, 0.5, 40
FLAT = 0.5  # share of class pixels that equal their neighbor to the left


def read_gray(path: Path, what: str = "mask") -> tuple[np.ndarray, np.ndarray | None, bool]:
    """Read an image of gray as (H, W) uint8, its alpha channel (None where all is opaque), and whether we wrote it.

    A low-resolution mask is enlarged to the size of its image.
    Raises `InputError` for files that are broken, deeper than 8 bits, or not gray.
    """
    if wrong := what_is_wrong(path):
        raise InputError(f"got the {what} {path}, {wrong}, expected an 8-bit PNG; name an existing file")
    try:
        with open_image(path, SAFE_FORMATS) as opened:
            if opened.format == "PNG":
                check_png(path.read_bytes())
            opened.load()
            mode, size, ours = opened.mode, mask_size(opened), RECORD_KEY in opened.info or SIZE_KEY in opened.info
            plain = mode in ("1", "L") and not opened.has_transparency_data
            pixels = np.asarray(opened.convert("L" if plain else "RGBA"))
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read {what} {path}: {error}; expected an 8-bit PNG of one channel") from error
    if mode.startswith(("I", "F")):  # Pillow clips these to 255, and turns nearly all of them into sky
        raise InputError(f"{what} {path} has mode {mode}, expected {EXPECTED}; convert it")
    if mode == "P":
        advice = f"say --sky-value N, its number for sky, {CONVERT}"
        raise InputError(f"{what} {path} has a palette, expected {EXPECTED}; {advice}")
    if plain:
        return pixels if pixels.shape == size else resize_to_mask8(pixels / np.float32(255), *size), None, ours
    colored = (pixels[..., :1] != pixels[..., 1:3]).any(axis=2) & (pixels[..., 3] > 0)
    if colored.any():
        colors, counts = np.unique(pixels[colored][:, :3], axis=0, return_counts=True)
        color = " ".join(map(str, colors[counts.argmax()].tolist()))
        advice = f"if that is sky, say --sky-value {color} {CONVERT}"
        raise InputError(f"{what} {path} has colors, most often {color}, expected {EXPECTED}; {advice}")
    opaque = bool((pixels[..., 3] == 255).all())
    return np.ascontiguousarray(pixels[..., 0]), None if opaque else pixels[..., 3], ours


def mask_size(opened: Image.Image) -> tuple[int, int]:
    """Return the (height, width) of the mask in an opened file: that of its image; `ValueError` where it makes no sense."""
    text = opened.info.get(SIZE_KEY)
    if text is None:
        return opened.height, opened.width
    found = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", str(text))
    width, height = map(int, found.groups()) if found else (MOST_PIXELS, 2)
    if width * height > MOST_PIXELS:
        raise ValueError(f"its chunk {SIZE_KEY} holds {text!r:.40}, expected WIDTHxHEIGHT of at most {MOST_PIXELS} pixels")
    return height, width


def mask_png(mask: np.ndarray, record: str | None = None, size: tuple[int, int] | None = None, **texts: str) -> bytes:
    """Return (H, W) uint8 as a PNG; `record` says how it was made, and marks it as ours; `texts` become skyedge-NAME.

    `size` is the (height, width) of the image, where `mask` may be the network's own map.
    The rows are stored as differences to the row above and packed by run lengths: a network's smooth map takes half the time
    of Pillow's fastest PNG, which tries five filters for each row, at a tenth more bytes.
    """
    height, width = mask.shape
    step = max(1, STRIP_BYTES // width)
    lines = np.full((min(step, height), width + 1), PNG_FILTER_UP, np.uint8)
    packer = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
    packed = []
    for top in range(0, height, step):
        rows = mask[top : top + step]
        part = lines[: len(rows)]
        np.subtract(rows[0], mask[top - 1] if top else np.uint8(0), out=part[0, 1:])
        np.subtract(rows[1:], rows[:-1], out=part[1:, 1:])
        packed.append(packer.compress(part.data))
    packed.append(packer.flush())
    named = {RECORD_KEY: record, **{f"{RECORD_KEY}-{name}": text for name, text in texts.items()}} if record is not None else {}
    if size not in (None, mask.shape):
        named[SIZE_KEY] = f"{size[1]}x{size[0]}"
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    chunks += [(b"tEXt", f"{name}\0{text}".encode("latin-1")) for name, text in named.items()]
    chunks += [(b"IDAT", b"".join(packed)), (b"IEND", b"")]
    crc = [zlib.crc32(content, zlib.crc32(kind)) for kind, content in chunks]
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", digest)
        for (kind, content), digest in zip(chunks, crc, strict=True)
    ]
    return PNG_START + b"".join(parts)


def exif_record(record: str) -> Image.Exif:
    """Return the EXIF of another image of ours, such as an overlay; `record_of` reads it."""
    exif = Image.Exif()
    exif[SOFTWARE_TAG] = f"{RECORD_KEY}: {record}"
    return exif


def texts_of(content: bytes) -> dict[str, str]:
    """Return the text chunks that stand before the pixels of a PNG, also of one that was cut off behind them."""
    texts, at, kind = {}, len(PNG_START), b""
    while content.startswith(PNG_START) and at + 8 <= len(content) and kind != b"IDAT":
        length, kind = struct.unpack_from(">I4s", content, at)
        name, _, text = content[at + 8 : at + 8 + length].partition(b"\0")
        if kind == b"tEXt":
            texts[name.decode("latin-1")] = text.decode("latin-1")
        at += length + 12
    return texts


def record_of(path: Path) -> str | None:
    """Return the record of an image file that this program wrote, or its beginning where the file is cut off; None for others."""
    if what_is_wrong(path):
        return None
    content = path.read_bytes()
    if content.startswith(PNG_START):
        return texts_of(content).get(RECORD_KEY)
    software = EXIF_RECORD.search(content[:MOST_EXIF])
    return software[1].decode("latin-1") if software else None


def is_ours(path: Path, record: str) -> bool:
    """Tell whether an image has a record that starts with `record`, or was cut off before its first pixel: nobody misses it."""
    if what_is_wrong(path):
        return False
    content = path.read_bytes()
    empty = any(start.startswith(content[: len(start)]) and pixels not in content for start, pixels in PIXELS.items())
    return empty or (record_of(path) or "").startswith(record)


def read_mask(path: Path) -> np.ndarray:
    """Read a mask as (H, W) uint8; raises `InputError` for every other convention."""
    mask, alpha, ours = read_gray(path)
    if alpha is not None:
        raise InputError(
            f"mask {path} is transparent in parts (a cut-out), expected {EXPECTED}; save its alpha channel as the mask"
        )
    if not ours:  # a network's soft map of an image without sky may hold low values alone
        _check_levels(path, mask)
    return mask


def _check_levels(path: Path, mask: np.ndarray) -> None:
    """Raise `InputError` where a mask (H, W) uint8 holds class numbers instead of shares of sky."""
    counts = np.bincount(mask.ravel(), minlength=256)
    classes = counts[1 : CLASS_TO + 1]
    share, kinds = classes.sum() / mask.size, np.flatnonzero(classes) + 1
    without_sky = share > FEW_CLASS_PIXELS and not counts[SKY_FROM:].any()
    if not without_sky and (share <= MANY_CLASS_PIXELS or len(kinds) > MOST_CLASSES):
        return
    low = (mask > 0) & (mask <= CLASS_TO)
    alike = (mask[:, 1:] == mask[:, :-1])[low[:, 1:]]
    if alike.size and alike.mean() < FLAT:  # soft edges, such as gaps between leaves
        return
    if counts[2:].sum() == 0:
        raise InputError(f"mask {path} holds nothing above 1, expected 255 for sky; 1 is sky: say --sky-value 1 {CONVERT}")
    numbers = ", ".join(map(str, kinds[np.argsort(-classes[kinds - 1])][:5]))
    advice = f"say --sky-value N, the number for sky, {CONVERT}"
    raise InputError(f"mask {path} holds class numbers (most often {numbers}), expected {EXPECTED}; {advice}")
