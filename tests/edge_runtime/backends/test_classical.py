"""Classical methods: what they find, and that every tool takes them for a model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.backends import classical_methods as classical
from edge_runtime.backends.classical_methods import by_color, by_contour
from edge_runtime.benchmark import results
from edge_runtime.benchmark.artifacts import find_artifacts, shown_path
from edge_runtime.errors import InputError
from edge_runtime.models import read_model
from edge_runtime.segment.run import Segment, main

MODEL = Path(__file__).parents[3] / "models" / "unet_lite_s" / "onnx-int8"
SCHEMA = Path(results.__file__).with_name("results.schema.json")
BLUE, GRAY, BROWN = (110, 160, 230), (185, 188, 192), (96, 78, 54)


def scene(sky: tuple[int, int, int] = BLUE, ground: tuple[int, int, int] = BROWN) -> np.ndarray:
    """Return (240, 320, 3) uint8: sky above row 100."""
    image = np.empty((classical.HEIGHT, classical.WIDTH, 3), np.uint8)
    image[:100], image[100:] = sky, ground
    return image


TRUTH = np.zeros((classical.HEIGHT, classical.WIDTH), np.float32)
TRUTH[:100] = 1


def test_both_find_a_blue_sky_and_only_contour_a_gray_one() -> None:
    for method in (by_contour, by_color):
        assert np.array_equal(method(scene()), TRUTH), method
    overcast = scene(sky=(200, 192, 190))  # leans to red
    assert np.array_equal(by_contour(overcast), TRUTH)
    assert not by_color(overcast).any()


def test_specks_are_dropped_and_the_largest_contour_is_the_ground() -> None:
    image = scene()
    image[40:44, 50:54] = BROWN  # a bird
    image[180:184, 200:204] = BLUE  # a sign
    assert np.array_equal(by_contour(image), TRUTH)
    assert np.array_equal(by_color(image), TRUTH)
    image[120:200, 100:200] = BLUE  # a lake inside the ground: filled by contour, called sky by color
    assert by_contour(image)[160, 150] == 0 and by_color(image)[160, 150] == 1


def test_images_of_one_color_and_other_tensors() -> None:
    for value in (0, 128, 255):
        flat = np.full((classical.HEIGHT, classical.WIDTH, 3), value, np.uint8)
        for method in (by_contour, by_color):
            assert len(np.unique(method(flat))) == 1
    for method in (by_contour, by_color):
        with pytest.raises(InputError, match=r"expected uint8 \(H, W, 3\) RGB"):
            method(TRUTH)


@pytest.mark.parametrize("model", ["classical:contour", "classical:color"])
def test_the_golden_pair_holds(model: str) -> None:
    Segmenter.load(model, check=True)


def test_names_have_digests_of_their_own() -> None:
    artifacts = [read_model(name) for name in ("classical:contour", "classical:color")]
    assert artifacts[0].sha256 != artifacts[1].sha256
    assert artifacts[0].size_bytes == artifacts[0].file("model").stat().st_size


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classical:", "expected classical:contour or classical:color"),
        ("classical:hue", "expected classical:contour or classical:color"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Segmenter.load(name)


def test_segment_and_resume_tell_the_methods_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(scene()).save(tmp_path / "x.png")

    def run(model: str) -> str:
        main(Segment((tmp_path / "x.png",), (Path(model),), tmp_path / "out", resume=True))
        return capsys.readouterr().out

    for model in ("classical:contour", "classical:color"):
        assert "1 masks written, 0 kept" in run(model)
        assert "0 masks written, 1 kept" in run(model)
    with Image.open(tmp_path / "out" / "x.png") as mask:
        assert np.array_equal(np.asarray(mask) >= 128, TRUTH >= 0.5)


def test_the_benchmark_takes_names(tmp_path: Path) -> None:
    found = find_artifacts((Path("classical:contour"), Path("classical:color"), MODEL))
    assert list(found) == [
        "classical-contour",
        "classical-color",
        "unet_lite_s-192-int8-onnx",
    ]
    with pytest.raises(InputError, match="twice"):
        find_artifacts((Path("classical:color"), Path("classical:color")))
    assert shown_path(Path("/elsewhere/models/name")) == "name"  # no machine's paths in result files


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name, pixels in (("images", scene()), ("masks", (TRUTH * 255).astype(np.uint8))):
        (folder / name).mkdir()
        Image.fromarray(pixels).save(folder / name / "x.png")
    return folder


@pytest.mark.slow
def test_a_benchmark_and_its_report(pairs: Path, tmp_path: Path) -> None:
    models = ["classical:contour", "classical:color"]
    words = ["--models", *models, "--data", str(pairs), "--split", "", "--quick", "--out", str(tmp_path / "r.json")]
    done = subprocess.run([sys.executable, "-m", "edge_runtime.benchmark", *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "r.json").read_text())
    jsonschema.validate(results, json.loads(SCHEMA.read_text()))
    by_key = {artifact["key"]: artifact for artifact in results["artifacts"]}
    for key in ("classical-contour", "classical-color"):
        fact = by_key[key]
        assert (fact["format"], fact["precision"], fact["parameters"]) == ("classical", "uint8", None)
        assert fact["accuracy"]["pooled"]["iou"] == 1.0
        assert 0 < fact["memory"]["baseline_bytes"] <= fact["memory"]["peak_bytes"]
    assert "golden" not in " ".join(results["warnings"])
    words = [str(tmp_path / "r.json"), "--out", str(tmp_path / "page")]
    shown = subprocess.run([sys.executable, "-m", "skyedge.report", *words], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    table = (tmp_path / "page" / "table.md").read_text()
    assert "| classical_contour | classical | uint8 |" in table
