"""Labels of other conventions, damaged and misplaced ones: refused before a run starts, with advice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.images.mask_file import VOID, mask_png

HEIGHT, WIDTH = 48, 64
SKY = np.zeros((HEIGHT, WIDTH), bool)
SKY[:20] = True


def labels(sky: int, other: int = 0) -> np.ndarray:
    return np.where(SKY, np.uint8(sky), np.uint8(other))


def palette() -> Image.Image:
    image = Image.fromarray(labels(2, 7), mode="P")
    image.putpalette(list(np.random.default_rng(0).integers(0, 256, 768)))
    return image


def cutout() -> Image.Image:
    return Image.fromarray(np.dstack([np.full((HEIGHT, WIDTH, 3), 90, np.uint8), labels(255)]))


def colors(red: int, green: int, blue: int) -> Image.Image:
    return Image.fromarray(SKY[..., None] * np.array([red, green, blue], np.uint8))


def classes() -> np.ndarray:
    mask = labels(10, 3)
    mask[30:, :10], mask[30:, 10:20] = 11, 255  # with 255 = void, as in Cityscapes
    return mask


WRONG: dict[str, tuple[Callable[[], np.ndarray | Image.Image], str]] = {
    "0/1": (lambda: labels(1), r"1 is sky: say --sky-value 1"),
    "1/2": (lambda: labels(2, 1), r"class numbers \(most often 1, 2\).*--sky-value N"),
    "0/10": (lambda: labels(10), r"class numbers \(most often 10\)"),
    "classes": (classes, r"class numbers \(most often 3, 10, 11\)"),
    "classes to 150": (lambda: labels(3, 150), r"class numbers \(most often 3\)"),
    "palette": (palette, "has a palette, .*--sky-value N"),
    "red on black": (lambda: colors(255, 0, 0), "most often 255 0 0, .*say --sky-value 255 0 0"),
    "near gray": (lambda: colors(200, 200, 201), "most often 200 200 201"),
    "cut-out": (cutout, "a cut-out.*alpha channel"),
    "colored cut-out": (lambda: colors(9, 80, 200).convert("RGBA"), "has colors"),
    "16 bits": (lambda: labels(255).astype(np.uint16) * 257, "has mode I;16, expected 8 bits"),
}
RIGHT: dict[str, Callable[[], np.ndarray | Image.Image]] = {
    "black": lambda: labels(0),
    "white": lambda: labels(255, 255),
    "void": lambda: labels(VOID),
    "1 bit": lambda: Image.fromarray(labels(255)).convert("1"),
    "gray in RGB": lambda: Image.fromarray(labels(255)).convert("RGB"),
    "opaque RGBA": lambda: Image.fromarray(labels(255)).convert("RGBA"),
    "gray and alpha": lambda: Image.fromarray(labels(255)).convert("LA"),
    "soft": lambda: np.linspace(0, 255, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint8),
    "gaps between leaves": lambda: np.where(
        SKY, np.random.default_rng(0).integers(0, 60, (HEIGHT, WIDTH), np.uint8), np.uint8(0)
    ),
    "a few faint pixels": lambda: np.where(np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) < 9, np.uint8(60), np.uint8(0)),
}


def write(folder: Path, mask: np.ndarray | Image.Image, name: str = "x") -> Path:
    """Write a pair into a folder; returns the mask's path."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(exist_ok=True)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 100, np.uint8)).save(folder / "images" / f"{name}.jpg")
    path = folder / "masks" / f"{name}.png"
    (Image.fromarray(mask) if isinstance(mask, np.ndarray) else mask).save(path)
    return path


@pytest.mark.parametrize("kind", WRONG)
def test_other_conventions_are_refused_with_advice(kind: str, tmp_path: Path) -> None:
    make, message = WRONG[kind]
    write(tmp_path, make())
    with pytest.raises(InputError, match=message):
        find_pairs(tmp_path)


@pytest.mark.parametrize("kind", RIGHT)
def test_masks_of_the_convention_are_read(kind: str, tmp_path: Path) -> None:
    write(tmp_path, RIGHT[kind]())
    labeled = read_pair(find_pairs(tmp_path)[0])
    assert labeled.sky.shape == (HEIGHT, WIDTH)
    if kind not in ("black", "white", "void", "soft", "gaps between leaves", "a few faint pixels"):
        assert np.array_equal(labeled.sky, SKY) and labeled.valid.all()


def test_our_own_soft_maps_may_hold_low_values_alone(tmp_path: Path) -> None:
    path = write(tmp_path, labels(1))
    path.write_bytes(mask_png(labels(1), "{}"))
    assert read_pair(find_pairs(tmp_path)[0]).sky.max() == np.float32(1 / 255)


def break_size(path: Path) -> None:
    Image.new("L", (WIDTH + 1, HEIGHT)).save(path)


def break_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def break_head(path: Path) -> None:
    path.write_bytes(b"no image")


@pytest.mark.parametrize("damage", [break_size, break_end, break_head])
@pytest.mark.parametrize("kind", ["images", "masks"])
def test_one_bad_file_of_many_is_found_before_the_first_step(damage: Callable[[Path], None], kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(40):
        write(tmp_path, labels(255) // 255 * rng.integers(200, 256, (HEIGHT, WIDTH), np.uint8), f"{number:02d}")
    bad = next((tmp_path / kind).glob("17.*"))
    damage(bad)
    with pytest.raises(InputError, match=rf"masks/17\.png is \({HEIGHT}, .*expected|cannot read (image|mask) .*17"):
        find_pairs(tmp_path)


def test_a_turned_image_of_the_masks_size_passes(tmp_path: Path) -> None:
    write(tmp_path, labels(255))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "images" / "x.jpg", exif=exif)
    assert len(find_pairs(tmp_path)) == 1
    Image.new("RGB", (HEIGHT, WIDTH)).save(tmp_path / "images" / "x.jpg")
    with pytest.raises(InputError, match=r"expected \(64, 48\)"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("row", ["x.jpg,a", "X,a", "images/x,a", " x,a"])
def test_ids_that_match_nothing_are_refused(row: str, tmp_path: Path) -> None:
    write(tmp_path, labels(255))
    (tmp_path / "manifest.csv").write_text(f"id,group\nx,a\n{row}\n")
    with pytest.raises(InputError, match="manifest.csv has 1 ids without an image"):
        find_pairs(tmp_path)


def test_a_mask_without_an_image_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, labels(255))
    (tmp_path / "masks" / "lost.png").write_bytes((tmp_path / "masks" / "x.png").read_bytes())
    assert len(find_pairs(tmp_path)) == 1
    assert f"skipped: {tmp_path / 'masks' / 'lost.png'}: a mask without an image" in capsys.readouterr().err


def test_a_short_row_is_no_traceback(tmp_path: Path) -> None:
    write(tmp_path, labels(255))
    (tmp_path / "manifest.csv").write_text("source,id\nalps,x\nalps\n")
    with pytest.raises(InputError, match="1 ids without an image, such as ''"):
        find_pairs(tmp_path)
