"""The cores of this process, and the one limit of threads of the libraries in it."""

from __future__ import annotations

import os
import sys

_limit: int | None = None


def usable_cores() -> int:
    """Return how many logical cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def limit_threads(count: int) -> None:
    """Let OpenCV, PyTorch and libraries with OpenMP use `count` threads, also where they are loaded later.

    The default of each is every core.
    """
    global _limit
    _limit = count
    os.environ["OMP_NUM_THREADS"] = str(count)
    apply_limit()


def apply_limit() -> None:
    """Apply the limit, where there is one, to OpenCV and PyTorch, where they are loaded."""
    if _limit is not None:
        if (cv2 := sys.modules.get("cv2")) is not None:
            cv2.setNumThreads(_limit)
        if (torch := sys.modules.get("torch")) is not None:
            torch.set_num_threads(_limit)
