"""The artifact: one folder with one `model.json`, the only contract between writers and runners of networks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.artifact.spec import (
    FILE_NAMES,
    PRECISIONS,
    SCHEMA_PATH,
    SCHEMA_VERSION,
    Calibration,
    FileEntry,
    Golden,
    InputSpec,
    ModelSpec,
    OutputSpec,
    Quant,
    Quantization,
    check_spec,
    format_spec,
    parse_spec,
)
from edge_runtime.errors import InputError
from edge_runtime.files import partial_folder

__all__ = [
    "FILE_NAMES", "GOLDEN_FILES", "PRECISIONS", "SCHEMA_PATH", "SCHEMA_VERSION", "SPEC_FILE", "Artifact", "Calibration",
    "FileEntry", "Golden", "GoldenPair", "InputSpec", "ModelSpec", "OutputSpec", "Quant", "Quantization", "check_spec",
    "file_sha256", "format_spec", "parse_spec", "read_artifact", "write_artifact",
]  # fmt: skip

SPEC_FILE = "model.json"
MOST_SPEC_BYTES = 16 * 1024 * 1024
NPY_MAGIC = b"\x93NUMPY\x01\x00"
NPY_HEADER = re.compile(  # as numpy.save writes it; NumPy's own parser evaluates the text
    rb"\{'descr': '(?P<dtype>[|<>]\w{1,20})', 'fortran_order': (?P<order>True|False), 'shape': (?P<shape>\([0-9, ]*\)), \} *\n"
)
GOLDEN_FILES = ("golden_in.npy", "golden_out.npy")


@dataclass(frozen=True)
class GoldenPair:
    """A picture and the mask it must give.

    Attributes
    ----------
    input
        (H, W, 3) uint8, RGB, at the network's input size, before normalization.
    output
        (H, W) float32 in [0, 1]: probability of sky.
    """

    input: np.ndarray
    output: np.ndarray


@dataclass(frozen=True)
class Artifact:
    """An artifact whose spec and files were checked."""

    folder: Path
    spec: ModelSpec

    def file(self, role: str) -> Path:
        """Return the path of the file with `role`: `model`, or `param` and `bin` for ncnn."""
        return self.folder / self.spec.files[role].path

    @property
    def precision(self) -> str:
        """`fp32`, `fp16` or `int8`."""
        return self.spec.quantization.precision

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input in pixels."""
        shape = self.spec.input.shape
        return (shape[1], shape[2]) if self.spec.input.layout == "NHWC" else (shape[2], shape[3])

    @property
    def size_bytes(self) -> int:
        """Size of the model's files together."""
        return sum(entry.bytes for entry in self.spec.files.values())

    @property
    def sha256(self) -> str:
        """SHA-256 of the model: its file's; for several files, that of their hex digests joined in order of role."""
        digests = [self.spec.files[role].sha256 for role in sorted(self.spec.files)]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

    def golden(self) -> GoldenPair:
        """Read the golden pair; raises `InputError` where it is broken or does not fit the input size."""
        height, width = self.size
        image = _read_array(self.folder / self.spec.golden.input, "golden input", np.dtype(np.uint8), (height, width, 3))
        sky = _read_array(self.folder / self.spec.golden.output, "golden output", np.dtype(np.float32), (height, width))
        if not bool(np.all((sky >= 0) & (sky <= 1))):
            raise InputError("golden output: got values outside 0 to 1, expected probabilities; export it again")
        return GoldenPair(image, sky)


def read_artifact(folder: Path) -> Artifact:
    """Read and check an artifact: the spec, then size and SHA-256 of every file, then that the golden files exist.

    Raises
    ------
    InputError
        No such folder, a spec that breaks the contract, or a file that is missing or differs from what the spec says.
    """
    path = folder / SPEC_FILE
    if not os.path.lexists(path):
        got = f"a folder without {SPEC_FILE}" if folder.is_dir() else "no such folder"
        raise InputError(f"got {folder}: {got}, expected an artifact folder; make one with export/to_*.py")
    _check_regular(path, MOST_SPEC_BYTES)
    try:
        spec = parse_spec(path.read_text(encoding="utf-8"))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    artifact = Artifact(folder, spec)
    for role, entry in spec.files.items():
        _check_file(artifact.file(role), entry)
    for name in (spec.golden.input, spec.golden.output):
        _check_regular(folder / name)
    return artifact


def write_artifact(folder: Path, draft: ModelSpec, files: Mapping[str, Path], golden: GoldenPair) -> Artifact:
    """Write an artifact whole or not at all: a temporary sibling folder, fsync, check by reading, rename.

    Parameters
    ----------
    folder
        Becomes the artifact. An artifact that is there is replaced; any other folder that is not empty is refused.
    draft
        The spec with `files` empty and `golden.atol` set; `files` and the golden names are filled in.
    files
        Role -> file to copy, with the roles of `FILE_NAMES[draft.format]`.
    golden
        The pair that `verify` replays.

    Raises
    ------
    InputError
        The draft breaks the contract, or `folder` holds something else.
    """
    names = FILE_NAMES.get(draft.format, {})
    if set(files) != set(names):
        raise InputError(f"got files {sorted(files)}, expected {sorted(names)} for format {draft.format!r}")
    _check_replaceable(folder)
    with partial_folder(folder, replace=True) as partial:
        _fill(partial, draft, {names[role]: (role, source) for role, source in files.items()}, golden)
        read_artifact(partial).golden()
    return read_artifact(folder)


def _fill(partial: Path, draft: ModelSpec, copies: Mapping[str, tuple[str, Path]], golden: GoldenPair) -> None:
    entries = {}
    for name, (role, source) in copies.items():
        shutil.copyfile(source, partial / name)
        entries[role] = FileEntry(name, file_sha256(partial / name), (partial / name).stat().st_size)
    for name, array in zip(GOLDEN_FILES, (golden.input, golden.output), strict=True):
        np.save(partial / name, array)
    spec = dataclasses.replace(draft, files=entries, golden=Golden(GOLDEN_FILES[0], GOLDEN_FILES[1], draft.golden.atol))
    (partial / SPEC_FILE).write_text(format_spec(spec), encoding="utf-8")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_regular(path: Path, most_bytes: int | None = None) -> int:
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


def _check_file(path: Path, entry: FileEntry) -> None:
    size = _check_regular(path)
    if size != entry.bytes:
        raise InputError(f"{path}: got {size} bytes, expected {entry.bytes}; copy or export it again")
    digest = file_sha256(path)
    if digest != entry.sha256:
        raise InputError(f"{path}: got sha256 {digest}, expected {entry.sha256}; copy or export it again")


def _read_array(path: Path, what: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Read a `.npy` of this dtype and shape; its header is compared first, so that no header can ask for memory."""
    _check_regular(path)
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


def _check_replaceable(folder: Path) -> None:
    """Refuse to delete what is not an artifact: a file, or a folder with files that no model.json accounts for."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"got the file {folder}, expected a folder to write an artifact into")
    present = {path.name for path in folder.iterdir()}
    known: set[str] = set()
    if SPEC_FILE in present:
        try:
            values = json.loads((folder / SPEC_FILE).read_text(encoding="utf-8"))
            known = {SPEC_FILE, *GOLDEN_FILES, *(entry["path"] for entry in values["files"].values())}
        except (ValueError, KeyError, TypeError, AttributeError):
            known = set()
    if present - known:
        listed = ", ".join(sorted(present - known)[:5])
        raise InputError(f"{folder} holds {listed}, expected an artifact or an empty or new folder; choose another")
