"""The page in a real chromium: what the scenarios of `pages.mjs`, `images.mjs` and `cameras.mjs` found."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image, ImageCms

from edge_runtime import Segmenter
from edge_runtime.benchmark.results import read_results
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import to_mask8
from skyedge.report.rows import make_lines

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]  # the scenarios run in the first test

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "edge_runtime" / "benchmark" / "results.schema.json"
FIRST_LOAD_BYTES = 4_000_000
ARTIFACTS = {"litert": "tflite-int8", "onnx-int8": "onnx-int8", "onnx-fp32": "onnx-fp32"}


def _of(found: dict[str, Any], name: str) -> dict[str, Any]:
    result: dict[str, Any] = found[name]
    assert "broke" not in result, result["broke"]
    assert result.get("errors", []) == []
    return result


def test_first_visit_is_small_and_isolated_on_any_host(found: dict[str, Any]) -> None:
    first = _of(found, "visit")["first"]
    assert first["bytes"] <= FIRST_LOAD_BYTES
    assert first["isolated"], "the service worker adds the headers that the host does not send"


def test_nothing_leaves_after_load(found: dict[str, Any]) -> None:
    visit = _of(found, "visit")
    assert visit["elsewhere"] == []
    # The browser itself looks for a newer service worker now and then; a photograph to try is fetched when it is chosen.
    assert [request for request in visit["later"] if request not in ("GET /sw.js", "GET /photos/mountain_valley.jpg")] == []


def test_reload_works_without_network_and_host(found: dict[str, Any]) -> None:
    offline = _of(found, "visit")["offline"]
    assert offline["ready"] == "true" and offline["isolated"]
    assert "% sky" in offline["label"]


def test_cutout_has_the_image_where_it_is_opaque_and_nothing_of_the_sky(found: dict[str, Any]) -> None:
    folder = found["folder"]
    with Image.open(folder / "cutout.png") as opened:
        assert opened.mode == "RGBA"
        cutout = np.asarray(opened).astype(int)
    image = read_rgb(folder / "scene.png").astype(int)
    assert cutout.shape[:2] == image.shape[:2]
    alpha = cutout[..., 3]
    mask = _python_mask("tflite-int8", folder / "scene.png").astype(int)
    assert np.abs(cutout[..., :3] - image)[alpha == 255].max() <= 1
    assert (alpha[mask > 250] == 0).mean() > 0.99
    assert (alpha[mask < 20] == 255).mean() > 0.99
    assert 0.1 < (alpha == 0).mean() < 0.9


@pytest.mark.parametrize("engine", ARTIFACTS)
@pytest.mark.parametrize("image", ["scene", "portrait"])
def test_masks_equal_pythons(found: dict[str, Any], engine: str, image: str) -> None:
    _of(found, "masks")
    path = found["folder"] / f"{image}.png"
    expected = _python_mask(ARTIFACTS[engine], path).astype(int)
    got = np.fromfile(found["folder"] / f"{image}.{engine}.mask", np.uint8).reshape(expected.shape).astype(int)
    assert np.abs(got - expected).max() <= 2
    assert expected.max() > 200 and expected.min() < 50, "an empty mask proves nothing"


def _python_mask(kind: str, path: Path) -> np.ndarray:
    return to_mask8(Segmenter.load(ROOT / "models" / "unet_lite_s" / kind)(read_rgb(path)))


def test_engines_say_what_they_are(found: dict[str, Any]) -> None:
    engines = _of(found, "masks")["engines"]
    assert engines["litert"].startswith("LiteRT wasm")
    assert engines["onnx-int8"].startswith("onnxruntime-web wasm")
    assert all("golden pair: difference" in text for text in engines.values())


def test_without_webgpu_a_note_and_the_engine_before(found: dict[str, Any]) -> None:
    webgpu = _of(found, "webgpu")
    assert "WebGPU" in webgpu["note"] and webgpu["chosen"] == "litert" and webgpu["works"].startswith("LiteRT")


@pytest.mark.parametrize(
    ("scenario", "fault", "text"),
    [
        ("damaged", "hash", "sha256"),
        ("unknownKey", "contract", "input.flipped"),
        ("wrongGolden", "golden", "golden output"),
        ("noSimd", "unsupported", "WebAssembly SIMD"),
        ("noWebGl", "failed", "WebGL2"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(found: dict[str, Any], scenario: str, fault: str, text: str) -> None:
    failed = _of(found, scenario)
    assert failed["ready"] == fault
    assert text in failed["status"]


def test_images_are_dropped_and_pasted_and_bad_ones_explained(found: dict[str, Any]) -> None:
    ways = _of(found, "ways")
    assert "cannot be decoded" in ways["said"]["broken"]
    assert "no image file" in ways["said"]["text"]
    assert "6000 × 4500" in ways["said"]["huge"] and "4096 × 3072" in ways["label"]


def test_a_broken_file_while_the_page_loads_leaves_the_photograph(found: dict[str, Any]) -> None:
    early = _of(found, "early")
    assert early["ready"] == "true" and "% sky" in early["label"] and "cannot be decoded" in early["status"]


def test_a_sky_of_your_own_is_put_where_the_sky_was(found: dict[str, Any]) -> None:
    _of(found, "skies")
    folder = found["folder"]
    mask = _python_mask("tflite-int8", folder / "scene.png")
    for name, off in (("own.png", 3), ("own.jpg", 30)):
        with Image.open(folder / name) as opened:
            assert opened.format == {"png": "PNG", "jpg": "JPEG"}[name[-3:]]
            got = np.asarray(opened.convert("RGB")).astype(int)
        assert np.abs(got[mask > 253] - [200, 30, 40]).max() <= off, name
    assert (folder / "own.jpg").stat().st_size < (folder / "own.png").stat().st_size / 2


def test_without_a_sky_nothing_is_replaced(found: dict[str, Any]) -> None:
    _of(found, "skies")
    saved, room = (read_rgb(found["folder"] / name).astype(int) for name in ("room.saved.png", "room.png"))
    assert np.abs(saved - room).max() <= 1


def test_colors_of_a_profile_are_saved_as_they_are_seen(found: dict[str, Any]) -> None:
    _of(found, "skies")
    with Image.open(found["folder"] / "p3.png") as opened:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(opened.info["icc_profile"]))
        expected = ImageCms.profileToProfile(opened.convert("RGB"), profile, ImageCms.createProfile("sRGB"))
    saved = read_rgb(found["folder"] / "p3.saved.png").astype(int)
    assert np.abs(saved - np.asarray(expected).astype(int)).max() <= 4
    assert np.abs(saved - read_rgb(found["folder"] / "p3.png").astype(int)).max() > 20


def test_camera_is_live_and_stops(found: dict[str, Any]) -> None:
    camera = _of(found, "camera")
    assert camera["pressed"] == "true" and camera["rate"].endswith("fps")
    share = int(re.search(r"(\d+) % sky", camera["label"]).group(1))  # type: ignore[union-attr]
    assert 10 < share < 90
    assert {"Read pixels", "Resize", "Network", "Refine edges", "Draw", "Device"} <= set(camera["stages"].split("\n"))
    assert camera["stopped"]


def test_denied_and_missing_cameras_are_explained(found: dict[str, Any]) -> None:
    assert "denied" in _of(found, "denied")["status"]
    assert "no camera" in _of(found, "none")["status"]
    for name in ("denied", "none"):
        assert found[name]["pressed"] == "false"


def test_layout_and_accessibility_at_three_widths(found: dict[str, Any]) -> None:
    looks = _of(found, "looks")["looks"]
    assert len(looks) == 6
    for look in looks:
        where = f"{look['width']} px, {look['colorScheme']}"
        assert look["violations"] == [], where
        assert not look["scrolls"] and look["small"] == [] and look["outside"] == [], (where, look)


def test_everything_is_reached_by_keys(found: dict[str, Any]) -> None:
    keyboard = _of(found, "keyboard")
    wanted = [
        "split",
        "open",
        "camera",
        "sky",
        "save-jpeg",
        "save-png",
        "save-cutout",
        "opacity",
        "threshold",
        "refine",
        "samples",
    ]
    order = [name for index, name in enumerate(keyboard["reached"]) if name in wanted and name not in keyboard["reached"][:index]]
    assert order == wanted
    assert (keyboard["sky"], keyboard["split"], keyboard["refine"]) == ("stars", "100", False)


def test_report_reads_the_pages_result_file(found: dict[str, Any], tmp_path: Path) -> None:
    _of(found, "measured")
    path = found["folder"] / "results.json"
    results = read_results(path)
    jsonschema.validate(json.loads(path.read_text(encoding="utf-8")), json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert results.quick and results.rows[0].device == "browser"
    (line,) = make_lines({"results.json": results})
    assert line.row.infer.runs >= results.rule.min_runs and line.peak_mib == "-"
    timing = results.rows[0].infer
    assert timing.p50_ms == pytest.approx(np.percentile(timing.samples_us, 50) / 1000, abs=1e-3)
    subprocess.run([sys.executable, "-m", "skyedge.report", str(path), "--out", str(tmp_path)], check=True, timeout=120)
    assert "LiteRT wasm" in (tmp_path / "index.html").read_text(encoding="utf-8")
