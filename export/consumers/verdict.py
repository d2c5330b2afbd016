"""What one consumer does with one artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends.tensors import InputEncoder, decode_output
from edge_runtime.metrics.iou import agreement


@dataclass(frozen=True)
class Verdict:
    """Whether a consumer takes an artifact.

    Attributes
    ----------
    consumer
        Its name.
    how
        `run`: it ran the golden input here. `checker`: its makers' own checker. `list`: its documented operators, from memory of
        no device.
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


def replay(consumer: str, artifact: Artifact, load: Callable[[], Callable[[np.ndarray], np.ndarray]]) -> Verdict:
    """Load an artifact into a consumer and give it the golden input, encoded as model.json says.

    `load` returns a function from the input tensor to the output tensor. Whatever it raises is the consumer's objection.
    """
    golden, spec = artifact.golden(), artifact.spec
    try:
        output = load()(InputEncoder(spec.input)(golden.input))
        mask = decode_output(output, spec.output, *artifact.size)
    except Exception as error:  # every consumer has exceptions of its own
        return Verdict(consumer, "run", False, None, first_line(error))
    return compared(consumer, artifact, mask)


def compared(consumer: str, artifact: Artifact, mask: np.ndarray) -> Verdict:
    """Return the verdict on a consumer's (H, W) probabilities for the golden input."""
    golden = artifact.golden().output
    largest, agreed = float(np.abs(mask - golden).max()), agreement(mask, golden)
    takes = largest <= artifact.spec.golden.atol
    why = "" if takes else f"wrong probabilities, off by up to {largest:.2f}, without an error"
    return Verdict(consumer, "run", takes, agreed, why)


def first_line(error: Exception) -> str:
    """Return what an exception says, shortened to one line without folders of this machine."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    words = [word for word in lines[-1 if lines[0].endswith(":") else 0].split() if "/" not in word]
    return " ".join(words)[:160]
