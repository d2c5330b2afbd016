"""The drop-in for skyseg.onnx, read as facebookresearch/vggt reads the public file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest

from edge_runtime.artifact.golden import agreement
from edge_runtime.errors import InputError
from edge_runtime.segmenter import Segmenter
from scenes.render import generate
from skyedge import skyseg

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drop_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("skyseg") / "skyseg.onnx"
    command = [sys.executable, "-m", "skyedge", "skyseg", "--model", "unet_lite/onnx-fp32", "--out", out]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0 and "max-abs" in done.stdout, done.stderr
    return out


def sky_of(session: onnxruntime.InferenceSession, path: Path) -> np.ndarray:
    """Do the steps of vggt's `segment_sky` and `run_skyseg`: the sky of an image file, (H, W) bool."""
    image = cv2.imread(str(path))
    given = cv2.cvtColor(cv2.resize(image, (320, 320)), cv2.COLOR_BGR2RGB).astype(np.float32) / 255
    for channel, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        given[..., channel] = (given[..., channel] - mean) / deviation
    tensor = np.transpose(given, (2, 0, 1)).reshape(-1, 3, 320, 320).astype("float32")
    (first, *_), (given_name, *_) = session.get_outputs(), session.get_inputs()
    scores = np.squeeze(np.array(session.run([first.name], {given_name.name: tensor})))
    levels = ((scores - scores.min()) / (scores.max() - scores.min()) * 255).astype("uint8")
    return cv2.resize(levels, (image.shape[1], image.shape[0])) >= 32


def test_the_ends_are_those_of_the_public_file(drop_in: Path) -> None:
    session = onnxruntime.InferenceSession(drop_in)
    (given,), (made,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("input.1", [1, 3, 320, 320], "tensor(float)")
    assert (made.name, made.shape, made.type) == ("1959", [1, 1, 320, 320], "tensor(float)")
    assert drop_in.stat().st_size < 5e6
    assert session.get_modelmeta().custom_metadata_map == {"name": "unet_lite", "license": "research, non-commercial"}
    zeros = session.run(None, {"input.1": np.zeros((1, 3, 320, 320), np.float32)})[0]
    assert 0 <= zeros.min() <= zeros.max() <= 1


def test_masks_are_those_of_segmenter(drop_in: Path, tmp_path: Path) -> None:
    session, segmenter = onnxruntime.InferenceSession(drop_in), Segmenter.load("unet_lite/onnx-fp32")
    for seed, kind in enumerate(("mountain", "street", "trees", "water")):
        image = generate(seed, (360, 480), kind, "clear").image
        cv2.imwrite(str(tmp_path / "photo.png"), image[..., ::-1])
        sky = sky_of(session, tmp_path / "photo.png")
        assert sky.shape == (360, 480) and 0.05 < sky.mean() < 0.95
        assert agreement(sky.astype(np.float32), segmenter(image)) > 0.97


def test_a_file_that_is_there_stays(drop_in: Path, tmp_path: Path) -> None:
    before = drop_in.read_bytes()
    with pytest.raises(InputError, match="skyseg.onnx"):
        skyseg.make(skyseg.Skyseg(out=drop_in))
    assert drop_in.read_bytes() == before
    skyseg.make(skyseg.Skyseg(cut=0.5, out=drop_in, overwrite=True))
    assert drop_in.read_bytes() != before


@pytest.mark.parametrize("cut", [0.0, 1.0, -1.0, float("nan")])
def test_the_cut_lies_between_0_and_1(cut: float, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a number between 0 and 1"):
        skyseg.make(skyseg.Skyseg(cut=cut, out=tmp_path / "out.onnx"))
    with pytest.raises(InputError, match="got an artifact of format ncnn, expected onnx"):
        skyseg.make(skyseg.Skyseg("unet_lite_s/ncnn-fp16", out=tmp_path / "out.onnx"))
    assert not list(tmp_path.iterdir())


def test_the_int8_network_of_the_wheel_becomes_one_too(tmp_path: Path) -> None:
    assert skyseg.make(skyseg.Skyseg("unet_lite_s/onnx-int8", out=tmp_path / "out.onnx")) < 0.1
    assert (tmp_path / "out.onnx").stat().st_size < 5e5
