"""The real MediaPipe takes the files: `ImageSegmenter` in an environment of its own, against `Segmenter`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.metrics.iou import agreement
from edge_runtime.segmenter import Segmenter
from export.consumers import environments
from quantize.int8 import Int8Config, quantize
from scenes.render import generate

pytestmark = pytest.mark.full  # the first run installs mediapipe


@pytest.fixture(scope="module")
def uint8(tiny_checkpoint: Path, scene_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an artifact with uint8 ends."""
    out = tmp_path_factory.mktemp("uint8") / "out"
    quantize(Int8Config(scene_dir, tiny_checkpoint, "192x160", format=("tflite",), io="uint8", out=out, min_agreement=0.9))
    return out


@pytest.mark.parametrize("kind", ["fp32", "uint8"])
def test_image_segmenter_gives_the_masks_of_segmenter(
    kind: str, uint8: Path, artifacts: dict[str, Path], project_root: Path, tmp_path: Path
) -> None:
    """The Python snippet of docs/consumers.md runs as it is shown."""
    segmenter = Segmenter.load(uint8 if kind == "uint8" else artifacts["tflite-fp32"])
    scene = generate(12, (288, 384), "street", "clear")
    Image.fromarray(scene.image).save(tmp_path / "photo.png")
    (tmp_path / "model.tflite").write_bytes(segmenter.artifact.file("model").read_bytes())
    snippet = re.search(r"^```py\n(.*?)^```", (project_root / "docs" / "consumers.md").read_text(), flags=re.M | re.S)
    assert snippet is not None
    script = snippet[1] + 'np.savez("out.npz", probability=probability.squeeze(), sky=sky.squeeze(), labels=segmenter.labels)\n'
    done = subprocess.run([environments.make("mediapipe"), "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        probability, sky, labels = found["probability"], found["sky"], found["labels"].tolist()
    assert labels == ["sky"] and probability.shape == (288, 384)
    assert agreement(probability, segmenter(scene.image)) >= 0.995
    assert np.mean(sky == (probability >= 0.5)) > 0.999 and 0.1 < sky.mean() < 0.9
