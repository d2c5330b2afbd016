"""The artifact: one folder with one `model.json`, the only contract between writers and runners of networks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact.golden import DIGESTS, GoldenPair, check_regular, read_golden
from edge_runtime.artifact.spec import (
    FILE_NAMES,
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
    format_spec,
    parse_spec,
)
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256, partial_folder
from edge_runtime.records import read_text

__all__ = [
    "FILE_NAMES", "GOLDEN_FILES", "SCHEMA_PATH", "SCHEMA_VERSION", "SPEC_FILE", "Artifact", "Calibration",
    "FileEntry", "Golden", "GoldenPair", "InputSpec", "ModelSpec", "OutputSpec", "Quant", "Quantization",
    "format_spec", "parse_spec", "read_artifact", "write_artifact",
]  # fmt: skip

SPEC_FILE = "model.json"
MOST_SPEC_BYTES = 16 * 1024 * 1024
GOLDEN_FILES = ("golden_in.npy", "golden_out.npy")


@dataclass(frozen=True, repr=False)
class Artifact:
    """An artifact whose spec and files were checked."""

    folder: Path
    spec: ModelSpec

    def __repr__(self) -> str:
        """Name the artifact and its folder; the spec may list hundreds of images."""
        return f"{type(self).__name__}({self.spec.name!r}, {str(self.folder)!r})"

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
        """Read the golden pair; raises `InputError` where it is broken, does not fit the input size, or has another digest."""
        paths = (self.folder / self.spec.golden.input, self.folder / self.spec.golden.output)
        pair = read_golden(*paths, self.size)
        told = self.spec.provenance.get(DIGESTS)  # None in artifacts of earlier versions
        if told is not None and told != [file_sha256(path) for path in paths]:
            raise InputError(f"{self.folder}: got a golden pair of another sha256 than {SPEC_FILE} says; copy or export it again")
        return pair


def read_artifact(folder: Path) -> Artifact:
    """Read and check an artifact: the spec, size and SHA-256 of every model file, and that the golden files exist.

    Raises `InputError` for a spec that breaks the contract, and for a file that is missing, no regular file, or another one
    than the spec says.
    """
    path = folder / SPEC_FILE
    if not os.path.lexists(path):
        got = f"a folder without {SPEC_FILE}" if folder.is_dir() else "no such folder"
        raise InputError(f"got {folder}: {got}, expected an artifact folder; make one with export/to_*.py")
    check_regular(path, MOST_SPEC_BYTES)
    text = read_text(path, "UTF-8 text; copy or export it again")
    try:
        spec = parse_spec(text)
    except InputError as error:
        raise InputError(f"{path}: {error}; copy or export the artifact again") from error
    artifact = Artifact(folder, spec)
    for role, entry in spec.files.items():
        _check_file(artifact.file(role), entry)
    for name in (spec.golden.input, spec.golden.output):
        check_regular(folder / name)
    return artifact


def write_artifact(folder: Path, draft: ModelSpec, files: Mapping[str, Path], golden: GoldenPair) -> Artifact:
    """Write an artifact whole or not at all, and return it as read back.

    An artifact in `folder` is replaced. `draft` has `golden.atol` set and `files` empty; `files` and the golden names are
    filled in. `files` maps the roles of `FILE_NAMES[draft.format]` to files to copy. Raises `InputError` where the draft
    breaks the contract, or where `folder` holds anything but an artifact.
    """
    names = FILE_NAMES.get(draft.format, {})
    if set(files) != set(names):
        raise InputError(f"got files {sorted(files)}, expected {sorted(names)} for format {draft.format!r}")
    check_replaceable(folder)
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
    provenance = {**draft.provenance, DIGESTS: [file_sha256(partial / name) for name in GOLDEN_FILES]}
    pair = Golden(GOLDEN_FILES[0], GOLDEN_FILES[1], draft.golden.atol)
    spec = dataclasses.replace(draft, files=entries, golden=pair, provenance=provenance)
    (partial / SPEC_FILE).write_text(format_spec(spec), encoding="utf-8")


def _check_file(path: Path, entry: FileEntry) -> None:
    size = check_regular(path)
    if size != entry.bytes:
        raise InputError(f"{path}: got {size} bytes, expected {entry.bytes}; copy or export it again")
    digest = file_sha256(path)
    if digest != entry.sha256:
        raise InputError(f"{path}: got sha256 {digest}, expected {entry.sha256}; copy or export it again")


def check_replaceable(folder: Path) -> None:
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
