"""Run sky segmentation artifacts: `Segmenter.load(folder)(image)`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.segmenter import Segmenter

__all__ = ["Segmenter"]

# Both look up hosts and write a device id into the home folder as soon as they are imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # onnxruntime reads it
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # nncf and openvino do without it


def __getattr__(name: str) -> Any:
    """Import `Segmenter` when it is first asked for: commands that do not need it start faster."""
    if name == "Segmenter":
        from edge_runtime.segmenter import Segmenter

        return Segmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
