"""Run sky segmentation artifacts: `Segmenter.load(folder)(image)`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge_runtime.segmenter import Segmenter

__all__ = ["Segmenter"]


def __getattr__(name: str) -> Any:
    """Import `Segmenter` when it is first asked for: commands that do not need it start faster."""
    if name == "Segmenter":
        from edge_runtime.segmenter import Segmenter

        return Segmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
