"""OpenCV, imported when it is first used: segmenting images does without it, refining, videos and other skies need it.

`from edge_runtime.images.opencv import cv2` stands for `import cv2`.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_runtime.errors import InputError

if TYPE_CHECKING:
    import cv2 as cv2
else:

    class _OpenCV:
        """The module `cv2`; an attribute of it raises `InputError` where OpenCV is not installed."""

        def __getattr__(self, name: str) -> Any:
            try:
                module = importlib.import_module("cv2")
            except ImportError as error:
                raise InputError(f"this needs OpenCV ({error}); install it: pip install 'skyedge[opencv]'") from error
            value = getattr(module, name)
            setattr(self, name, value)
            return value

    cv2 = _OpenCV()


@cache
def has_opencv() -> bool:
    """Tell whether OpenCV is installed; it is not imported."""
    return importlib.util.find_spec("cv2") is not None


def set_threads(count: int) -> None:
    """Let OpenCV use `count` threads, where it is installed; its default is every core."""
    if has_opencv():
        cv2.setNumThreads(count)
