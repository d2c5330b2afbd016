"""Check artifacts and replay their golden pairs: `python -m edge_runtime.verify DIR...`."""

from __future__ import annotations
from edge_runtime.cli import outcome, run_command

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from edge_runtime.artifact.golden import not_golden, replay
from edge_runtime.backends import Device
from edge_runtime.errors import InputError
from edge_runtime.segmenter import Segmenter


@dataclass(frozen=True)
class Verify:
    """Check the contract and the SHA-256 of artifacts, and replay their golden pairs on this machine.

    Prints a line per artifact. Exit code 1 where a golden pair does not hold, 2 where an artifact cannot be read.
    """

    folders: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Artifact folders."""
    threads: int = 1
    """CPU threads of the interpreter."""
    device: Device = "cpu"
    """cuda is for artifacts of the formats torch and onnx, tensorrt for onnx."""


def main(config: Verify) -> None:
    """Verify every folder, then raise `InputError` or `GateError` if one did not pass."""
    if not config.folders:
        raise InputError("got no artifact, expected one or more artifact folders")
    failed: list[str] = []
    unreadable: list[str] = []
    for folder in config.folders:
        try:
            segmenter = Segmenter.load(folder, config.threads, config.device)
            found = replay(segmenter.artifact, segmenter.backend.run)
        except (InputError, OSError) as error:
            unreadable.append(str(folder))
            print(f"{folder}: cannot be verified", flush=True)
            print(outcome(error)[1], file=sys.stderr, flush=True)
            continue
        numbers = f"max abs difference {found.max_abs:.3g}, tolerance {found.atol:.3g}"
        if found.agreement is not None:
            numbers += f", agreement with fp32 {found.agreement:.3f}"
        print(f"{folder}: {segmenter.backend.name}, {numbers}, {'ok' if found.ok else 'FAILED'}", flush=True)
        if not found.ok:
            failed.append(f"{folder} ({found.fault})")
    if unreadable:
        count = f"{len(unreadable)} of {len(config.folders)}"
        raise InputError(f"{count} artifacts cannot be verified: {', '.join(unreadable)}")
    if failed:
        raise not_golden(", ".join(failed))


if __name__ == "__main__":
    run_command(main, Verify)
