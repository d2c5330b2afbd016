"""The C++ program against the Python runtime: same pixels, same input tensor, same masks, same refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import resize_rgb, to_mask8
from edge_runtime.segmenter import Segmenter

pytestmark = pytest.mark.slow
# Masks may differ where two roundings of nearly the same float fall to two sides; the contract allows 2 of 255.
MASK_ATOL = 2
EXTREMES = (  # height and width in, height and width out
    (1, 1, 256, 256), (1, 1, 1, 1), (256, 256, 1, 1), (1, 2000, 192, 192), (2000, 1, 192, 192), (5, 1500, 320, 320),
    (1500, 5, 320, 320), (192, 192, 192, 192), (192, 70, 192, 192), (70, 192, 192, 192), (500, 37, 192, 192),
    (3, 3, 320, 320), (1080, 1920, 256, 256),
)  # fmt: skip


def segment(build: Path, model: Path, image: Path, output: Path) -> subprocess.CompletedProcess[str]:
    """Run `skyedge segment`."""
    command = [build / "skyedge", "segment", "--model", model, "--input", image, "--output", output]
    return subprocess.run(command, capture_output=True, text=True)


def cpp_images(build: Path, jobs: list[tuple[int, int, Path, Path]]) -> list[str]:
    """Decode and resize with the C++ code: (width, height, image, raw output); return the refusals' messages."""
    lines = "".join("\t".join(map(str, job)) + "\n" for job in jobs)
    done = subprocess.run([build / "tests" / "dump_resized"], input=lines, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def read_raw(path: Path) -> np.ndarray:
    """Read what `dump_resized` wrote as (H, W, 3) uint8."""
    head, _, pixels = path.read_bytes().partition(b"\n")
    width, height = map(int, head.split())
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def image_of(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return (height, width, 3) uint8 noise, and black and white where rounding is easiest to get wrong."""
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    pixels[: height // 3] = rng.choice([0, 255], (height // 3, width, 1))
    return pixels


def test_resized_input_is_exactly_pillows(build: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(11)
    drawn = [tuple(int(side) for side in rng.integers(1, 260, 4)) for _ in range(250)]
    expected, jobs = [], []
    for number, (in_height, in_width, height, width) in enumerate((*EXTREMES, *drawn)):
        pixels = image_of(rng, in_height, in_width)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png", compress_level=0)
        expected.append(resize_rgb(pixels, height, width))
        jobs.append((width, height, tmp_path / f"{number}.png", tmp_path / f"{number}.raw"))
    assert cpp_images(build, jobs) == []
    for job, wanted in zip(jobs, expected, strict=True):
        np.testing.assert_array_equal(read_raw(job[3]), wanted, err_msg=str(job))


def _gray16() -> Image.Image:
    return Image.fromarray(np.linspace(0, 65535, 48 * 31).reshape(31, 48).astype(np.uint16))


def _alpha(mode: str) -> Image.Image:
    rgba = np.random.default_rng(3).integers(0, 256, (256, 256, 4), dtype=np.uint8)
    rgba[..., 0], rgba[..., 3] = np.mgrid[0:256, 0:256]  # every value with every alpha
    return Image.fromarray(rgba).convert(mode)


def _palette(transparent: bool) -> Image.Image:
    image = Image.fromarray(image_of(np.random.default_rng(4), 31, 48)).convert("P", palette=Image.Palette.ADAPTIVE)
    if transparent:
        image.info["transparency"] = bytes(range(0, 256))
    return image


def _turned(orientation: int) -> tuple[Image.Image, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.fromarray(image_of(np.random.default_rng(5), 31, 48)), exif


def _write_images(folder: Path) -> list[Path]:
    """Write one image of every kind that decodes without loss."""
    color = Image.fromarray(image_of(np.random.default_rng(6), 31, 48))
    kinds: dict[str, Image.Image] = {
        "color.png": color,
        "gray.png": color.convert("L"),
        "bilevel.png": color.convert("1"),
        "gray16.png": _gray16(),
        "rgba.png": _alpha("RGBA"),
        "gray_alpha.png": _alpha("LA"),
        "palette.png": _palette(False),
        "palette_alpha.png": _palette(True),
        "one.png": color.resize((1, 1)),
    }
    for name, image in kinds.items():
        image.save(folder / name)
    color.save(folder / "color.webp", lossless=True)
    color.save(folder / "key.png", transparency=color.getpixel((20, 20)))
    deep = np.random.default_rng(9).integers(0, 65536, (31, 48, 4), dtype=np.uint16)
    for name, channels in (("color16", 3), ("rgba16", 4)):  # Pillow reads 16-bit color, but cannot write it
        assert cv2.imwrite(str(folder / f"{name}.png"), deep[..., :channels])
    _alpha("RGBA").save(folder / "rgba.webp", lossless=True, exact=True)
    for orientation in range(1, 9):
        image, exif = _turned(orientation)
        image.save(folder / f"turned{orientation}.png", exif=exif)
        image.save(folder / f"turned{orientation}.webp", lossless=True, exif=exif)
    return sorted(folder.iterdir())


def test_decoded_images_are_equal(build: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    files = _write_images(tmp_path / "in")
    jobs = [(0, 0, path, tmp_path / "out" / path.name) for path in files]
    assert cpp_images(build, jobs) == []
    for path in files:
        np.testing.assert_array_equal(read_raw(tmp_path / "out" / path.name), read_rgb(path), err_msg=path.name)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpegs_stand_upright_and_look_alike(build: Path, tmp_path: Path, mode: str) -> None:
    # Two builds of libjpeg may round differently, so these are close, not equal.
    smooth = Image.fromarray(image_of(np.random.default_rng(7), 6, 9)).resize((90, 60), Image.Resampling.BICUBIC)
    jobs = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.jpg"
        smooth.convert(mode).save(path, quality=95, exif=exif)
        jobs.append((0, 0, path, path.with_suffix(".raw")))
    assert cpp_images(build, jobs) == []
    for _, _, path, raw in jobs:
        got, wanted = read_raw(raw).astype(int), read_rgb(path).astype(int)
        assert got.shape == wanted.shape, path.name
        assert np.abs(got - wanted).max() <= 8, path.name
        assert np.abs(got - wanted).mean() <= 1.0, path.name


def test_broken_images_are_refused_by_both(build: Path, tmp_path: Path) -> None:
    noise = Image.fromarray(image_of(np.random.default_rng(8), 64, 64))
    for suffix in ("jpg", "png", "webp"):
        noise.save(tmp_path / f"whole.{suffix}")
        whole = (tmp_path / f"whole.{suffix}").read_bytes()
        (tmp_path / f"cut.{suffix}").write_bytes(whole[: len(whole) // 2])
    whole = bytearray((tmp_path / "whole.png").read_bytes())
    header, pixels = bytearray(whole), bytearray(whole)
    header[8 + 8 + 13] ^= 1  # the CRC of IHDR
    pixels[len(whole) // 2] ^= 1
    (tmp_path / "cut.header.png").write_bytes(header)
    (tmp_path / "cut.pixels.png").write_bytes(pixels)
    (tmp_path / "cut.empty.png").write_bytes(b"")
    (tmp_path / "cut.text.jpg").write_text("not an image")
    broken = [*sorted(tmp_path.glob("cut.*")), tmp_path / "missing.png"]
    for path in broken:
        with pytest.raises(InputError):
            read_rgb(path)
    messages = cpp_images(build, [(0, 0, path, tmp_path / "out.raw") for path in broken])
    assert len(messages) == len(broken), messages
    assert not (tmp_path / "out.raw").exists()


def test_damaged_pngs_get_the_same_verdict(build: Path, tmp_path: Path) -> None:
    """Every byte flipped, the CRC of the pixels among them, and every length."""
    image = Image.fromarray(image_of(np.random.default_rng(10), 5, 7))
    note = PngImagePlugin.PngInfo()
    note.add(b"noTe", b"after the pixels", after_idat=True)
    image.save(tmp_path / "whole.png", pnginfo=note)
    whole = (tmp_path / "whole.png").read_bytes()
    files = []
    for index in range(len(whole)):
        files.append(tmp_path / f"flip{index:03}.png")
        files[-1].write_bytes(whole[:index] + bytes([whole[index] ^ 0x20]) + whole[index + 1 :])
        files.append(tmp_path / f"cut{index:03}.png")
        files[-1].write_bytes(whole[:index])
    jobs = [(0, 0, path, path.with_suffix(".raw")) for path in [tmp_path / "whole.png", *files]]
    assert len(cpp_images(build, jobs)) > len(files) * 0.9
    assert (tmp_path / "whole.raw").exists()
    for path in files:
        try:
            read_rgb(path)
            taken = True
        except InputError:
            taken = False
        assert path.with_suffix(".raw").exists() == taken, path.name


def _scenes_and_odd_sizes(scene_dir: Path, folder: Path) -> list[Path]:
    """Return four scenes at sizes and shapes that need every way of resizing, as PNG."""
    sizes = [(1, 1), (37, 500), (301, 64), (192, 192), (256, 256), (640, 427)]
    scenes = sorted((scene_dir / "test" / "images").iterdir())
    files = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}.png"
        Image.fromarray(read_rgb(scenes[number % len(scenes)])).resize(size).save(path)
        files.append(path)
    for path in scenes[:4]:
        shutil.copy(path, folder)
        files.append(folder / path.name)
    for name, value in (("black", 0), ("white", 255)):
        Image.new("L", (50, 40), value).save(folder / f"{name}.png")
        files.append(folder / f"{name}.png")
    return files


def _check_masks(build: Path, model: Path, images: list[Path], folder: Path) -> None:
    segmenter = Segmenter.load(model)
    for path in images:
        output = folder / f"{path.stem}.mask.png"
        done = segment(build, model, path, output)
        assert done.returncode == 0, done.stderr
        with Image.open(output) as mask:
            assert mask.mode == "L"
            got = np.asarray(mask).astype(int)
        wanted = to_mask8(segmenter(read_rgb(path))).astype(int)
        assert got.shape == wanted.shape
        difference = np.abs(got - wanted).max()
        assert difference <= MASK_ATOL, f"{path.name}: {difference}"


def test_masks_are_equal(build: Path, artifacts: dict[str, Path], scene_dir: Path, tmp_path: Path) -> None:
    _check_masks(build, artifacts["ncnn-fp32"], _scenes_and_odd_sizes(scene_dir, tmp_path), tmp_path)


def test_masks_of_released_artifacts_are_equal(build: Path, project_root: Path, scene_dir: Path, tmp_path: Path) -> None:
    released = sorted(path.parent for path in (project_root / "models").glob("*/ncnn-*/model.json"))
    if not released:
        pytest.skip("models/ holds no ncnn artifact; run `make release`")
    images = _scenes_and_odd_sizes(scene_dir, tmp_path)[::3]
    for model in released:
        _check_masks(build, model, images, tmp_path)


def test_the_golden_pair_replays(build: Path, artifacts: dict[str, Path], tmp_path: Path) -> None:
    artifact = read_artifact(artifacts["ncnn-fp32"])
    pair = artifact.golden()
    Image.fromarray(pair.input).save(tmp_path / "golden.png")
    done = segment(build, artifact.folder, tmp_path / "golden.png", tmp_path / "mask.png")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "mask.png") as mask:
        got = np.asarray(mask).astype(np.float64)
    # Half a step of the 8-bit mask, beside the tolerance that export measured.
    assert np.abs(got - 255.0 * pair.output).max() <= 0.5 + 255.0 * artifact.spec.golden.atol + 1e-3


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "unknown key": lambda spec: spec.update(extra=1),
    "unknown key inside": lambda spec: spec["input"].update(crop=1),
    "missing key": lambda spec: spec.pop("golden"),
    "missing key inside": lambda spec: spec["output"].pop("quant"),
    "schema version": lambda spec: spec.update(schema_version=2),
    "schema version text": lambda spec: spec.update(schema_version="1"),
    "schema version truth": lambda spec: spec.update(schema_version=True),
    "format": lambda spec: spec.update(format="caffe"),
    "sha256": lambda spec: spec["files"]["bin"].update(sha256="0" * 64),
    "sha256 in capitals": lambda spec: spec["files"]["bin"].update(sha256=spec["files"]["bin"]["sha256"].upper()),
    "size": lambda spec: spec["files"]["param"].update(bytes=spec["files"]["param"]["bytes"] + 1),
    "size as float": lambda spec: spec["files"]["param"].update(bytes=float(spec["files"]["param"]["bytes"])),
    "path outside": lambda spec: spec["files"]["bin"].update(path="../model.bin"),
    "file missing": lambda spec: spec["files"]["bin"].update(path="other.bin"),
    "layout": lambda spec: spec["input"].update(layout="NHWC"),
    "shape": lambda spec: spec["input"].update(shape=[1, 3, 192]),
    "resize": lambda spec: spec["input"].update(resize="bilinear"),
    "color": lambda spec: spec["input"].update(color="BGR"),
    "mean": lambda spec: spec["input"].update(mean=[127, 127]),
    "mean of 1e30": lambda spec: spec["input"].update(mean=[127, 127, 1e30]),
    "std of the 0 to 1 scale": lambda spec: spec["input"].update(std=[0.229, 0.224, 0.225]),
    "std zero": lambda spec: spec["input"].update(std=[128, 0, 128]),
    "threshold": lambda spec: spec["output"].update(threshold=2),
    "meaning": lambda spec: spec["output"].update(meaning="logit"),
    "quant": lambda spec: spec["input"].update(quant={"scale": 1.0, "zero_point": 0}),
    "precision": lambda spec: spec["quantization"].update(precision="fp8"),
    "provenance": lambda spec: spec.update(provenance=[]),
    "license": lambda spec: spec.update(weights_license=""),
    "input blob": lambda spec: spec["input"].update(name="nothing"),
    "output blob": lambda spec: spec["output"].update(name="nothing"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_both_readers_refuse(build: Path, artifacts: dict[str, Path], scene_dir: Path, tmp_path: Path, change: str) -> None:
    folder = tmp_path / "artifact"
    shutil.copytree(artifacts["ncnn-fp32"], folder)
    spec = json.loads((folder / "model.json").read_text())
    CHANGES[change](spec)
    (folder / "model.json").write_text(json.dumps(spec))
    with pytest.raises(InputError):
        Segmenter.load(folder)
    scene = next((scene_dir / "test" / "images").iterdir())
    done = segment(build, folder, scene, tmp_path / "mask.png")
    assert done.returncode == 2, done.stdout
    assert "error: " in done.stderr and "expected" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifact"]
