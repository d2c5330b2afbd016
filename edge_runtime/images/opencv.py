"""Packages that only some uses need, imported at their first use: OpenCV for refinement, videos and other skies.

`from edge_runtime.images.opencv import cv2` stands for `import cv2`.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_runtime.cores import apply_limit
from edge_runtime.errors import InputError


class Optional:
    """A module; an attribute of it raises `InputError` where its package is not installed.

    `package` is its name for people, `extra` the part of this project's package that brings it.
    """

    def __init__(self, module: str, package: str, extra: str) -> None:
        self._module, self._package, self._extra = module, package, extra

    def __getattr__(self, name: str) -> Any:
        """Import the module where needed, and return one of its names."""
        try:
            module = importlib.import_module(self._module)
        except ImportError as error:
            raise InputError(f"this needs {self._package} ({error}); install it: pip install 'skyedge[{self._extra}]'") from error
        apply_limit()
        value = getattr(module, name)
        setattr(self, name, value)
        return value


if TYPE_CHECKING:
    import cv2 as cv2
else:
    cv2 = Optional("cv2", "OpenCV", "opencv")


@cache
def has_opencv() -> bool:
    """Tell whether OpenCV is installed; it is not imported."""
    return importlib.util.find_spec("cv2") is not None
