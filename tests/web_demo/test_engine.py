"""The browser engine's arithmetic and its reader of model.json, in Node, against Pillow and Python's own."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.artifact.spec import parse_spec
from edge_runtime.errors import InputError
from edge_runtime.images.resize import resize_probability, resize_rgb, to_mask8
from scenes.render import generate

pytestmark = pytest.mark.slow
Units = Callable[[Path, dict[str, Any]], None]

# In: height, width; out: height, width. Smaller, larger, the same, one pixel, and prime numbers.
SIZES = ((480, 640, 192, 192), (97, 61, 192, 192), (192, 192, 192, 192), (1, 1, 32, 64), (1201, 333, 64, 96), (50, 700, 96, 32))


def test_resize_is_pillows_bit_for_bit(units: Units, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    images = [rng.integers(0, 256, (height, width, 4), np.uint8) for height, width, _, _ in SIZES]
    images[0][..., :3] = rng.choice(np.array([0, 255], np.uint8), (480, 640, 3))  # every carry of the rounding
    jobs = []
    for index, (image, (height, width, out_height, out_width)) in enumerate(zip(images, SIZES, strict=True)):
        image.tofile(tmp_path / f"{index}.rgba")
        out = {"outHeight": out_height, "outWidth": out_width, "out": str(tmp_path / f"{index}.out")}
        jobs.append({"rgba": str(tmp_path / f"{index}.rgba"), "height": height, "width": width, **out})
    units(tmp_path, {"resizes": jobs})
    for index, (image, (_, _, out_height, out_width)) in enumerate(zip(images, SIZES, strict=True)):
        got = np.fromfile(tmp_path / f"{index}.out", np.uint8).reshape(out_height, out_width, 3)
        np.testing.assert_array_equal(got, resize_rgb(np.ascontiguousarray(image[..., :3]), out_height, out_width))


def test_masks_come_back_to_size_as_in_python(units: Units, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    sizes = ((192, 192, 480, 640), (64, 96, 33, 41), (7, 5, 7, 5), (1, 3, 20, 20))
    maps = [rng.random((height, width), np.float32) for height, width, _, _ in sizes]
    jobs = []
    for index, (values, (height, width, out_height, out_width)) in enumerate(zip(maps, sizes, strict=True)):
        values.tofile(tmp_path / f"{index}.map")
        out = {"outHeight": out_height, "outWidth": out_width, "out": str(tmp_path / f"{index}.mask")}
        jobs.append({"map": str(tmp_path / f"{index}.map"), "height": height, "width": width, **out})
    units(tmp_path, {"masks": jobs})
    for index, (values, (_, _, out_height, out_width)) in enumerate(zip(maps, sizes, strict=True)):
        got = np.fromfile(tmp_path / f"{index}.mask", np.uint8).reshape(out_height, out_width).astype(int)
        expected = to_mask8(resize_probability(values, out_height, out_width)).astype(int)
        assert np.abs(got - expected).max() <= 1  # OpenCV's weights are rounded otherwise


def test_refinement_follows_edges_that_the_map_is_too_coarse_for(units: Units, tmp_path: Path) -> None:
    scenes = [generate(seed, (480, 640), kind="trees") for seed in (11, 12)]
    jobs = []
    maps = []
    for index, scene in enumerate(scenes):
        resize_rgb(scene.image, 192, 192).tofile(tmp_path / f"{index}.rgb")
        # A map as a network gives it: right on average, and blurred.
        maps.append(cv2.resize(cv2.GaussianBlur(scene.alpha, (0, 0), 4), (192, 192), interpolation=cv2.INTER_AREA))
        maps[-1].tofile(tmp_path / f"{index}.map")
        names = {
            "rgb": str(tmp_path / f"{index}.rgb"),
            "map": str(tmp_path / f"{index}.map"),
            "out": str(tmp_path / f"{index}.planes"),
        }
        jobs.append({**names, "height": 192, "width": 192})
    constant = {**jobs[0], "map": str(tmp_path / "constant.map"), "out": str(tmp_path / "constant.planes")}
    np.full((192, 192), 0.75, np.float32).tofile(constant["map"])
    units(tmp_path, {"fits": [*jobs, constant]})

    for index, (scene, coarse) in enumerate(zip(scenes, maps, strict=True)):
        plain = np.abs(cv2.resize(coarse, (640, 480)) - scene.alpha).mean()
        refined = np.abs(_apply(tmp_path / f"{index}.planes", scene.image) - scene.alpha).mean()
        assert refined < 0.8 * plain
    np.testing.assert_allclose(_apply(tmp_path / "constant.planes", scenes[0].image), 0.75, atol=1e-3)


def _apply(path: Path, image: np.ndarray) -> np.ndarray:
    height, width = json.loads(path.with_name(path.name + ".json").read_text(encoding="utf-8"))
    planes = np.fromfile(path, np.float32).reshape(height, width, 4)
    large = cv2.resize(planes, (image.shape[1], image.shape[0]))
    return np.clip((large[..., :3] * (image / 255)).sum(axis=2) + large[..., 3], 0, 1)


SPOILS: dict[str, Callable[[dict[str, Any]], object]] = {
    "unknown": lambda spec: spec.update(flipped=True),
    "unknown inside": lambda spec: spec["input"].update(mirror=1),
    "missing": lambda spec: spec.pop("golden"),
    "missing inside": lambda spec: spec["output"].pop("threshold"),
    "version": lambda spec: spec.update(schema_version=2),
    "true for a number": lambda spec: spec["output"].update(threshold=True),
    "text for a number": lambda spec: spec["golden"].update(atol="0"),
    "path out of the folder": lambda spec: spec["files"]["model"].update(path="../model.tflite"),
    "short hash": lambda spec: spec["files"]["model"].update(sha256="00"),
    "no bytes": lambda spec: spec["files"]["model"].update(bytes=0),
    "roles": lambda spec: spec["files"].update(weights=spec["files"]["model"]),
    "batch": lambda spec: spec["input"].update(shape=[2, 192, 192, 3]),
    "channels": lambda spec: spec["input"].update(layout="NCHW"),
    "resize": lambda spec: spec["input"].update(resize="nearest"),
    "color": lambda spec: spec["input"].update(color="BGR"),
    "std": lambda spec: spec["input"].update(std=[128, 0, 128]),
    "mean of 1e30": lambda spec: spec["input"].update(mean=[127, 127, 1e30]),
    "std of the 0 to 1 scale": lambda spec: spec["input"].update(std=[0.229, 0.224, 0.225]),
    "quant missing": lambda spec: spec["input"].update(quant=None),
    "quant too much": lambda spec: spec["output"].update(dtype="float32"),
    "zero point": lambda spec: spec["output"]["quant"].update(zero_point=300),
    "zero point of uint8": lambda spec: spec["output"].update(dtype="uint8"),
    "format": lambda spec: spec.update(format="pickle"),
    "list": lambda spec: spec.update(metrics=[]),
}


@pytest.fixture(scope="module")
def released(project_root: Path) -> dict[str, Any]:
    path = project_root / "models" / "unet_lite_s" / "tflite-int8" / "model.json"
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return spec


def test_reader_refuses_what_python_refuses_and_names_the_key(units: Units, released: dict[str, Any], tmp_path: Path) -> None:
    free = copy.deepcopy(released)
    free["provenance"]["anything"] = [1, {"a": None}]
    free["metrics"] = {}
    texts = [json.dumps(released), json.dumps(free)]
    for spoil in SPOILS.values():
        spec = copy.deepcopy(released)
        spoil(spec)
        texts.append(json.dumps(spec))
    texts += ["", "[]", "null", '{"schema_version": 1']
    units(tmp_path, {"specs": texts, "said": str(tmp_path / "said.json")})
    said = json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))
    assert said[:2] == [None, None]
    for name, text, message in zip([*SPOILS, *"abcd"], texts[2:], said[2:], strict=True):
        with pytest.raises(InputError):
            parse_spec(text)
        assert message, f"{name} was taken"
    assert "input.mirror" in said[3] and "golden" in said[4] and "files.model.path" in said[9]


def test_every_released_artifact_is_read(units: Units, project_root: Path, tmp_path: Path) -> None:
    found = sorted((project_root / "models").glob("*/*/model.json"))
    texts = [path.read_text(encoding="utf-8") for path in found if path.parent.name.startswith(("onnx", "tflite"))]
    assert any('"dtype": "uint8"' in text for text in texts)
    units(tmp_path, {"specs": texts, "said": str(tmp_path / "said.json")})
    assert json.loads((tmp_path / "said.json").read_text(encoding="utf-8")) == [None] * len(texts)


# Left, top, right, bottom of each sky in its photograph, as shares.
SKIES = {
    "clouds": ("mountain_valley", 0.22, 0, 1, 0.29),
    "dawn": ("volcano_sunrise", 0, 0, 1, 0.61),
    "sunset": ("boat_sunset", 0, 0, 1, 0.49),
    "stars": ("milky_way_tree", 0, 0, 0.47, 0.87),
}


def test_the_page_shows_photographs_of_the_project_and_names_their_authors(project_root: Path) -> None:
    photos, public = project_root / "docs" / "photos", project_root / "web_demo" / "public"
    named = re.findall(
        r'^  (\w+): "', (project_root / "web_demo" / "src" / "page" / "samples.ts").read_text(encoding="utf-8"), re.M
    )
    assert (
        sorted(named)
        == sorted(path.stem for path in photos.glob("*.jpg"))
        == sorted(path.stem for path in (public / "thumbs").iterdir())
    )
    assert sorted(SKIES) == sorted(path.stem for path in (public / "skies").iterdir())
    for name, (photo, *box) in SKIES.items():
        with Image.open(photos / f"{photo}.jpg") as opened, Image.open(public / "skies" / f"{name}.webp") as sky:
            cut = opened.resize(sky.size, box=tuple(side * share for side, share in zip(opened.size * 2, box, strict=True)))
            assert np.abs(np.asarray(cut).astype(float) - np.asarray(sky.convert("RGB"))).mean() < 6, name
    page = (project_root / "web_demo" / "index.html").read_text(encoding="utf-8")
    for author in ("Kalen Emsley", "Hakan Tahmaz", "Johannes Plenio", "Patrick Brosset", "Aitzol Berasategi", "Microsoft"):
        assert author in page and author in (project_root / "docs" / "photos.md").read_text(encoding="utf-8")
