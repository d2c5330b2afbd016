"""Classical methods behind the protocol of the interpreters."""

from __future__ import annotations

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import Backend
from edge_runtime.backends.classical_methods import METHODS


class ClassicalBackend(Backend):
    """A method of `classical_methods`. OpenCV has one thread count for the process, which the caller sets."""

    name = "opencv"

    def __init__(self, artifact: Artifact, threads: int, device: str) -> None:
        self._method = METHODS[artifact.spec.name.removeprefix("classical-")]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Segment (H, W, 3) uint8 RGB; returns (H, W) float32, 0 or 1."""
        return self._method(image)
