"""`segment` on files that are odd in one way each, on all of them in one folder, and on very large ones."""

from __future__ import annotations

import builtins
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb, to_rgb8
from edge_runtime.images.resize import STRIP_PIXELS, resize_rgb, to_mask8
from edge_runtime.segment.run import Segment, main

MODEL = Path(__file__).parents[2] / "models" / "unet_lite_s" / "onnx-int8"
HEIGHT, WIDTH = 48, 64
BYTES_PER_PIXEL = 12  # that a run may take beyond what it takes for a small image (measured: 10 at 20, 8.5 at 100 megapixels)

Writer = Callable[[Path], object]


def image() -> np.ndarray:
    """Return (48, 64, 3) uint8 RGB that changes slowly, so that lossy formats stay close, and differs in every corner."""
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    return np.dstack([60 + 2 * down, 80 + 2 * across, 220 - down - across]).astype(np.uint8)


RGB = image()
BGR = RGB[:, :, ::-1]
GRAY = np.repeat(RGB[:, :, 1:2], 3, axis=2)
ALPHA = np.full((HEIGHT, WIDTH), 255, np.uint8)


def pil(pixels: np.ndarray, mode: str | None = None, **options: Any) -> Writer:
    image = Image.fromarray(pixels)
    return lambda path: (image if mode is None else image.convert(mode)).save(path, **options)


def opencv(pixels: np.ndarray) -> Writer:
    return lambda path: cv2.imwrite(str(path), pixels)


def animated(path: Path) -> None:
    options = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(RGB).save(path, save_all=True, append_images=[Image.fromarray(255 - RGB)], **options)


KINDS: dict[str, tuple[Writer, np.ndarray, int]] = {  # name -> how to write it, what it shows, difference allowed
    "gray.jpg": (pil(RGB[:, :, 1], quality=95), GRAY, 3),
    "gray_alpha.png": (pil(np.dstack([RGB[:, :, 1], ALPHA])), GRAY, 0),
    "alpha.png": (pil(np.dstack([RGB, ALPHA])), RGB, 0),
    "alpha.webp": (pil(np.dstack([RGB, ALPHA]), lossless=True), RGB, 0),
    "palette.png": (pil(RGB, "P"), np.asarray(Image.fromarray(RGB).convert("P").convert("RGB")), 0),
    "adobe_cmyk.jpg": (pil(RGB, "CMYK", quality=98, icc_profile=b"\0" * 128), RGB, 4),
    "cmyk.tif": (pil(RGB, "CMYK"), RGB, 1),
    "progressive.jpg": (pil(RGB, quality=95, progressive=True), RGB, 6),
    "gray16.png": (opencv(RGB[:, :, 1].astype(np.uint16) * 257), GRAY, 0),
    "rgb16.png": (opencv(BGR.astype(np.uint16) * 257), RGB, 0),
    "rgba16.png": (opencv(np.dstack([BGR, ALPHA]).astype(np.uint16) * 257), RGB, 0),
    "gray16.tif": (opencv(RGB[:, :, 1].astype(np.uint16) * 257), GRAY, 0),
    "rgb16.tif": (opencv(BGR.astype(np.uint16) * 257), RGB, 0),
    "gray_float.tif": (opencv(RGB[:, :, 1].astype(np.float32) / 255), GRAY, 0),
    "rgb_float.tif": (opencv(BGR.astype(np.float32) / 255), RGB, 0),
    "rgb_double.tif": (opencv(BGR.astype(np.float64) / 255), RGB, 0),
    "animated.gif": (animated, RGB, 20),  # 256 colors
    "animated.webp": (animated, RGB, 0),
    "animated.png": (animated, RGB, 0),
    "pages.tif": (animated, RGB, 0),
    "small.avif": (pil(RGB, quality=95), RGB, 8),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_shows_what_was_written(name: str, tmp_path: Path) -> None:
    write, expected, tolerance = KINDS[name]
    write(tmp_path / name)
    image = read_rgb(tmp_path / name)
    assert image.shape == expected.shape
    assert np.abs(image.astype(int) - expected).max() <= tolerance


def test_the_adobe_jpeg_is_one_that_stores_inks_inverted(tmp_path: Path) -> None:
    """White paper is 255 in such a file: without the marker, or read as plain inks, it would come out black."""
    Image.new("CMYK", (16, 16)).save(tmp_path / "x.jpg")
    data = (tmp_path / "x.jpg").read_bytes()
    assert b"Adobe" in data[:64]
    assert read_rgb(tmp_path / "x.jpg").min() >= 253


def test_a_float_tiff_with_alpha_or_damage(tmp_path: Path) -> None:
    half = np.dstack([BGR, ALPHA // 2]).astype(np.float32) / 255
    cv2.imwrite(str(tmp_path / "alpha.tif"), half)
    assert np.abs(read_rgb(tmp_path / "alpha.tif").astype(int) - np.rint(RGB * (127 / 255))).max() <= 1
    data = (tmp_path / "alpha.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 3])
    (tmp_path / "head.tif").write_bytes(data[:8])
    for name in ("cut.tif", "head.tif"):
        with pytest.raises(InputError, match=f"cannot read image .*{name}"):
            read_rgb(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".heic"])
def test_orientation_reaches_the_mask(suffix: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"x{suffix}"
    if suffix == ".heic":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(Image.fromarray(RGB)).save(path, quality=95, exif=exif.tobytes())
    else:
        Image.fromarray(RGB).save(path, quality=95, exif=exif)
    Image.fromarray(RGB).save(tmp_path / "upright.png", exif=exif)
    with Image.open(tmp_path / "upright.png") as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    image = read_rgb(path)
    assert image.shape == expected.shape and np.abs(image.astype(int) - expected).max() <= 12
    main(Segment((path,), ("classical:color",), tmp_path / "out"))  # type: ignore[arg-type]
    with Image.open(tmp_path / "out" / "x.png") as mask:
        assert (mask.height, mask.width) == expected.shape[:2]


def test_heif_by_another_name_and_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heif = pytest.importorskip("pillow_heif")
    path = tmp_path / "phone.jpg"  # what some phones do
    heif.from_pillow(Image.fromarray(RGB)).save(path, format="HEIF", quality=95)
    assert path.read_bytes()[4:8] == b"ftyp"
    assert np.abs(read_rgb(path).astype(int) - RGB).max() <= 12
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "pillow_heif":
            raise ImportError("not installed")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"phone\.jpg is a HEIF image, for which pillow-heif is needed"):
        read_rgb(path)


def test_one_folder_of_everything(tmp_path: Path) -> None:
    """Good files of all kinds give masks; broken ones are named, leave nothing behind, and make the exit code 2."""
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name, (write, _, _) in KINDS.items():
        write(folder / name)
        (folder / name).rename(folder / (name.replace(".", "_") + Path(name).suffix))  # one stem each
    Image.new("RGB", (1, 1), (90, 150, 230)).save(folder / "one_pixel.png")
    good = len(list(folder.iterdir()))
    data = {suffix: next(folder.glob(f"*{suffix}")).read_bytes() for suffix in (".jpg", ".png", ".tif", ".webp", ".gif", ".avif")}
    broken = []
    for suffix, content in data.items():
        for how, part in (("cut", content[: len(content) // 2]), ("empty", b""), ("text", b"not an image")):
            broken.append(folder / f"{how}_{suffix[1:]}{suffix}")
            broken[-1].write_bytes(part)
    command = [sys.executable, "-m", "edge_runtime.segment", folder, "--model", MODEL, "--out", out, "--overlay", "--confidence"]
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    for path in broken:
        assert f"cannot read image {path}: " in result.stderr, path
    lines = result.stdout.splitlines()
    assert lines[-1].startswith(f"{good} masks written, {len(broken)} failed, ") and len(lines) == good + 1
    assert len(list(out.glob("*.png"))) == good and len(list(out.iterdir())) == 2 * good
    again = subprocess.run([*map(str, command), "--resume"], capture_output=True, text=True)
    assert again.returncode == 2 and f"0 masks written, {good} kept, {len(broken)} failed" in again.stdout
    assert again.stdout.splitlines()[:-1] == lines[:-1]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "I;16", "I", "F", "LA"])
def test_strips_give_what_the_whole_gives(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        image = Image.fromarray(rng.integers(0, 60_000, (50, 40)).astype(dtype))
    else:
        image = Image.fromarray(rng.integers(0, 256, (50, 40, 4), np.uint8)).convert(mode)
    assert image.mode == mode
    whole, small, mask = to_rgb8(image), resize_rgb(to_rgb8(image), 20, 24), rng.random((50, 40), np.float32)
    expected = to_mask8(mask)
    monkeypatch.setattr("edge_runtime.images.resize.STRIP_PIXELS", 7 * 40)
    assert np.array_equal(to_rgb8(image), whole)
    assert np.array_equal(resize_rgb(whole, 20, 24), small)
    assert np.array_equal(to_mask8(mask), expected)


def peak_mib(source: Path, out: Path, *flags: str) -> float:
    """Segment one image in a process of its own and return its peak RSS, MiB."""
    status = Path("/proc/self/status")
    if not status.is_file() or "VmHWM" not in status.read_text():
        pytest.skip("this system does not tell a process's own peak of memory")
    code = (
        "import sys; from pathlib import Path; from edge_runtime.segment.run import Segment, main\n"
        "source, model, out, *flags = sys.argv[1:]\n"
        "main(Segment((Path(source),), (Path(model),), Path(out), **dict.fromkeys(flags, True)))\n"
        "print(Path('/proc/self/status').read_text())"
    )
    words = [sys.executable, "-c", code, str(source), str(MODEL), str(out), *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert "Warning" not in done.stderr
    found = re.search(r"VmHWM:\s*(\d+) kB", done.stdout)
    assert found
    return int(found.group(1)) / 1024


def write_large(path: Path, height: int, width: int) -> None:
    """Write an image that EXIF orientation 6 turns: its left side comes to lie at the top, and is sky."""
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (70, 60, 50)
    image[:, : width * 3 // 4] = (120, 170, 235)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(path, quality=85, exif=exif)


def check_large(folder: Path, height: int, width: int, *flags: str) -> None:
    small, large = folder / "small.jpg", folder / "large.jpg"
    write_large(small, 48, 64)
    write_large(large, height, width)
    base = peak_mib(small, folder / "out")
    extra = peak_mib(large, folder / "out", *flags) - base
    assert extra * 2**20 <= BYTES_PER_PIXEL * height * width, f"{extra:.0f} MiB more than the {base:.0f} MiB of a small image"
    Image.MAX_IMAGE_PIXELS, limit = None, Image.MAX_IMAGE_PIXELS
    try:
        with Image.open(folder / "out" / "large.png") as mask:
            assert (mask.height, mask.width) == (width, height)  # upright
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def test_memory_at_20_megapixels(tmp_path: Path) -> None:
    assert 4 * STRIP_PIXELS < 4000 * 5000
    check_large(tmp_path, 4000, 5000)


def test_masks_of_arrays_make_no_float_map_of_their_size() -> None:
    program = (
        "import numpy as np; from edge_runtime import Segmenter; from edge_runtime.benchmark.memory import resident_bytes\n"
        f"segmenter, image = Segmenter.load({str(MODEL)!r}), np.ones((6000, 7000, 3), np.uint8)\n"
        "segmenter.mask(image[:50, :50].copy()); before = resident_bytes('VmRSS')[0]\n"
        "segmenter.mask(image); segmenter.mask8(image); segmenter.batch([image]); print(resident_bytes('VmHWM')[0] - before)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * 6000 * 7000  # a byte a pixel, and strips


@pytest.mark.full
@pytest.mark.parametrize("flags", [(), ("refine",)])
def test_memory_at_100_megapixels(flags: tuple[str, ...], tmp_path: Path) -> None:
    check_large(tmp_path, 10_000, 10_000, *flags)


def test_more_pixels_than_allowed_are_refused(tmp_path: Path) -> None:
    """A file of a few hundred kilobytes that would unfold to 200 million pixels."""
    Image.new("1", (20_000, 10_000)).save(tmp_path / "bomb.png")
    with pytest.raises(InputError, match=r"bomb\.png: .*expected .* at most 178 million pixels"):
        read_rgb(tmp_path / "bomb.png")


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.png")
    out = tmp_path / "out"
    main(Segment((tmp_path / "x.png",), (MODEL,), out))
    before = (out / "x.png").read_bytes()

    def full_disk(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(InputError, match="No space left.*--resume"):
        main(Segment((tmp_path / "x.png",), (MODEL,), out, min_sky=1.0))
    assert [path.name for path in out.iterdir()] == ["x.png"] and (out / "x.png").read_bytes() == before


def test_the_mask_says_how_it_was_made(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "x.png")
    main(Segment((tmp_path / "x.png",), (MODEL,), tmp_path / "out", min_sky=0.25))
    with Image.open(tmp_path / "out" / "x.png") as mask:
        record, finding = json.loads(mask.info["skyedge"]), json.loads(mask.info["skyedge-finding"])
    assert record["min_sky"] == 0.25 and len(record["models"]) == 1
    assert set(finding) == {"sky_share", "confidence", "sky"}
