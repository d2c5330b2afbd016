"""The runtime in one class: load an artifact, give it pictures, get probabilities of sky."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact import Artifact, read_artifact
from edge_runtime.backends import Backend, open_backend
from edge_runtime.image_ops import resize_probability, resize_rgb


@dataclass(frozen=True)
class Segmenter:
    """An artifact, opened; every call segments one picture.

    Attributes
    ----------
    artifact
        What was loaded.
    backend
        The interpreter that holds it.
    """

    artifact: Artifact
    backend: Backend

    @classmethod
    def load(cls, folder: Path | str, threads: int = 1, device: str = "cpu") -> Segmenter:
        """Read, check and open the artifact in `folder`.

        Parameters
        ----------
        folder
            Artifact folder (`model.json` and its files).
        threads
            CPU threads of the interpreter.
        device
            `cpu`, or `cuda` for an artifact of format torch.

        Raises
        ------
        InputError
            The artifact is missing, damaged, or not what its spec says, or its interpreter is not installed.
        """
        artifact = read_artifact(Path(folder))
        return cls(artifact, open_backend(artifact, threads, device))

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Segment one picture.

        Parameters
        ----------
        image
            (H, W, 3) uint8, RGB, of any size.

        Returns
        -------
        np.ndarray
            (H, W) float32 in [0, 1]: probability of sky at the picture's own size.
        """
        return resize_probability(self.coarse(image), *image.shape[:2])

    def coarse(self, image: np.ndarray) -> np.ndarray:
        """Segment one picture and stop at the network's own size, as `edge_runtime.refine` wants it.

        Parameters
        ----------
        image
            (H, W, 3) uint8, RGB, of any size.

        Returns
        -------
        np.ndarray
            (h, w) float32 in [0, 1], h and w the network's; it covers the whole picture.
        """
        return self.backend.run(resize_rgb(image, *self.artifact.size))
