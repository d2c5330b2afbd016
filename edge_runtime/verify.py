"""Check artifacts and replay their golden pairs: `python -m edge_runtime.verify DIR...`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import tyro

from edge_runtime.cli import run_command
from edge_runtime.errors import GateError, InputError
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
    device: Literal["cpu", "cuda"] = "cpu"
    """cuda is for artifacts of format torch."""


@dataclass(frozen=True)
class Replay:
    """What the golden pair of one artifact showed: the largest difference in probability, and the one it may show."""

    max_abs: float
    atol: float

    @property
    def ok(self) -> bool:
        """Whether the golden pair holds."""
        return self.max_abs <= self.atol


def replay(segmenter: Segmenter) -> Replay:
    """Run the golden input of an opened artifact and compare with its golden output.

    Raises
    ------
    InputError
        The golden pair is broken, or the backend gives no probabilities.
    """
    golden = segmenter.artifact.golden()
    difference = np.abs(segmenter.backend.run(golden.input) - golden.output)
    return Replay(float(difference.max()), segmenter.artifact.spec.golden.atol)


def main(config: Verify) -> None:
    """Verify every folder, then raise `InputError` or `GateError` if one did not pass."""
    if not config.folders:
        raise InputError("got no artifact, expected one or more artifact folders")
    failed: list[str] = []
    unreadable: list[str] = []
    for folder in config.folders:
        try:
            segmenter = Segmenter.load(folder, config.threads, config.device)
            found = replay(segmenter)
        except (InputError, OSError) as error:
            unreadable.append(str(folder))
            print(f"{folder}: cannot be verified", flush=True)
            print(f"error: {error}", file=sys.stderr, flush=True)
            continue
        numbers = f"max abs difference {found.max_abs:.3g}, tolerance {found.atol:.3g}"
        print(f"{folder}: {segmenter.backend.name}, {numbers}, {'ok' if found.ok else 'FAILED'}", flush=True)
        if not found.ok:
            failed.append(str(folder))
    if unreadable:
        count = f"{len(unreadable)} of {len(config.folders)}"
        raise InputError(f"{count} artifacts cannot be verified: {', '.join(unreadable)}")
    if failed:
        raise GateError(
            f"the golden pair of {', '.join(failed)} does not hold on this machine; "
            "update the interpreter, or take another precision of the model"
        )


if __name__ == "__main__":
    run_command(main, Verify)
