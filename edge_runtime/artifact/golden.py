"""The golden pair of an artifact: an image, and the mask that it must give on every machine."""

from __future__ import annotations

import base64
import math
import re
import stat
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_runtime.errors import GateError, InputError

if TYPE_CHECKING:
    from edge_runtime.artifact.artifact import Artifact

DIGESTS = "golden_sha256"  # in `provenance`: SHA-256 of the files of the input and of the output
FP32_MASK = "golden_fp32_mask"  # in `provenance`: the packed mask of the float32 network on the golden image
MIN_AGREEMENT = 0.9  # mask IoU with the float32 network on the golden image
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NPY_HEADER = re.compile(  # as numpy.save writes it; NumPy's own parser evaluates the text
    rb"\{'descr': '(?P<dtype>[|<>]\w{1,20})', 'fortran_order': (?P<order>True|False), 'shape': (?P<shape>\([0-9, ]*\)), \} *\n"
)


@dataclass(frozen=True)
class GoldenPair:
    """`input`: (H, W, 3) uint8 RGB at the network's input size; `output`: (H, W) float32 in [0, 1], probability of sky."""

    input: np.ndarray
    output: np.ndarray


@dataclass(frozen=True)
class Replay:
    """What the golden pair of one artifact showed.

    Attributes
    ----------
    max_abs, atol
        The largest difference in probability, and the one that is allowed.
    span
        Difference between the largest and the smallest golden probability.
    agreement
        Mask IoU with the float32 network on the golden image; None where the artifact does not record its mask.
    """

    max_abs: float
    atol: float
    span: float
    agreement: float | None = None

    @property
    def fault(self) -> str | None:
        """Why the golden pair does not hold; None where it does."""
        if self.span <= self.atol:
            return f"its values differ by {self.span:.3g}, so that a constant mask would hold too: it proves nothing"
        if not self.max_abs <= self.atol:
            return f"another result on this machine: a difference of {self.max_abs:.3g}, expected at most {self.atol:.3g}"
        if self.agreement is not None and not self.agreement >= MIN_AGREEMENT:
            return f"agreement with fp32 is {self.agreement:.3f}, expected at least {MIN_AGREEMENT}"
        return None

    @property
    def ok(self) -> bool:
        """Whether the golden pair holds."""
        return self.fault is None


def not_golden(names: str) -> GateError:
    """Return the error for artifacts whose golden pairs do not hold."""
    return GateError(f"the golden pair does not hold for {names}; update the interpreter, or take another precision")


def replay(artifact: Artifact, run: Callable[[np.ndarray], np.ndarray]) -> Replay:
    """Run the golden input of an artifact and compare with its golden output, and with the mask of float32.

    `run` is that of the artifact's `Backend`. Raises `InputError` where the golden pair is broken or the backend gives no
    probabilities.
    """
    spec, golden = artifact.spec, artifact.golden()
    got = run(golden.input)
    agreed = None
    if FP32_MASK in spec.provenance:
        agreed = agreement(got, unpack_mask(spec.provenance[FP32_MASK], got.shape).astype(np.float32))
    return Replay(float(np.abs(got - golden.output).max()), spec.golden.atol, float(np.ptp(golden.output)), agreed)


def agreement(p: np.ndarray, q: np.ndarray) -> float:
    """Return the IoU of the masks (>= 0.5) of two (H, W) probability maps; 1.0 where both are empty."""
    if p.shape != q.shape:
        raise InputError(f"got maps of {p.shape} and {q.shape}, expected equal shapes")
    first, second = p >= 0.5, q >= 0.5
    union = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / union if union else 1.0


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
