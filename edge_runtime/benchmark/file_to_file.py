"""From a photo's file to its mask's, step by step: what someone who masks a folder waits for."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from edge_runtime.files import write_bytes
from edge_runtime.images.formats import read_reduced
from edge_runtime.images.mask_file import mask_png
from edge_runtime.images.resize import resize_rgb, resize_to_mask8
from edge_runtime.segmenter import Segmenter

STEPS = ("read", "resize", "network", "enlarge", "write")  # as in C++


def time_steps(
    photo: Path, segmenter: Segmenter, runs: int, exact: bool = False, clock: Callable[[], int] = time.perf_counter_ns
) -> dict[str, tuple[int, ...]]:
    """Return the microseconds of each step in `runs` runs, after one more that fills the caches.

    `exact` decodes in full, as `segment --exact` does. `clock` gives nanoseconds: of the clock on the wall, or of the CPU, which
    other programs on the machine change less.
    """
    samples = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(runs + 1):
            at = [clock()]
            image, full = read_reduced(photo, None if exact else segmenter.artifact.size)
            at.append(clock())
            small = resize_rgb(image, *segmenter.artifact.size)
            at.append(clock())
            low_res = segmenter.backend.run(small)
            at.append(clock())
            mask = resize_to_mask8(low_res, *full)
            at.append(clock())
            write_bytes(Path(folder) / "mask.png", mask_png(mask))
            at.append(clock())
            samples.append([(end - start) // 1000 for start, end in zip(at, at[1:], strict=False)])
    return dict(zip(STEPS, zip(*samples[1:], strict=True), strict=True))
