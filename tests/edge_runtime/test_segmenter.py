"""The class that applications use: what it opens, what it takes, what it says."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.backends import FORMATS
from edge_runtime.errors import InputError
from edge_runtime.images.resize import to_mask8
from edge_runtime.segmenter import load_models

MODELS = Path(__file__).resolve().parents[2] / "models"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load("unet_lite_s/onnx-int8")


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)


def test_released_networks_have_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Segmenter.load("unet_lite_s").artifact.folder == MODELS / "unet_lite_s" / "onnx-fp32"
    assert Segmenter.load("u2netp_p5/tflite-int8").artifact.folder == MODELS / "u2netp_p5" / "tflite-int8"
    assert Segmenter.load("unet_lite_s/tflite-int8-192x256").artifact.size == (256, 192)
    assert load_models(["unet_lite_s", "classical:color"]).artifacts[1].spec.name == "classical-color"
    with pytest.raises(InputError, match="unet_lite_s_open is here; pip install skyedge-models brings all"):
        Segmenter.load("unet_lite_xl")
    for name in ("unet_lite_xl", "unet_lite_s/onnx-fp64", "../models/unet_lite_s", "", "~"):
        with pytest.raises(InputError, match="expected an artifact folder"):
            Segmenter.load(name)
    (tmp_path / "unet_lite_s").mkdir()  # a folder of that name comes first
    with pytest.raises(InputError, match="without model.json"):
        Segmenter.load("unet_lite_s")


def test_a_missing_interpreter_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name, known in FORMATS.items():
        monkeypatch.setitem(FORMATS, name, dataclasses.replace(known, interpreters=("not_installed_here",)))
    with pytest.raises(InputError, match=r"here as ncnn-int8, onnx-fp32, tflite-int8, tflite-uint8, .*'skyedge\[ncnn\]'"):
        Segmenter.load("unet_lite_s_open")


def test_every_kind_of_image_gives_the_same(segmenter: Segmenter, image: np.ndarray, tmp_path: Path) -> None:
    expected = segmenter(image)
    pillow = Image.fromarray(image)
    pillow.save(tmp_path / "a.png")
    pillow.save(tmp_path / "a.tif")
    for given in (tmp_path / "a.png", str(tmp_path / "a.tif"), pillow, Image.open(tmp_path / "a.png")):
        assert np.array_equal(segmenter(given), expected)
    for name in ("a.png", "a.tif"):
        content = (tmp_path / name).read_bytes()
        assert np.array_equal(segmenter(content), expected) and np.array_equal(segmenter(bytearray(content)), expected)
    assert np.array_equal(segmenter(image[..., ::-1], color="BGR"), expected)
    assert np.array_equal(load_models([MODELS / "unet_lite_s" / "onnx-int8"])(pillow), expected)


def test_orientation_and_alpha_of_pillow_images(segmenter: Segmenter, image: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", exif=exif)
    assert segmenter(buffer.getvalue()).shape == segmenter(Image.open(buffer)).shape == (70, 50)
    assert segmenter(Image.fromarray(image).convert("L")).shape == (50, 70)
    clear = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    assert np.array_equal(segmenter(clear), segmenter(np.zeros((8, 8, 3), np.uint8)))


@pytest.mark.parametrize("given", [None, 5, ["a.jpg"], 1.5, {"a": 1}, object()])
def test_other_types_are_type_errors(segmenter: Segmenter, given: Any) -> None:
    with pytest.raises(TypeError, match="expected an array"):
        segmenter(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "got float32"),
        (np.zeros((4, 4), np.uint8), "got uint8"),
        (np.zeros((4, 4, 4), np.uint8), "got uint8"),
        (np.zeros((0, 4, 3), np.uint8), "got uint8"),
        (b"", "from 0 bytes"),
        (b"not an image", "from 12 bytes"),
        ("missing.jpg", "missing.jpg"),
    ],
)
def test_bad_images_are_input_errors(segmenter: Segmenter, given: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        segmenter(given)


def test_colors_have_two_names(segmenter: Segmenter, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="got color 'rgb', expected 'RGB' or 'BGR'"):
        segmenter(image, color="rgb")  # type: ignore[arg-type]


def test_reprs_are_short(segmenter: Segmenter) -> None:
    assert repr(segmenter) == "Segmenter('unet_lite_s-192-int8-onnx', onnxruntime)"
    assert len(repr(segmenter.artifact)) < 200
    assert repr(load_models(["unet_lite_s", "unet_lite"])).startswith("Ensemble(Segmenter(")


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, edge_runtime; print(*sorted({'numpy', 'cv2', 'torch', 'PIL', 'onnxruntime'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@pytest.mark.parametrize("model", ["unet_lite_s/onnx-int8", "unet_lite_s/tflite-int8", "unet_lite_s/ncnn-int8"])
def test_a_batch_gives_what_single_calls_give(model: str, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    arrays = [random.integers(0, 256, (20 + 9 * number, 150 - 7 * number, 3), np.uint8) for number in range(12)]
    Image.fromarray(arrays[3]).save(tmp_path / "a.png")
    images = [*arrays[:3], Image.fromarray(arrays[3]), tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), *arrays[4:]]
    for used in (Segmenter.load(model), load_models([model, "classical:color"])):
        masks = used.batch(images)
        assert len(masks) == len(images)
        for image, mask in zip(images, masks, strict=True):
            assert np.array_equal(mask, used(image) >= used.threshold)
            assert np.array_equal(used.mask8(image), to_mask8(used(image)))
    assert used.batch([]) == [] and len(used.batch(np.stack([arrays[0], arrays[0]]))) == 2
    assert np.array_equal(used.batch(iter([arrays[0][..., ::-1]]), color="BGR")[0], used.mask(arrays[0]))


def test_a_batch_names_the_image_that_is_wrong(segmenter: Segmenter, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="image 2 of the batch: .*missing.jpg"):
        segmenter.batch([image, image, "missing.jpg", image])
    with pytest.raises(TypeError, match="image 1 of the batch: got an image of type NoneType"):
        segmenter.batch([image, None])  # type: ignore[list-item]
    for given in (image, "a.jpg", b"bytes", Path("a.jpg")):
        with pytest.raises(TypeError, match="put one image in a list"):
            segmenter.batch(given)  # type: ignore[arg-type]
