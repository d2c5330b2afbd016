"""The golden pair of an artifact: an image, and the mask that it must give on every machine."""

from __future__ import annotations

import base64
import math
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import InputError

DIGESTS = "golden_sha256"  # in `provenance`: SHA-256 of the files of the input and of the output
FP32_MASK = "golden_fp32_mask"  # in `provenance`: the packed mask of the float32 network on the golden image
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NPY_HEADER = re.compile(  # as numpy.save writes it; NumPy's own parser evaluates the text
    rb"\{'descr': '(?P<dtype>[|<>]\w{1,20})', 'fortran_order': (?P<order>True|False), 'shape': (?P<shape>\([0-9, ]*\)), \} *\n"
)


@dataclass(frozen=True)
class GoldenPair:
    """`input`: (H, W, 3) uint8 RGB at the network's input size; `output`: (H, W) float32 in [0, 1], probability of sky."""

    input: np.ndarray
    output: np.ndarray


def read_golden(image_path: Path, sky_path: Path, size: tuple[int, int]) -> GoldenPair:
    """Read a golden pair; raises `InputError` where it is broken or does not fit the input size (height, width)."""
    image = _read_array(image_path, "golden input", np.dtype(np.uint8), (*size, 3))
    sky = _read_array(sky_path, "golden output", np.dtype(np.float32), size)
    if not bool(np.all((sky >= 0) & (sky <= 1))):
        raise InputError("golden output: got values outside 0 to 1, expected probabilities; export it again")
    return GoldenPair(image, sky)


def pack_mask(probability: np.ndarray, threshold: float = 0.5) -> str:
    """Return the mask of (H, W) probabilities as text, for `provenance` of an artifact; `unpack_mask` gives it back."""
    return base64.b64encode(zlib.compress(np.packbits(probability >= threshold).tobytes(), 9)).decode("ascii")


def unpack_mask(text: Any, size: tuple[int, int]) -> np.ndarray:
    """Return a packed mask as (H, W) bool; raises `InputError` where `text` is none of that size."""
    pixels = math.prod(size)
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(text, validate=True), (pixels + 7) // 8 + 1)
        if len(content) != (pixels + 7) // 8:
            raise ValueError(f"{len(content)} bytes or more")
        return np.unpackbits(np.frombuffer(content, np.uint8), count=pixels).reshape(size).astype(bool)
    except (TypeError, ValueError, zlib.error) as error:
        raise InputError(f"got a packed mask that is broken ({error}), expected one of {size}; export it again") from error


def check_regular(path: Path, most_bytes: int | None = None) -> int:
    """Return the size of a file of the artifact; links, pipes and devices are refused, since they lead out of the folder."""
    try:
        found = path.lstat()
    except OSError as error:
        raise InputError(f"got no {path} ({error.strerror}), expected a file of the artifact; copy or export it again") from error
    if not stat.S_ISREG(found.st_mode):
        got = "a link" if stat.S_ISLNK(found.st_mode) else "no regular file"
        raise InputError(f"got {path}, which is {got}, expected a regular file; copy or export the artifact again")
    if most_bytes is not None and found.st_size > most_bytes:
        raise InputError(f"{path}: got {found.st_size} bytes, expected at most {most_bytes}; copy or export it again")
    return found.st_size


def _read_array(path: Path, what: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Read a `.npy` of this dtype and shape; its header is compared first, so that no header can ask for memory."""
    check_regular(path)
    size = math.prod(shape) * dtype.itemsize
    try:
        with path.open("rb") as file:
            start = file.read(10)
            header = file.read(int.from_bytes(start[8:], "little"))
            content = file.read(size + 1)
    except OSError as error:
        raise InputError(f"cannot read the {what} {path}: {error}; export it again") from error
    found = NPY_HEADER.fullmatch(header)
    if not start.startswith(NPY_MAGIC) or found is None:
        raise InputError(f"cannot read the {what} {path}: got no NumPy array of version 1.0; export it again")
    wanted = f"({', '.join(map(str, shape))})"
    if (found["dtype"], found["order"], found["shape"]) != (dtype.str.encode(), b"False", wanted.encode()):
        got = f"{found['dtype'].decode()} {found['shape'].decode()} (Fortran order: {found['order'].decode()})"
        raise InputError(f"{what}: got {got:.200}, expected {dtype.str} {wanted}; export it again")
    if len(content) != size:
        raise InputError(f"{what}: got {len(content)} bytes of values, expected {size}; export it again")
    return np.frombuffer(content, dtype).reshape(shape).copy()
