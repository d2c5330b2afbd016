"""Segment one image after the other in a process of its own, which an image may crash, fill or hang: it costs that image.

The parent sends bytes and gets a record and the mask. After a crash or a time-out the same image is given to a fresh
process once more, alone; when that fails too, the failure is its record.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import resource
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from edge_runtime.child import Child, EndedError
from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.images.mask_file import mask_png
from edge_runtime.masks.horizon import find_horizon
from edge_runtime.segment.mask import MaskOptions, make_mask
from edge_runtime.segmenter import Ensemble, Segmenter, load_models

MIB = 1 << 20
CRASHED, TIMED_OUT = "crashed", "timed out"


@dataclass(frozen=True)
class Settings:
    """What decides the masks, and the limits of a process; `memory_mib` 0 is no limit.

    A machine whose `models` have another SHA-256 than `model_sha256`, joined by +, is refused.
    """

    models: tuple[str, ...]
    model_sha256: str
    device: str
    min_sky: float | None
    low_res: bool
    exact: bool
    time_limit_s: float
    memory_mib: int


@dataclass(frozen=True)
class Answer:
    """What a process says of an image: its record, and the mask as PNG; or error and kind."""

    record: dict[str, Any]
    mask: bytes | None
    error: str | None = None
    kind: str | None = None
    retried: bool = False


class Process:
    """The process that segments; it starts with the first image."""

    def __init__(self, settings: Settings, gpu: int | None = None) -> None:
        self._settings = settings
        self._child = Child(open_network, settings, gpu)

    def segment(self, content: bytes) -> Answer:
        """Segment the image of a file's bytes. Raises `InputError` where the model cannot be opened."""
        answer = self._ask(content)
        if answer.kind not in (CRASHED, TIMED_OUT):
            return answer
        second = self._ask(content)  # alone in its process: this one is fresh, and ends here
        self.close()
        return dataclasses.replace(second, retried=True)

    def close(self) -> None:
        """End the process, if there is one."""
        self._child.close()

    def _ask(self, content: bytes) -> Answer:
        try:
            return cast(Answer, self._child.ask(content, self._settings.time_limit_s))
        except EndedError as error:
            if error.late:
                return failed(f"not done after {self._settings.time_limit_s:.0f} s", TIMED_OUT)
            return failed(f"its process ended with code {error.code}", CRASHED)


def failed(error: str, kind: str) -> Answer:
    """Return the answer for an image without a mask."""
    return Answer({}, None, error, kind)


def visible(gpu: int, before: str | None) -> str:
    """Return the CUDA_VISIBLE_DEVICES that leaves GPU number `gpu` of those that are visible."""
    return before.split(",")[gpu] if before else str(gpu)


def open_network(settings: Settings, gpu: int | None = None) -> Callable[[bytes], Answer]:
    """Return what answers the bytes of an image, in the process of `Process`."""
    if gpu is not None:  # torch is not imported yet
        os.environ["CUDA_VISIBLE_DEVICES"] = visible(gpu, os.environ.get("CUDA_VISIBLE_DEVICES"))
    if settings.memory_mib:
        resource.setrlimit(resource.RLIMIT_DATA, (settings.memory_mib * MIB, settings.memory_mib * MIB))
    limit_threads(1)
    try:
        segmenter = load_models(settings.models, 1, settings.device)
    except MemoryError as error:
        raise InputError("got not enough memory to open the model, expected more; raise --memory-limit") from error
    found = "+".join(artifact.sha256 for artifact in segmenter.artifacts)
    if found != settings.model_sha256:
        got = f"got {', '.join(settings.models)} with SHA-256 {found} on {platform.node()}"
        raise InputError(f"{got}, expected {settings.model_sha256}, as the driver has; copy the same model to all machines")

    def answer(content: bytes) -> Answer:
        try:
            return segment(content, segmenter, settings)
        except InputError as error:
            return failed(str(error), "unreadable")
        except MemoryError:
            return failed(f"not enough memory: more than {settings.memory_mib} MiB", "memory")

    return answer


def segment(content: bytes, segmenter: Segmenter | Ensemble, settings: Settings) -> Answer:
    """Return record and mask of the bytes of an image file; raises `InputError` where they are broken."""
    found = make_mask(content, segmenter, MaskOptions(min_sky=settings.min_sky, low_res=settings.low_res, exact=settings.exact))
    record = {
        "width": found.size[1],
        "height": found.size[0],
        "sky_share": found.finding.sky_share,
        "confidence": found.finding.confidence,
        "horizon": horizon_of(found.low_res) if found.finding.sky else None,
    }
    return Answer(record, mask_png(found.mask, size=found.size))


def horizon_of(low_res: np.ndarray) -> float | None:
    """Return the height of the horizon in a map (h, w), 0 at its upper edge, 1 at its lower; None where none is in sight."""
    found = find_horizon(low_res)
    return round(found.y, 4) if low_res.max() > 0.5 and found.y < 1 else None
