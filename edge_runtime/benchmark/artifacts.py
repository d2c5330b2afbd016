"""The artifacts of a benchmark: which they are, how the result file names them, and their facts."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from edge_runtime.artifact.artifact import SPEC_FILE, Artifact
from edge_runtime.backends import MOST_THREADS
from edge_runtime.benchmark.memory import measure_apart
from edge_runtime.benchmark.results import ArtifactFacts
from edge_runtime.errors import InputError
from edge_runtime.models import is_named, read_model


def check_threads(threads: tuple[int, ...]) -> None:
    """Raise `InputError` unless `threads` are counts that an interpreter can have, each once."""
    if not threads or any(not 1 <= count <= MOST_THREADS for count in threads):
        raise InputError(f"got --threads {threads}, expected counts of 1 to {MOST_THREADS}")
    if len(set(threads)) != len(threads):
        raise InputError(f"got --threads {threads}, expected each count once")


def find_artifacts(folders: tuple[Path, ...], reference: str = "") -> dict[str, Artifact]:
    """Read every artifact in `folders` and one level below. Keys are names, with the folder if names clash.

    Raises `InputError` where there is none, one is given twice, or none has the key `reference`.
    """
    found: dict[Path, Artifact] = {}
    for folder in folders:
        alone = is_named(folder) or (folder / SPEC_FILE).is_file()
        inside = [folder] if alone else sorted(path.parent for path in folder.glob(f"*/{SPEC_FILE}"))
        if not inside:
            raise InputError(f"got {folder} without an artifact, expected a folder with {SPEC_FILE}; export one first")
        for path in inside:
            if path.resolve() in found:
                raise InputError(f"got artifact {path} twice in --models, expected each once")
            found[path.resolve()] = read_model(path)
    names = Counter(artifact.spec.name for artifact in found.values())
    keys: dict[str, Artifact] = {}
    for place, artifact in found.items():
        name = artifact.spec.name
        keys[name if names[name] == 1 else f"{name} ({place.parent.name}/{place.name})"] = artifact
    if reference and reference not in keys:
        raise InputError(f"got --reference {reference!r}, expected one of {', '.join(keys)}")
    return keys


def choose_reference(facts: dict[str, ArtifactFacts], wanted: str) -> str | None:
    """Return the key of the reference: `wanted`, else the fp32 torch artifact with the most MACs, else None."""
    full = [fact for fact in facts.values() if fact.format == "torch" and fact.precision == "fp32"]
    return wanted or (max(full, key=lambda fact: fact.macs or 0).key if full else None)


def measure_facts(key: str, artifact: Artifact, threads: int, device: str) -> ArtifactFacts:
    """Return the facts of an artifact without its accuracy; its memory is measured in another process."""
    spec, (height, width) = artifact.spec, artifact.size
    return ArtifactFacts(
        key=key,
        name=spec.name,
        arch=spec.arch,
        format=spec.format,
        precision=artifact.precision,
        folder=shown_path(artifact.folder),
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        input_height=height,
        input_width=width,
        macs=_count(spec.provenance.get("macs")),
        parameters=_count(spec.provenance.get("parameters")),
        weights_license=spec.weights_license,
        memory=measure_apart(artifact.folder, threads, device),
        accuracy=None,
    )


def shown_path(folder: Path) -> str:
    """Return `folder` relative to the current folder, or its name if it lies elsewhere: never an absolute path."""
    relative = Path(os.path.relpath(folder))
    return folder.name if relative.parts[:1] == ("..",) or relative.is_absolute() else relative.as_posix()


def _count(value: Any) -> int | None:
    """Return a count from an artifact's provenance, whose values can be of any type."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
