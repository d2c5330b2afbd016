"""What tests run in child processes: sleeping, hanging and crashing, in a module that a child imports quickly."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_runtime.images import formats


def open_sleeper() -> Callable[[float], float]:
    """Return what answers after so many seconds, in a child."""
    return lambda seconds: time.sleep(seconds) or seconds


def open_half() -> Callable[[bytes], None]:
    """Return what hangs in the middle of its answer."""

    def half(answer: bytes) -> None:
        os.write(int(answer), pickle.dumps((True, bytes(1000)))[:100])
        time.sleep(600)

    return half


def open_poisoned() -> Callable[[Path], np.ndarray]:
    """Die at a file named crash*, as a bad pointer in a plugin would, hang at hang*, print at noise*."""
    decode = formats.open_decoder()

    def poisoned(path: Path) -> np.ndarray:
        if path.name.startswith("crash"):
            os.abort()
        if path.name.startswith("hang"):
            time.sleep(60)
        if path.name.startswith("noise"):
            os.write(1, b"printed by a library")
        return decode(path)

    return poisoned
