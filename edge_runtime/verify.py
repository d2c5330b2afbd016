"""Check artifacts and replay their golden pairs: `python -m edge_runtime.verify DIR...`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.artifact.golden import FP32_MASK, unpack_mask
from edge_runtime.backends import Device
from edge_runtime.cli import run_command
from edge_runtime.errors import GateError, InputError
from edge_runtime.metrics.iou import agreement
from edge_runtime.segmenter import Segmenter

MIN_AGREEMENT = 0.9  # mask IoU with the float32 network on the golden image


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
            return "another result on this machine"
        if self.agreement is not None and not self.agreement >= MIN_AGREEMENT:
            return f"agreement with fp32 is {self.agreement:.3f}, expected at least {MIN_AGREEMENT}"
        return None

    @property
    def ok(self) -> bool:
        """Whether the golden pair holds."""
        return self.fault is None


def replay(segmenter: Segmenter) -> Replay:
    """Run the golden input of an opened artifact and compare with its golden output, and with the mask of float32.

    Raises `InputError` where the golden pair is broken or the backend gives no probabilities.
    """
    spec, golden = segmenter.artifact.spec, segmenter.artifact.golden()
    got = segmenter.backend.run(golden.input)
    agreed = None
    if FP32_MASK in spec.provenance:
        agreed = agreement(got, unpack_mask(spec.provenance[FP32_MASK], got.shape).astype(np.float32))
    return Replay(float(np.abs(got - golden.output).max()), spec.golden.atol, float(np.ptp(golden.output)), agreed)


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
        if found.agreement is not None:
            numbers += f", agreement with fp32 {found.agreement:.3f}"
        print(f"{folder}: {segmenter.backend.name}, {numbers}, {'ok' if found.ok else 'FAILED'}", flush=True)
        if not found.ok:
            failed.append(f"{folder} ({found.fault})")
    if unreadable:
        count = f"{len(unreadable)} of {len(config.folders)}"
        raise InputError(f"{count} artifacts cannot be verified: {', '.join(unreadable)}")
    if failed:
        raise GateError(
            f"the golden pair does not hold for {', '.join(failed)}; update the interpreter, or take another precision"
        )


if __name__ == "__main__":
    run_command(main, Verify)
