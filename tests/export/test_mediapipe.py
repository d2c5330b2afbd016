"""The real MediaPipe takes the files: `ImageSegmenter` in an environment of its own, against `Segmenter`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.artifact.golden import agreement
from edge_runtime.images.resize import resize_rgb
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


@pytest.mark.parametrize("given", ["photo", "input size"])
@pytest.mark.parametrize("kind", ["fp32", "uint8"])
def test_image_segmenter_gives_the_masks_of_segmenter(
    kind: str, given: str, uint8: Path, artifacts: dict[str, Path], project_root: Path, tmp_path: Path
) -> None:
    """The Python snippet of docs/consumers.md runs as it is shown. MediaPipe makes a photo smaller in a way of its own."""
    segmenter = Segmenter.load(uint8 if kind == "uint8" else artifacts["tflite-fp32"])
    image = generate(12, (288, 384), "street", "clear").image
    if given == "input size":
        image = resize_rgb(image, *segmenter.artifact.size)
    Image.fromarray(image).save(tmp_path / "photo.png")
    (tmp_path / "model.tflite").write_bytes(segmenter.artifact.file("model").read_bytes())
    snippet = re.search(r"^```py\n(.*?)^```", (project_root / "docs" / "consumers.md").read_text(), flags=re.M | re.S)
    assert snippet is not None
    inside = "    labels = segmenter.labels\n"  # a segmenter that is closed has none
    script = snippet[1].replace("\nprobability =", f"\n{inside}probability =")
    script += 'np.savez("out.npz", probability=probability.squeeze(), sky=sky.squeeze(), labels=labels)\n'
    done = subprocess.run([environments.make("mediapipe"), "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "out.npz") as found:
        probability, sky, labels = found["probability"], found["sky"], found["labels"].tolist()
    assert labels == ["sky"] and probability.shape == image.shape[:2]
    assert agreement(probability, segmenter(image)) >= (0.9 if given == "photo" else 0.995)
    differs = sky != (probability >= 0.5)
    if given == "input size":
        assert np.all(probability[differs] == 0.5)  # not sky to MediaPipe
    assert np.mean(differs) < 0.01 and 0.1 < sky.mean() < 0.9
