"""The runtime in one class: load an artifact, give it images, get probabilities of sky."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.golden import not_golden, replay
from edge_runtime.backends import Backend, open_backend
from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.images.formats import from_pillow, read_rgb
from edge_runtime.images.resize import check_rgb, resize_probability, resize_rgb, resize_to_bool, resize_to_mask8
from edge_runtime.models import read_model

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageLike = np.ndarray | Image | Path | str | bytes
Color = Literal["RGB", "BGR"]
DEFAULT_MODEL = "unet_lite_s"  # the wheel brings its weights


class Predictor(ABC):
    """What `Segmenter` and `Ensemble` share: masks of any image, from a map at the network's own size."""

    @property
    @abstractmethod
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifacts that the masks come from."""

    @property
    @abstractmethod
    def threshold(self) -> float:
        """Probability from which a pixel counts as sky."""

    @abstractmethod
    def low_res(self, image: np.ndarray) -> np.ndarray:
        """Return the network's own map of (H, W, 3) uint8 RGB: (h, w) float32 in [0, 1], which covers the whole image."""

    def __call__(self, image: ImageLike, color: Color = "RGB") -> np.ndarray:
        """Return the probability of sky, (H, W) float32 in [0, 1], at the size of `image`.

        `image` is an array (H, W, 3) uint8 in the order of `color`, a PIL image, the path of an image file or its bytes; the
        size is that after EXIF orientation. Raises `TypeError` for anything else, `InputError` for a broken image.
        """
        pixels = to_rgb(image, color)
        return resize_probability(self.low_res(pixels), *pixels.shape[:2])

    def mask(self, image: ImageLike, color: Color = "RGB") -> np.ndarray:
        """Return where `image` is sky, (H, W) bool."""
        pixels = to_rgb(image, color)
        height, width = pixels.shape[:2]
        return resize_to_bool(self.low_res(pixels), height, width, self.threshold)

    def mask8(self, image: ImageLike, color: Color = "RGB") -> np.ndarray:
        """Return 255 times the probability of sky, rounded, (H, W) uint8: what `segment --exact` writes."""
        pixels = to_rgb(image, color)
        return resize_to_mask8(self.low_res(pixels), *pixels.shape[:2])

    def batch(self, images: Iterable[ImageLike], color: Color = "RGB") -> list[np.ndarray]:
        """Return where many images are sky, of any sizes and kinds, in their order; each is what `mask` gives.

        Threads work on several images at once, one for each usable core: load with `threads=1`. All masks are in memory
        together, a byte a pixel. An image that fails ends the batch with its error, which gives the number of the image.
        """
        single = isinstance(images, np.ndarray) and images.ndim != 4
        if single or isinstance(images, str | Path | bytes | bytearray | memoryview):
            raise TypeError(f"got images of type {type(images).__name__}, expected a list of images; put one image in a list")

        def one(numbered: tuple[int, ImageLike]) -> np.ndarray:
            number, image = numbered
            try:
                return self.mask(image, color)
            except (InputError, TypeError) as error:
                raise type(error)(f"image {number} of the batch: {error}") from error

        from concurrent.futures import ThreadPoolExecutor  # one photo needs none

        with ThreadPoolExecutor(usable_cores()) as pool:
            try:
                return list(pool.map(one, enumerate(images)))
            except BaseException:  # no image after the broken one is begun
                pool.shutdown(cancel_futures=True)
                raise


@dataclass(frozen=True, repr=False)
class Segmenter(Predictor):
    """An artifact, opened. Threads may share one."""

    artifact: Artifact
    backend: Backend

    @classmethod
    def load(cls, model: Path | str, threads: int = 1, device: str = "cpu", check: bool = False) -> Segmenter:
        """Read, check and open an artifact.

        `model` is a folder with `model.json`, the name of a released network such as `unet_lite_s`, or another name of
        `edge_runtime.models`. `threads` are CPU threads of the interpreter; `device` may be `cuda` for
        the formats torch and onnx, `tensorrt` for onnx. Raises `InputError` where the artifact is missing, damaged or not what
        its spec says, or where its interpreter is not installed or cannot use the device. `check` replays the golden pair, one
        run of the network, and raises `GateError` where the result is another one.
        """
        artifact = read_model(model)
        backend = open_backend(artifact, threads, device)
        if check and (fault := replay(artifact, backend.run).fault):
            raise not_golden(f"{model} ({fault})")
        return cls(artifact, backend)

    def __repr__(self) -> str:
        """Name the artifact and the interpreter."""
        return f"Segmenter({self.artifact.spec.name!r}, {self.backend.name})"

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The artifact, as a tuple of one: an `Ensemble` has several."""
        return (self.artifact,)

    @property
    def threshold(self) -> float:
        """Probability from which a pixel counts as sky."""
        return self.artifact.spec.output.threshold

    def low_res(self, image: np.ndarray) -> np.ndarray:
        """Return the network's own map of (H, W, 3) uint8 RGB: (h, w) float32 in [0, 1], which covers the whole image."""
        return self.backend.run(resize_rgb(image, *self.artifact.size))


@dataclass(frozen=True, repr=False)
class Ensemble(Predictor):
    """Two or more artifacts, opened, whose maps are averaged; it is used like a `Segmenter`. Input sizes may differ."""

    members: tuple[Segmenter, ...]

    def __repr__(self) -> str:
        """Name the members."""
        return f"Ensemble({', '.join(map(repr, self.members))})"

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The members' artifacts."""
        return tuple(member.artifact for member in self.members)

    @property
    def threshold(self) -> float:
        """Mean of the members' thresholds."""
        return sum(member.threshold for member in self.members) / len(self.members)

    def low_res(self, image: np.ndarray) -> np.ndarray:
        """Return the mean of the members' maps at the size of the largest; see `Segmenter.low_res`."""
        maps = [member.low_res(image) for member in self.members]
        height, width = max(each.shape[0] for each in maps), max(each.shape[1] for each in maps)
        mean = np.zeros((height, width), np.float32)
        for each in maps:
            mean += resize_probability(each, height, width)
        mean /= len(maps)
        return np.clip(mean, 0.0, 1.0, out=mean)


def load_models(models: Sequence[Path | str], threads: int = 1, device: str = "cpu", check: bool = False) -> Segmenter | Ensemble:
    """Open one model, or several as an ensemble; see `Segmenter.load`. A model that is given twice is an `InputError`."""
    if not models:
        raise InputError("got no model, expected one or more; released ones are in models/, e.g. models/unet_lite/onnx-int8")
    twice = sorted({str(model) for model in models if [str(other) for other in models].count(str(model)) > 1})
    if twice:
        raise InputError(f"got model {', '.join(twice)} twice, expected each once: the average would be the same mask")
    members = tuple(Segmenter.load(model, threads, device, check) for model in models)
    return members[0] if len(members) == 1 else Ensemble(members)


def to_rgb(image: ImageLike, color: Color = "RGB") -> np.ndarray:
    """Return any image that `Segmenter` takes as (H, W, 3) uint8 RGB; see `Segmenter.__call__`."""
    if color not in ("RGB", "BGR"):
        raise InputError(f"got color {color!r}, expected 'RGB' or 'BGR'")
    if isinstance(image, np.ndarray):
        check_rgb(image)
        return image if color == "RGB" else np.ascontiguousarray(image[..., ::-1])
    if isinstance(image, str | Path):
        return read_rgb(image)
    if isinstance(image, bytes | bytearray | memoryview):
        return read_rgb(bytes(image))
    if type(image).__module__.partition(".")[0] == "PIL":
        return from_pillow(image)
    expected = "an array (H, W, 3) uint8, a PIL image, the path of an image or its bytes"
    raise TypeError(f"got an image of type {type(image).__name__}, expected {expected}")
