"""What one consumer does with one artifact."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.golden import agreement
from edge_runtime.backends.tensors import InputEncoder, decode_output

FOREIGN = Path(__file__).with_name("foreign.py")
SOURCE = re.compile(r"/|\S+\.(cpp|h|py):")  # a word of a message that names a file
MIN_AGREEMENT_INT8 = 0.995  # mask IoU with the golden output


@dataclass(frozen=True)
class Verdict:
    """Whether a consumer takes an artifact.

    Attributes
    ----------
    consumer
        Its name.
    how
        `run`: it ran the golden input here. `checker`: its makers' own checker. `list`: its documented operators.
    takes
        None where it could not be asked here.
    agreement
        Mask IoU with the golden output; None where it did not run.
    why
        What it objects to, or what is worth knowing; may be empty.
    """

    consumer: str
    how: Literal["run", "checker", "list"]
    takes: bool | None
    agreement: float | None
    why: str


def replay(consumer: str, artifact: Artifact, program: str, python: Path | str = sys.executable) -> Verdict:
    """Give the golden input to a program of foreign.py; it objects by an exception, and some crash."""
    golden, spec = artifact.golden(), artifact.spec
    tensor = golden.input if program == "mediapipe" else InputEncoder(spec.input)(golden.input)
    with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
        given, made = Path(folder) / "input.npy", Path(folder) / "output.npy"
        np.save(given, tensor)
        words = [python, FOREIGN, program, artifact.file("model"), given, made]
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, errors="replace", timeout=600)
        if done.returncode < 0:
            return Verdict(consumer, "run", False, None, f"it crashes ({signal.Signals(-done.returncode).name})")
        if done.returncode > 0:
            return Verdict(consumer, "run", False, None, objection(done.stderr))
        output = np.load(made)
    try:
        mask = output.reshape(artifact.size) if program == "mediapipe" else decode_output(output, spec.output, *artifact.size)
    except ValueError as error:  # another shape, or no probabilities
        return Verdict(consumer, "run", False, None, objection(str(error)))
    return compared(consumer, artifact, mask)


def compared(consumer: str, artifact: Artifact, mask: np.ndarray) -> Verdict:
    """Return the verdict on a consumer's (H, W) probabilities for the golden input.

    Int8 kernels round differently, and single pixels at edges move far: there the masks decide, elsewhere the probabilities.
    """
    golden = artifact.golden().output
    largest, agreed = float(np.abs(mask - golden).max()), agreement(mask, golden)
    takes = bool(agreed >= MIN_AGREEMENT_INT8 if artifact.precision == "int8" else largest <= artifact.spec.golden.atol)
    why = "" if takes else f"wrong probabilities, off by up to {largest:.2f}, without an error"
    return Verdict(consumer, "run", takes, agreed, why)


def objection(stderr: str) -> str:
    """Return what a traceback ends with, without folders of this machine."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception|error)\b", line)]
    words = [word for word in " ".join(lines[starts[-1] :] if starts else lines[-1:]).split() if not SOURCE.match(word)]
    return " ".join(words)[:200] or "it fails without a word"
