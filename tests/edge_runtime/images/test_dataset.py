"""Folders of images and masks: both layouts, void, soft edges, sources, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, find_pairs, read_pair, splits


def write_pair(folder: Path, name: str, mask: np.ndarray | None, suffix: str = ".png", height: int = 6) -> None:
    """Write images/NAME and, unless None, masks/NAME.png."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    Image.fromarray(np.full((height, 8, 3), 100, np.uint8)).save(folder / "images" / f"{name}{suffix}")
    if mask is not None:
        Image.fromarray(mask).save(folder / "masks" / f"{name}.png")


def plain_mask(height: int = 6) -> np.ndarray:
    mask = np.zeros((height, 8), np.uint8)
    mask[: height // 2] = 255
    return mask


@pytest.fixture
def split_folder(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    write_pair(root / "train", "b", plain_mask(), ".jpg")
    write_pair(root / "train", "a", plain_mask())
    write_pair(root / "test", "c", plain_mask())
    (root / "manifest.csv").write_text("id,source,split,scene\na,alps,train,mountain\nc,coast,test,sea\n")
    return root


def test_split_layout(split_folder: Path) -> None:
    assert splits(split_folder) == ["test", "train"]
    pairs = find_pairs(split_folder, "train")
    assert [(pair.id, pair.source, pair.scene) for pair in pairs] == [("a", "alps", "mountain"), ("b", "set", "")]
    assert pairs[1].image.name == "b.jpg"
    assert pairs[1].mask is not None and pairs[1].mask.name == "b.png"


def test_flat_layout_and_images_alone(tmp_path: Path) -> None:
    write_pair(tmp_path / "flat", "x", plain_mask())
    assert [pair.id for pair in find_pairs(tmp_path / "flat")] == ["x"]
    assert splits(tmp_path / "flat") == []
    alone = tmp_path / "flat" / "images"
    assert find_pairs(alone, masks=False) == [Pair("x", alone / "x.png", None, "images", "", "x")]
    (alone / "notes.txt").write_text("not an image")
    assert len(find_pairs(alone, masks=False)) == 1


def test_void_is_128_alone_and_other_values_are_shares(tmp_path: Path) -> None:
    mask = np.array([[0, 1, 127, 128, 129, 200, 254, 255]] * 6, np.uint8)
    write_pair(tmp_path, "x", mask)
    labeled = read_pair(find_pairs(tmp_path)[0])
    assert labeled.image.shape == (6, 8, 3) and labeled.image.dtype == np.uint8
    assert labeled.sky.dtype == np.float32 and labeled.valid.dtype == bool
    assert np.array_equal(labeled.valid[0], mask[0] != 128)
    assert np.allclose(labeled.sky, mask / 255.0)


def test_rotated_image_meets_its_mask_upright(tmp_path: Path) -> None:
    """The mask belongs to the image as it is seen, after its EXIF orientation."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.fromarray(np.zeros((8, 6, 3), np.uint8)).save(tmp_path / "images" / "x.jpg", exif=exif)
    Image.fromarray(plain_mask()).save(tmp_path / "masks" / "x.png")
    assert read_pair(find_pairs(tmp_path)[0]).image.shape == (6, 8, 3)


def test_missing_split_names_those_that_are_there(split_folder: Path) -> None:
    with pytest.raises(InputError, match="has the splits test, train"):
        find_pairs(split_folder, "val")
    with pytest.raises(InputError, match="has the splits test, train"):
        find_pairs(split_folder)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected an existing folder"):
        find_pairs(tmp_path / "absent")
    (tmp_path / "images").mkdir()
    with pytest.raises(InputError, match="without masks/"):
        find_pairs(tmp_path)
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="got no image"):
        find_pairs(tmp_path)
    write_pair(tmp_path, "x", None)
    with pytest.raises(InputError, match=r"has no mask; expected .*x\.png"):
        find_pairs(tmp_path)
    write_pair(tmp_path, "x", plain_mask(height=4))
    with pytest.raises(InputError, match=r"is \(4, 8\), expected \(6, 8\)"):
        find_pairs(tmp_path)
    (tmp_path / "masks" / "x.png").write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    with pytest.raises(InputError, match="cannot read mask"):
        find_pairs(tmp_path)
    with pytest.raises(InputError, match="has no mask"):
        read_pair(find_pairs(tmp_path / "images", masks=False)[0])


def test_broken_masks_are_never_a_traceback(tmp_path: Path) -> None:
    """Damaged PNGs raise many kinds of error in Pillow; a reader sees one."""
    write_pair(tmp_path, "x", plain_mask())
    pair, whole = find_pairs(tmp_path)[0], (tmp_path / "masks" / "x.png").read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for _ in range(3):
            damaged[rng.integers(len(damaged))] = rng.integers(256)
        (tmp_path / "masks" / "x.png").write_bytes(damaged)
        try:
            read_pair(pair)
        except InputError as error:
            assert "x.png" in str(error)


def test_manifest(tmp_path: Path) -> None:
    write_pair(tmp_path, "x", plain_mask())
    manifest = tmp_path / "manifest.csv"
    for text in (
        b"",
        b"id,source,scene\n",
        b"id,source,scene\nx\n",
        b"id\nx\n",
        b"\xef\xbb\xbfid,scene\nx\n",
    ):  # empty, short and few columns
        manifest.write_bytes(text)
        pair = find_pairs(tmp_path)[0]
        assert (pair.source, pair.scene) == (tmp_path.name, "")
    manifest.write_bytes(b"\xef\xbb\xbfid,source\nx,alps\n")  # the byte-order mark of spreadsheets
    assert find_pairs(tmp_path)[0].source == "alps"
    for text in (b"name,source\nx,alps\n", b"\xff\xfeid"):
        manifest.write_bytes(text)
        with pytest.raises(InputError, match=r"manifest\.csv.*column `id`"):
            find_pairs(tmp_path)


def test_real_data(sky_data: Path) -> None:
    assert splits(sky_data) == ["test", "train", "val"]
    pairs = find_pairs(sky_data, "test")
    assert len({pair.source for pair in pairs}) > 5 and all(pair.source != sky_data.name for pair in pairs)
    labeled = read_pair(pairs[0])
    assert labeled.image.shape[:2] == labeled.sky.shape == labeled.valid.shape


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    write_pair(tmp_path, "x", plain_mask())
    write_pair(tmp_path, "x", plain_mask(), ".jpg")
    with pytest.raises(InputError, match=r"x\.jpg and .*x\.png, expected one image per stem"):
        find_pairs(tmp_path)


def test_hidden_files_and_folders_are_no_images(tmp_path: Path) -> None:
    write_pair(tmp_path, "x", plain_mask())
    (tmp_path / "images" / "._x.png").write_bytes(b"what macOS leaves on memory cards")
    (tmp_path / "images" / "folder.png").mkdir()
    assert [pair.id for pair in find_pairs(tmp_path)] == ["x"]


def test_deep_masks_are_refused_rather_than_clipped(tmp_path: Path) -> None:
    write_pair(tmp_path, "x", plain_mask().astype(np.uint16) * 257)
    with pytest.raises(InputError, match=r"has mode I;16, expected 8 bits of gray: 255 sky, 0 other, 128 void"):
        read_pair(find_pairs(tmp_path)[0])
