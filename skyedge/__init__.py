"""Sky segmentation: `skyedge.Segmenter.load("unet_lite_s")(image)`, `skyedge.remove_sky(image)`, and the command `skyedge`.

A short name for the public parts of `edge_runtime`. Each is imported when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import edge_runtime as edge_runtime  # first, since it keeps interpreters from calling home

if TYPE_CHECKING:
    from edge_runtime.artifact.artifact import Artifact, read_artifact
    from edge_runtime.errors import GateError, InputError
    from edge_runtime.images.formats import read_rgb
    from edge_runtime.images.mask_file import read_mask
    from edge_runtime.masks.cutout import remove_sky
    from edge_runtime.masks.refine import RefineConfig, refine
    from edge_runtime.segmenter import Ensemble, Segmenter, load_models

    __version__: str

__all__ = [
    "Artifact", "Ensemble", "GateError", "InputError", "RefineConfig", "Segmenter", "load_models", "read_artifact", "read_mask",
    "read_rgb", "refine", "remove_sky",
]  # fmt: skip

PLACES = {
    "Artifact": "edge_runtime.artifact.artifact",
    "Ensemble": "edge_runtime.segmenter",
    "GateError": "edge_runtime.errors",
    "InputError": "edge_runtime.errors",
    "RefineConfig": "edge_runtime.masks.refine",
    "Segmenter": "edge_runtime.segmenter",
    "load_models": "edge_runtime.segmenter",
    "read_artifact": "edge_runtime.artifact.artifact",
    "read_mask": "edge_runtime.images.mask_file",
    "read_rgb": "edge_runtime.images.formats",
    "refine": "edge_runtime.masks.refine",
    "remove_sky": "edge_runtime.masks.cutout",
}


def __getattr__(name: str) -> Any:
    """Import a public name, or read the version of the installed distribution."""
    if name == "__version__":
        from importlib.metadata import version

        return version("skyedge")
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
