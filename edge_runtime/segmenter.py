"""The runtime in one class: load an artifact, give it pictures, get probabilities of sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import Backend, open_backend
from edge_runtime.backends.classical_artifact import SmoothedArtifact, read_model
from edge_runtime.errors import InputError
from edge_runtime.images.ops import resize_probability, resize_rgb


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
    def load(cls, model: Path | str, threads: int = 1, device: str = "cpu") -> Segmenter:
        """Read, check and open an artifact.

        Parameters
        ----------
        model
            Artifact folder (`model.json` and its files), or another name of `edge_runtime.backends.classical_artifact`.
        threads
            CPU threads of the interpreter.
        device
            `cpu`, or `cuda` for an artifact of format torch.

        Raises
        ------
        InputError
            The artifact is missing, damaged, or not what its spec says, or its interpreter is not installed.
        """
        artifact = read_model(model)
        return cls(artifact, _open(artifact, threads, device))

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifact, as a tuple of one: what `Ensemble` has several of."""
        return (self.artifact,)

    @property
    def threshold(self) -> float:
        """Probability from which a pixel is called sky."""
        return self.artifact.spec.output.threshold

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
        """Segment one picture and stop at the network's own size, as `edge_runtime.masks.refine` wants it.

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

    def maps(self, image: np.ndarray) -> list[np.ndarray]:
        """Return `coarse` of each network, here of the one."""
        return [self.coarse(image)]


@dataclass(frozen=True)
class Ensemble:
    """Several artifacts, opened, whose probabilities are averaged; it is called as a `Segmenter` is.

    Attributes
    ----------
    members
        Two or more; formats and input sizes may differ.
    """

    members: tuple[Segmenter, ...]

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The members' artifacts."""
        return tuple(member.artifact for member in self.members)

    @property
    def threshold(self) -> float:
        """Mean of the members' thresholds."""
        return sum(member.threshold for member in self.members) / len(self.members)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Segment one picture: each map is brought to its size, then they are averaged; shapes as in `Segmenter`."""
        return average(self.maps(image), *image.shape[:2])

    def coarse(self, image: np.ndarray) -> np.ndarray:
        """Average at the size of the largest map; shapes as in `Segmenter.coarse`."""
        return average_coarse(self.maps(image))

    def maps(self, image: np.ndarray) -> list[np.ndarray]:
        """Return each member's map, (h, w) float32 in [0, 1] at its network's own size."""
        return [member.coarse(image) for member in self.members]


def load_models(models: Sequence[Path | str], threads: int = 1, device: str = "cpu") -> Segmenter | Ensemble:
    """Open one model, or several as an ensemble; the parameters are those of `Segmenter.load`.

    Raises
    ------
    InputError
        None is given, one is given twice, or one cannot be opened.
    """
    if not models:
        raise InputError("got no model, expected one or more; released ones are in models/, e.g. models/unet_lite/onnx-int8")
    twice = sorted({str(model) for model in models if [str(other) for other in models].count(str(model)) > 1})
    if twice:
        raise InputError(f"got model {', '.join(twice)} twice, expected each once: an average of equals is the same mask")
    members = tuple(Segmenter.load(model, threads, device) for model in models)
    return members[0] if len(members) == 1 else Ensemble(members)


def average(maps: Sequence[np.ndarray], height: int, width: int) -> np.ndarray:
    """Bring maps, each (h, w) float32, to (height, width) bilinearly and return their mean."""
    if len(maps) == 1:
        return resize_probability(maps[0], height, width)
    total = np.zeros((height, width), np.float32)
    for each in maps:
        total += resize_probability(each, height, width)
    total /= len(maps)
    return np.clip(total, 0.0, 1.0, out=total)


def average_coarse(maps: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of maps at the largest height and width among them."""
    return average(maps, max(each.shape[0] for each in maps), max(each.shape[1] for each in maps))


def _open(artifact: Artifact, threads: int, device: str) -> Backend:
    if not isinstance(artifact, SmoothedArtifact):
        return open_backend(artifact, threads, device)
    from edge_runtime.backends.classical import SmoothedBackend

    return SmoothedBackend(_open(artifact.inner, threads, device))
