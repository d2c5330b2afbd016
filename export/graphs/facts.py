"""What a file says of itself, whatever its format: how to feed it, what it gives, and the terms of its weights."""

from __future__ import annotations

import re

from edge_runtime.images.network_input import MEAN, STD, Size
from export.network import PROJECT_ROOT

NOTICE = PROJECT_ROOT / "models" / "NOTICE"  # credits that the terms of the `_open` weights ask for
OPEN = "CC BY"  # the terms of the `_open` weights
PRODUCER = "skyedge"
MOST_NAME = 255  # characters of a layer's name that ncnn reads


def terms(weights_license: str) -> str:
    """Return the terms of a network's weights, with the credits that open ones ask for."""
    return f"{weights_license}\n\n{NOTICE.read_text(encoding='utf-8')}" if OPEN in weights_license else weights_license


def facts(name: str, size: Size, weights_license: str) -> dict[str, str]:
    """Return what a program or a person must know to use the network `name`."""
    return {
        "name": name,
        "input": f"{size.width} x {size.height}, x = (pixel - mean) / std",
        "color_order": "RGB",
        "mean": f"{MEAN:g}, {MEAN:g}, {MEAN:g}",
        "std": f"{STD:g}, {STD:g}, {STD:g}",
        "resize": "bilinear with antialiasing (Pillow's, 8-bit), stretched to the input's size",
        "output": "probability of sky at every pixel, 0 to 1",
        "threshold": "0.5",
        "license": terms(weights_license),
    }


def sentence(name: str, size: Size, weights_license: str) -> str:
    """Return the same in a sentence, for formats with one field for it."""
    return (
        f"Sky segmentation, {name} at {size}: RGB, (pixel - {MEAN:g}) / {STD:g}, stretched bilinearly with antialiasing; "
        f"gives the probability of sky, threshold 0.5. Terms of the weights: {weights_license}"
    )


def layer_name(name: str, weights_license: str) -> str:
    """Return a name for ncnn's input layer: its text format knows no comments, and refers to layers by their blobs."""
    words = f"{name}.RGB.(pixel-{MEAN:g})/{STD:g}.gives-probability-of-sky.weights:{weights_license}"
    return re.sub(r"[^!-<>-~]+", "_", words)[:MOST_NAME]
