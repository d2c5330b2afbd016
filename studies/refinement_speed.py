"""Time and memory of refinement on one core, in a process of its own: `python studies/refinement_speed.py`; JSON on stdout.

The proof takes three sizes, 0.3, 2 and 12 megapixels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

SIZES = ((480, 640), (1224, 1632), (3000, 4000))  # height, width in pixels: 0.3, 2 and 12 megapixels
LIMIT_SECONDS = 900
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Speed:
    """Refine one generated image of branches again and again, on one core."""

    height: int = 3000  # of the image, pixels
    width: int = 4000  # of the image, pixels
    runs: int = 15  # timed runs, after an untimed one


def measure(config: Speed) -> dict[str, Any]:
    """Start this file in a process of its own and return its figures; raises `RuntimeError` where it fails."""
    words = [sys.executable, __file__, "--height", config.height, "--width", config.width, "--runs", config.runs]
    done = subprocess.run(
        [str(word) for word in words], env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    if done.returncode:
        raise RuntimeError(f"{__file__} ended with {done.returncode}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def measure_sizes() -> dict[str, Any]:
    """Return the figures of `SIZES`, by megapixels."""
    return {f"{height * width / 1e6:.1f}": measure(Speed(height, width)) for height, width in SIZES}


def main(config: Speed) -> None:
    """Print wall and CPU milliseconds (median, least), and the growth of memory as a multiple of the image."""
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):  # BLAS reads them once, when numpy is imported
        print(json.dumps(measure(config)))
        return
    import cv2
    import numpy as np

    from edge_runtime.benchmark.memory import resident_bytes
    from edge_runtime.masks.refine import refine
    from scenes.render import generate

    cv2.setNumThreads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    scene = generate(0, (384, 512), "trees", "clear")
    size = (config.width, config.height)
    image = cv2.resize(scene.image, size, interpolation=cv2.INTER_CUBIC)
    probability = cv2.resize(scene.alpha, (256, 256), interpolation=cv2.INTER_AREA)
    before, _ = resident_bytes("VmHWM")
    refine(image, probability)
    walls, cpus = [], []
    for _ in range(config.runs):
        wall, cpu = time.perf_counter(), time.process_time()
        refine(image, probability)
        walls.append((time.perf_counter() - wall) * 1e3)
        cpus.append((time.process_time() - cpu) * 1e3)
    figures = {
        "height": config.height,
        "width": config.width,
        "runs": config.runs,
        "threads": 1,
        "wall_ms": {"median": round(float(np.median(walls)), 1), "min": round(min(walls), 1)},
        "cpu_ms": {"median": round(float(np.median(cpus)), 1), "min": round(min(cpus), 1)},
        "peak_rss_growth_images": round((resident_bytes("VmHWM")[0] - before) / image.nbytes, 2),
        "load_average": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    from edge_runtime.cli import run_command

    run_command(main, Speed)
