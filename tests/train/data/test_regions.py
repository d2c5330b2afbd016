"""COCO and labelme files: what pycocotools writes and what labelme writes becomes masks, upright, or is refused."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from adapter_trees import convert, mask_of, refused, write_image
from PIL import Image
from pycocotools import mask as runs

SIZE = (40, 60)  # height, width
SKY_BOX = [2, 3, 50, 3, 50, 30, 2, 30]  # x, y of the corners; columns 2 to 49, rows 3 to 29
HOLE = [10, 10, 20, 10, 20, 20, 10, 20]


def box(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    mask[top:bottom, left:right] = 1
    return mask


def packed(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as pycocotools packs it into JSON."""
    found = runs.encode(np.asfortranarray(mask))
    return {"size": [int(side) for side in found["size"]], "counts": found["counts"].decode("ascii")}


def unpacked(mask: np.ndarray) -> dict[str, Any]:
    """Return a mask as a list of runs down the columns, as COCO stores crowds."""
    flat = mask.ravel(order="F")
    edges = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), flat.size]
    counts = np.diff(edges).tolist()
    return {"size": [*mask.shape], "counts": counts if not flat[0] else [0, *counts]}


def coco_tree(root: Path, annotations: list[tuple[int, str, Any, int]], names: tuple[str, ...] = ("a.png", "b.png")) -> Path:
    """Write images, and a file of (number of the image, class, segmentation, whether it is a crowd)."""
    classes = ["person", "Sky", "tree"]
    for name in names:
        write_image(root / "images" / name, *SIZE)
    content = {
        "images": [{"id": 10 + i, "file_name": name, "height": SIZE[0], "width": SIZE[1]} for i, name in enumerate(names)],
        "categories": [{"id": 7 + i, "name": name} for i, name in enumerate(classes)],
        "annotations": [
            {"id": i, "image_id": 10 + image, "category_id": 7 + classes.index(name), "segmentation": drawn, "iscrowd": crowd}
            for i, (image, name, drawn, crowd) in enumerate(annotations)
        ],
    }
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def sky_of(source: Path, out: Path, kind: str = "coco", **options: Any) -> np.ndarray:
    convert(kind, source, out, split="test", **options)
    return mask_of(out, "test", "a")


@pytest.mark.parametrize(
    "drawn", [[SKY_BOX], packed(box(2, 3, 50, 30)), unpacked(box(2, 3, 50, 30))], ids=["polygon", "rle", "runs"]
)
def test_every_form_of_coco_gives_the_same_mask(drawn: Any, tmp_path: Path) -> None:
    found = sky_of(coco_tree(tmp_path / "mine", [(0, "Sky", drawn, 0), (0, "person", [HOLE], 0)]), tmp_path / "out")
    assert np.array_equal(found, 255 * box(2, 3, 50, 30))
    assert not mask_of(tmp_path / "out", "test", "b").any(), "an image without a region has no sky"


def test_parts_holes_and_crowds(tmp_path: Path) -> None:
    """Two parts of one annotation are both sky, a polygon inside a part is a hole, a crowd adds to it, void lies over it."""
    part, crowd, hole = [52, 5, 58, 5, 58, 9, 52, 9], box(0, 35, 60, 40), box(30, 12, 34, 16)
    ring = packed(crowd - box(20, 36, 25, 38))
    regions = [(0, "tree", [[30, 12, 34, 12, 34, 16, 30, 16]], 0), (0, "Sky", [HOLE, SKY_BOX, part], 0), (0, "Sky", ring, 1)]
    found = sky_of(coco_tree(tmp_path / "mine", regions), tmp_path / "out", void_class=("tree",))
    expected = 255 * (box(2, 3, 50, 30) - box(10, 10, 20, 20) + box(52, 5, 58, 9) + crowd - box(20, 36, 25, 38))
    expected[hole > 0] = 128
    assert np.array_equal(found, expected)


def save_turned(path: Path, orientation: int) -> np.ndarray:
    """Write an image whose EXIF turns it, and return it as it is stored."""
    stored = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(path, exif=exif)
    return stored


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_regions_are_turned_as_the_tool_saw_the_image(orientation: int, tmp_path: Path) -> None:
    """A tool that shows stored pixels, and one that shows them upright, end in the same mask as the image that is read."""
    shown = {3: lambda m: m[::-1, ::-1], 5: lambda m: m.T, 6: lambda m: np.rot90(m, -1), 8: lambda m: np.rot90(m)}[orientation]
    stored, upright = box(2, 3, 50, 30), shown(box(2, 3, 50, 30))
    for name, mask in (("stored", stored), ("upright", upright)):
        if orientation == 3 and name == "stored":
            continue  # the size does not tell: it counts as upright
        source = coco_tree(tmp_path / name, [(0, "Sky", packed(mask), 0)], names=("a.png",))
        save_turned(source / "images" / "a.png", orientation)
        content = json.loads((source / "annotations.json").read_text())
        content["images"][0] |= {"height": mask.shape[0], "width": mask.shape[1]}
        (source / "annotations.json").write_text(json.dumps(content))
        assert np.array_equal(sky_of(source, tmp_path / f"out-{name}"), 255 * upright)


def labelme_tree(root: Path, shapes: list[tuple[str, str, Any]]) -> Path:
    write_image(root / "pictures" / "a.jpg", *SIZE)
    (root / "labels").mkdir()
    drawn = [{"label": label, "shape_type": kind, "points": points} for label, kind, points in shapes]
    content = {
        "version": "5.5",
        "shapes": drawn,
        "imagePath": "..\\pictures\\a.jpg",
        "imageHeight": SIZE[0],
        "imageWidth": SIZE[1],
    }
    (root / "labels" / "a.json").write_text(json.dumps(content | {"imageData": None}))
    return root


def test_shapes_of_labelme_lie_over_each_other(tmp_path: Path) -> None:
    shapes = [
        ("sky", "polygon", np.reshape(SKY_BOX, (-1, 2)).tolist()), ("tree", "polygon", np.reshape(HOLE, (-1, 2)).tolist()),
        ("sky", "rectangle", [[12, 12], [14, 14]]), ("unsure", "circle", [[30, 20], [33, 20]]),
    ]  # fmt: skip
    found = sky_of(labelme_tree(tmp_path / "mine", shapes), tmp_path / "out", "labelme", void_class=("unsure",))
    expected = 255 * (box(2, 3, 50, 30) - box(10, 10, 20, 20) + box(12, 12, 14, 14))
    rows, columns = np.indices(SIZE)
    near = np.hypot(columns + 0.5 - 30, rows + 0.5 - 20)
    assert (found[near < 2.2] == 128).all() and np.array_equal(found[near > 4], expected[near > 4])


def test_a_mask_of_labelme_is_pasted(tmp_path: Path) -> None:
    source, buffer = labelme_tree(tmp_path / "mine", [("sky", "mask", [[4, 5], [23, 14]])]), io.BytesIO()
    part = np.random.default_rng(1).integers(0, 2, (10, 20), dtype=np.uint8)
    Image.fromarray(255 * part).convert("1").save(buffer, "PNG")
    path = source / "labels" / "a.json"
    content = json.loads(path.read_text())
    content["shapes"][0]["mask"] = base64.b64encode(buffer.getvalue()).decode()
    path.write_text(json.dumps(content))
    expected = np.zeros(SIZE, np.uint8)
    expected[5:15, 4:24] = 255 * part
    assert np.array_equal(sky_of(source, tmp_path / "out", "labelme"), expected)


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        ([[1, 2, 3, 4]], "2 points, expected 3 or more"), ([[1, 2, float("inf"), 4, 5, 6]], "finite"), (["x"], "that is none"),
        ({"size": [*SIZE], "counts": [3, 5]}, "runs of 8 pixels"), ({"size": [*SIZE], "counts": "~~~"}, "that is none"),
        ({"size": [9, 9], "counts": [81]}, r"runs of size \[9, 9\]"), (None, "that is none"),
    ],
)  # fmt: skip
def test_regions_that_are_none_are_refused(drawn: Any, message: str, tmp_path: Path) -> None:
    source = coco_tree(tmp_path / "mine", [(0, "Sky", drawn, 0)])
    said = refused("coco", source, tmp_path / "out")
    assert message.replace("\\", "") in said and "Export from your tool again" in said


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    source, out = coco_tree(tmp_path / "mine", [(0, "tree", [SKY_BOX], 0)]), tmp_path / "out"
    path = source / "annotations.json"
    text = path.read_text()
    assert "got the classes person, Sky, tree" in refused("coco", source, out, sky_class=("heaven",))
    assert "expected it with coco and labelme only" in refused("folder", source, out, sky_class=("x",))
    for old, new, message in (
        ("a.png", "../../a.png", "expected it as"), ('"category_id": 9', '"category_id": 3', "wrong or missing 3"),
        ('"width": 60', '"width": 61', "got 61 x 40"), ('"images"', '"pictures"', "without images"), ("{", "[", "cannot read"),
    ):  # fmt: skip
        path.write_text(text.replace(old, new))
        assert message in refused("coco", source, out), old
    write_image(tmp_path / "outside.png", *SIZE)
    path.write_text(text.replace("a.png", "../../outside.png"))
    assert "which is outside" in refused("coco", source, out)
    path.unlink()
    assert "expected this tree" in refused("coco", source, out) and "expected this tree" in refused("labelme", source, out)
    lined = labelme_tree(tmp_path / "lined", [("sky", "line", [[1, 1], [5, 5]])])
    assert "the shape 'line', expected polygon" in refused("labelme", lined, out)
