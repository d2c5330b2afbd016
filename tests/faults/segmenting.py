"""A drawn sky in files of many kinds, and `segment` on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.segment.run import Segment, main

MODEL = Path(__file__).parents[2] / "models" / "unet_lite_s" / "onnx-int8"
PIXELS = np.linspace((60, 110, 220), (190, 210, 250), 40).astype(np.uint8)[:, None].repeat(60, axis=1)


def write(path: Path, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(PIXELS).save(path, **options)  # type: ignore[arg-type]
    return path


def segment(*inputs: Path, out: Path, **options: object) -> None:
    main(Segment(inputs, (MODEL,), out, **options))  # type: ignore[arg-type]
