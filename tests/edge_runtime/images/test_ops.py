"""Images of every kind in, and the resize of the contract, checked against code that is written out here."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb, to_rgb8
from edge_runtime.images.resize import enlarge, resize_probability, resize_rgb, to_mask8

RNG = np.random.default_rng(5)
COLORS = RNG.integers(0, 256, (5, 7, 3), np.uint8)
GRAYS = RNG.integers(0, 256, (5, 7), np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def decoded(path: Path) -> np.ndarray:
    image = read_rgb(path)
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    return image


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
def test_lossless_formats_are_exact(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(decoded(save(tmp_path / f"x{suffix}", Image.fromarray(COLORS))), COLORS)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_lossy_formats_are_close(tmp_path: Path, suffix: str) -> None:
    flat = np.full((16, 16, 3), (30, 120, 220), np.uint8)
    assert np.abs(decoded(save(tmp_path / f"x{suffix}", Image.fromarray(flat))).astype(int) - flat).max() <= 4


def test_gray_and_bilevel(tmp_path: Path) -> None:
    gray = decoded(save(tmp_path / "x.png", Image.fromarray(GRAYS)))
    assert np.array_equal(gray, np.repeat(GRAYS[:, :, None], 3, axis=2))
    bits = Image.fromarray(GRAYS).convert("1", dither=Image.Dither.NONE)
    assert np.array_equal(decoded(save(tmp_path / "b.png", bits))[:, :, 0], np.where(GRAYS >= 128, 255, 0))


def test_16_bit_gray_is_scaled_also_where_it_is_dark(tmp_path: Path) -> None:
    values = np.array([[0, 128, 129, 255, 257, 32768, 65535]], np.uint16)
    expected = np.rint(values / 257.0).astype(np.uint8)
    for name in ("x.png", "x.tif"):
        assert np.array_equal(decoded(save(tmp_path / name, Image.fromarray(values)))[:, :, 0], expected)
    dark = np.array([[0, 100, 255]], np.uint16)  # still 16 bits, so all but black
    assert np.array_equal(decoded(save(tmp_path / "d.png", Image.fromarray(dark)))[:, :, 0], [[0, 0, 1]])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 0.5, 1, np.nan]], np.float32), [0, 128, 255, 0]),
        (np.array([[0, 128, 255, np.inf]], np.float32), [0, 0, 1, 255]),
        (np.array([[0, 128, 255, -7]], np.float32), [0, 128, 255, 0]),
        (np.array([[0, 128, 255, -7]], np.int32), [0, 128, 255, 0]),
        (np.array([[0, 257, 65535, 70000]], np.int32), [0, 1, 255, 255]),
    ],
)
def test_32_bit_gray(tmp_path: Path, values: np.ndarray, expected: list[int]) -> None:
    assert decoded(save(tmp_path / "x.tif", Image.fromarray(values)))[0, :, 0].tolist() == expected


def test_alpha_lies_over_black(tmp_path: Path) -> None:
    alpha = np.array([[0, 128, 255, 64, 32, 16, 8]] * 5, np.uint8)
    expected = COLORS.astype(float) * alpha[:, :, None] / 255
    rgba = Image.fromarray(np.dstack([COLORS, alpha]))
    assert np.abs(decoded(save(tmp_path / "x.png", rgba)) - expected).max() <= 1
    gray = Image.fromarray(np.dstack([GRAYS, alpha]))
    assert gray.mode == "LA"
    assert np.abs(decoded(save(tmp_path / "g.png", gray))[:, :, 0] - GRAYS * (alpha / 255.0)).max() <= 1


def test_palette_with_and_without_transparency(tmp_path: Path) -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.putdata([0, 1, 2])
    expected = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    assert decoded(save(tmp_path / "x.png", palette))[0].tolist() == expected
    see_through = decoded(save(tmp_path / "t.png", palette, transparency=1))
    assert see_through[0].tolist() == [expected[0], [0, 0, 0], expected[2]]


def test_cmyk(tmp_path: Path) -> None:
    flat = Image.new("RGB", (16, 16), (200, 100, 50)).convert("CMYK")
    assert np.abs(decoded(save(tmp_path / "x.jpg", flat, quality=95)).astype(int) - (200, 100, 50)).max() <= 6
    assert np.array_equal(decoded(save(tmp_path / "x.tif", flat)), np.asarray(flat.convert("RGB")))


MODES = ["1", "L", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F", "LA", "PA", "La"]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode: str) -> None:
    assert to_rgb8(Image.new(mode, (3, 2))).shape == (2, 3, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "x.png", Image.fromarray(COLORS), exif=exif)
    with Image.open(path) as opened:
        expected = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(decoded(path), expected)
    assert expected.shape[:2] == ((7, 5) if orientation >= 5 else (5, 7))


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow warns of what it skips
def test_broken_exif_does_not_lose_the_image(tmp_path: Path) -> None:
    """Every byte of the metadata is damaged in turn; Pillow raises struct.error and TypeError for some of them."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x8769] = {0x9003: "2020:01:01 00:00:00"}
    buffer = io.BytesIO()
    Image.fromarray(COLORS).save(buffer, "JPEG", exif=exif)
    good = buffer.getvalue()
    start = good.index(b"Exif") + 6
    path = tmp_path / "x.jpg"
    for position in range(start, start + int.from_bytes(good[start - 8 : start - 6], "big") - 8):
        for value in (0, 0xFF):
            path.write_bytes(good[:position] + bytes([value]) + good[position + 1 :])
            assert decoded(path).shape in ((5, 7, 3), (7, 5, 3))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read image .*x\.jpg: .*; expected a complete JPEG"):
        read_rgb(path)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_cut_and_damaged_images(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"x{suffix}", Image.fromarray(np.tile(COLORS, (8, 8, 1))))
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match="cannot read image"):
        read_rgb(path)
    rng = np.random.default_rng(0)
    for _ in range(100):  # a damaged image is read or refused, and nothing else
        damaged = bytearray(good)
        for position in rng.integers(0, len(good), 8):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            decoded(path)
        except InputError as error:
            assert str(path) in str(error)


def test_missing_images(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.jpg", tmp_path):
        with pytest.raises(InputError, match="expected an existing image"):
            read_rgb(path)


def resize_rows(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (rows, W, C) uint8 along W as the contract says it, in whole numbers."""
    length = image.shape[1]
    scale = length / size
    support = max(1.0, scale)
    out = np.empty((image.shape[0], size, image.shape[2]), np.uint8)
    for x in range(size):
        center = (x + 0.5) * scale
        first, last = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), length)
        weights = [max(0.0, 1 - abs((i - center + 0.5) / support)) for i in range(first, last)]
        fixed = [math.floor(0.5 + weight / sum(weights) * (1 << 22)) for weight in weights]
        total = (image[:, first:last].astype(np.int64) * np.array(fixed)[None, :, None]).sum(axis=1)
        out[:, x] = np.clip((total + (1 << 21)) >> 22, 0, 255)
    return out


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((48, 64), (32, 32)),  # down
        ((300, 17), (32, 32)),  # odd aspect: down and up
        ((9, 500), (24, 40)),
        ((5, 7), (32, 32)),  # up
        ((1, 1), (32, 32)),
        ((1, 200), (32, 32)),
        ((32, 32), (32, 32)),
        ((33, 31), (32, 32)),
        ((400, 400), (3, 2)),
    ],
)
def test_resize_is_the_contracts(source: tuple[int, int], target: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*source, 3), np.uint8)
    wide = resize_rows(image, target[1])  # horizontal pass first, rounded to bytes
    expected = resize_rows(wide.transpose(1, 0, 2), target[0]).transpose(1, 0, 2)
    assert np.array_equal(resize_rgb(image, *target), expected)


def test_resize_refuses_other_tensors() -> None:
    for wrong in (COLORS.astype(np.float32), GRAYS, COLORS[:, :, :2], COLORS[:0], COLORS[None]):
        with pytest.raises(InputError, match=r"expected uint8 \(H, W, 3\) RGB"):
            resize_rgb(wrong, 8, 8)


def bilinear(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear with half-pixel centers and clamped edges, in float64."""

    def taps(size: int, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        at = (np.arange(size) + 0.5) * length / size - 0.5
        low = np.floor(at).astype(int)
        return np.clip(low, 0, length - 1), np.clip(low + 1, 0, length - 1), at - low

    top, bottom, down = taps(height, values.shape[0])
    left, right, along = taps(width, values.shape[1])
    rows = values[top] * (1 - down)[:, None] + values[bottom] * down[:, None]
    result: np.ndarray = rows[:, left] * (1 - along) + rows[:, right] * along
    return result


@pytest.mark.parametrize("target", [(480, 640), (31, 97), (1, 1), (1, 50), (50, 1), (7, 9), (3, 4000)])
@pytest.mark.parametrize("resize", [resize_probability, enlarge])  # with OpenCV, and without
def test_probabilities_go_back_bilinearly(resize: Callable[..., np.ndarray], target: tuple[int, int]) -> None:
    probability = np.random.default_rng(2).random((32, 24), np.float32)
    result = resize(probability, *target)
    assert result.shape == target and result.dtype == np.float32
    assert np.abs(result - bilinear(probability.astype(float), *target)).max() < 1e-5
    assert result.min() >= 0 and result.max() <= 1


def test_probability_of_one_pixel_and_of_the_same_size() -> None:
    assert np.array_equal(resize_probability(np.full((1, 1), 0.25, np.float32), 3, 5), np.full((3, 5), 0.25))
    same = np.random.default_rng(3).random((6, 5), np.float32)
    assert np.array_equal(resize_probability(same, 6, 5), same)
    assert np.array_equal(resize_probability(np.asfortranarray(same), 12, 10), resize_probability(same, 12, 10))


def test_mask8_rounds() -> None:
    levels = np.arange(256)
    assert np.array_equal(to_mask8((levels / 255).astype(np.float32)[None])[0], levels)
    edges = np.array([[-0.1, 0.0019, 0.002, 0.5, 0.999, 1.1]], np.float32)
    assert to_mask8(edges).tolist() == [[0, 0, 1, 128, 255, 255]]
