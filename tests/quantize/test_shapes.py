"""Int8 networks whose input is not square, in every format: upright for a phone, and wide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge_runtime.segmenter import Segmenter
from quantize.int8 import Int8Config, quantize

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("size", "shape"), [("96x128", (128, 96)), ("160x96", (96, 160))])
def test_masks_keep_the_shape_of_the_input(
    size: str, shape: tuple[int, int], scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    made = quantize(Int8Config(scene_dir, tiny_checkpoint, size, out=tmp_path / "out", min_agreement=0.9))
    assert [artifact.spec.name for artifact in made] == [f"unet_lite_s-{size}-int8-{name}" for name in ("onnx", "tflite", "ncnn")]
    for artifact in made:
        assert artifact.size == shape and artifact.spec.metrics["agreement"]["on_scenes"] >= 0.9
        segmenter, golden = Segmenter.load(artifact.folder), artifact.golden()
        assert np.abs(segmenter.low_res(golden.input) - golden.output).max() <= artifact.spec.golden.atol
        assert segmenter(np.zeros((70, 50, 3), np.uint8)).shape == (70, 50)
