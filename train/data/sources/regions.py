"""Regions that people drew in a tool of their own: COCO files (CVAT, Label Studio, COCO-Stuff ...), and labelme files.

pycocotools turns polygons and runs into pixels. Names of classes say what is sky; case does not count. Terms: yours.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS, IMAGE_SUFFIXES, ORIENTATION_TAG, open_image, upright
from edge_runtime.images.mask_file import VOID
from edge_runtime.records import read_text
from train.data.sources.plan import OTHER, SKY, Item, Plan, split_names, visible_files, wrong_layout

COCO_TREE = """
ANY.json      "images", "annotations", "categories"; several files are read in turn
images        where "file_name" says: in SOURCE, or in SOURCE/images
"""
LABELME_TREE = 'NAME.json     "imagePath", "shapes"; one for each image, in SOURCE or below it'
NEXT_STEP = "Export from your tool again."
CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 64)), np.sin(np.linspace(0, 2 * np.pi, 64))], 1)
Names = Sequence[str]


def coco(source: Path, seed: int, sky: Names, void: Names, split: str | None) -> Plan:
    """Read every *.json of SOURCE in the form of COCO: polygons, runs (RLE) and crowds of one class are one region.

    A polygon inside another one of the same annotation is a hole. Void lies over sky. An image that a file lists without a region
    of sky has none. Where EXIF turns an image, width and height in the file tell whether the tool saw it so. Where they cannot
    (half a turn, mirrored, square), it did as with the other images of the file, or showed it upright.
    """
    regions: dict[Path, tuple[dict[str, Any], list[tuple[int, Any]], bool]] = {}
    for path in visible_files(source, {".json"}):
        content = _read(path, ("images", "annotations", "categories"))
        try:
            names = {each["id"]: each["name"] for each in content["categories"]}
            values = {key: _value(name, sky, void) for key, name in names.items()}
            if SKY not in values.values():
                raise InputError(
                    f"got the classes {', '.join(names.values())} in {path}, expected one of --sky-class {', '.join(sky)}"
                )
            found: dict[Any, list[tuple[int, Any]]] = {each["id"]: [] for each in content["images"]}
            for each in content["annotations"]:
                if (value := values[each["category_id"]]) != OTHER:
                    found[each["image_id"]].append((value, each["segmentation"]))
            images = {each["id"]: _inside(each["file_name"], (source, source / "images"), path) for each in content["images"]}
            stored = _seen_stored(zip(images.values(), content["images"], strict=True))
            for each in content["images"]:
                regions[images[each["id"]]] = (each, sorted(found[each["id"]], key=lambda region: -region[0]), stored)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"got {path} with a wrong or missing {error}, expected a COCO file. {NEXT_STEP}") from error
    if not regions:
        raise wrong_layout(source, "without a COCO file that lists images", COCO_TREE, NEXT_STEP)

    def mask(item: Item) -> np.ndarray:
        size, found, stored = regions[item.image]
        return _upright(
            _paint(((value, _coco_shapes(drawn)) for value, drawn in found), size["height"], size["width"], item), item, stored
        )

    return Plan(
        source.resolve().name, "unknown", "human regions", _items(regions, {path: path for path in regions}, seed, split), mask
    )


def labelme(source: Path, seed: int, sky: Names, void: Names, split: str | None) -> Plan:
    """Read every *.json of SOURCE and its folders as labelme writes it: a shape lies over those before it, so it may be a hole.

    labelme shows images upright. Polygons, rectangles, circles and masks are regions.
    """
    shapes: dict[Path, dict[str, Any]] = {}
    notes: dict[Path, Path] = {}
    for path in sorted(path for path in source.rglob("*.json") if not path.name.startswith(".")):
        content = _read(path, ("imagePath", "shapes"))
        try:
            image = _inside(content["imagePath"].replace("\\", "/"), (path.parent,), path, source)
            content["shapes"] = [(_value(each["label"], sky, void), each) for each in content["shapes"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"got {path} with a wrong or missing {error}, expected a labelme file. {NEXT_STEP}") from error
        shapes[image], notes[image] = content, path
    if not shapes:
        raise wrong_layout(source, "without a labelme file", LABELME_TREE, NEXT_STEP)
    if not any(value == SKY for content in shapes.values() for value, _ in content["shapes"]):
        labels = sorted({each["label"] for content in shapes.values() for _, each in content["shapes"]})
        raise InputError(f"got the labels {', '.join(labels)} in {source}, expected one of --sky-class {', '.join(sky)}")
    stored = _seen_stored((image, {"width": each["imageWidth"], "height": each["imageHeight"]}) for image, each in shapes.items())

    def mask(item: Item) -> np.ndarray:
        content = shapes[item.image]
        height, width = content["imageHeight"], content["imageWidth"]
        drawn = ((value, _labelme_shapes(each)) for value, each in content["shapes"])
        return _upright(_paint(drawn, height, width, item), item, stored)

    return Plan(source.resolve().name, "unknown", "human polygons", _items(shapes, notes, seed, split), mask)


def _read(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path, "a JSON file of regions"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path}: {error}; expected JSON. {NEXT_STEP}") from error
    if not isinstance(content, dict) or any(key not in content for key in keys):
        raise InputError(f"got {path} without {', '.join(keys)}, expected all of them. {NEXT_STEP}")
    return content


def _value(name: str, sky: Names, void: Names) -> int:
    known = {each.lower(): SKY for each in sky} | {each.lower(): VOID for each in void}
    return known.get(name.strip().lower(), OTHER)


def _inside(name: str, folders: Sequence[Path], note: Path, root: Path | None = None) -> Path:
    """Return the file of an image that a file of regions names; raises `InputError` where it is not there or outside `root`."""
    places = [folder / PurePosixPath(name) for folder in folders]
    found = next((place for place in places if place.is_file()), None)
    if found is None or found.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"got the image {name!r} in {note}, expected it as {places[0]}; put the images there")
    if not found.resolve().is_relative_to((root or folders[0]).resolve()):
        raise InputError(f"got the image {name!r} in {note}, which is outside {root or folders[0]}; move it in, and export again")
    return found


def _items(images: Iterable[Path], notes: dict[Path, Path], seed: int, split: str | None) -> list[Item]:
    images = list(images)
    dealt = split_names([image.stem for image in images], seed, val=0.2, test=0.2) if split is None else {}
    return [Item(image.stem, image, notes[image], split or dealt[image.stem], image.stem) for image in images]


def _seen_stored(images: Iterable[tuple[Path, dict[str, Any]]]) -> bool:
    """Return whether the tool showed images as they are stored, not upright, which widths and heights tell."""
    for image, said in images:
        with open_image(image) as opened:
            turned = opened.getexif().get(ORIENTATION_TAG, 1) in (5, 6, 7, 8) and opened.width != opened.height
            if turned:
                return bool((said["width"], said["height"]) == opened.size)
    return False


def _upright(mask: np.ndarray, item: Item, stored: bool) -> np.ndarray:
    if not stored:
        return mask
    with open_image(item.image) as opened:
        return upright(mask, opened.getexif().get(ORIENTATION_TAG, 1))


def _paint(regions: Iterable[tuple[int, Callable[[int, int], np.ndarray]]], height: int, width: int, item: Item) -> np.ndarray:
    """Return the mask (H, W) uint8 of regions, the later over the earlier."""
    with open_image(item.image) as opened:
        if sorted((height, width)) != sorted(opened.size):
            raise InputError(
                f"got {width} x {height} in {item.annotation}, expected the size of {item.image}: {opened.size}. {NEXT_STEP}"
            )
    mask = np.full((height, width), OTHER, np.uint8)
    try:
        for value, draw in regions:
            mask[draw(height, width)] = value
    except (ValueError, TypeError, KeyError, IndexError, *DECODE_ERRORS) as error:
        raise InputError(
            f"got a region of {item.image} in {item.annotation} that is none: {error!r:.200}. {NEXT_STEP}"
        ) from error
    return mask


def _polygon(points: Any, height: int, width: int) -> np.ndarray:
    from pycocotools import mask as runs

    corners = np.asarray(points, np.float64).reshape(-1, 2)
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise ValueError(f"{len(corners)} points, expected 3 or more, finite")
    inside = corners.clip(0, (width, height))
    return runs.decode(runs.frPyObjects([inside.ravel().tolist()], height, width))[..., 0].astype(bool)


def _coco_shapes(drawn: Any) -> Callable[[int, int], np.ndarray]:
    """Return what draws a segmentation of COCO: a list of polygons, or runs as a list or packed into a string."""

    def draw(height: int, width: int) -> np.ndarray:
        from pycocotools import mask as runs

        if isinstance(drawn, dict):
            if list(drawn["size"]) != [height, width]:
                raise ValueError(f"runs of size {drawn['size']}, expected {[height, width]}")
            if isinstance(drawn["counts"], list):
                if min(drawn["counts"]) < 0 or sum(drawn["counts"]) != height * width:
                    raise ValueError(f"runs of {sum(drawn['counts'])} pixels, expected {height * width}")
                return runs.decode(runs.frPyObjects(drawn, height, width)).astype(bool)
            found = runs.decode(drawn)
            if runs.encode(np.asfortranarray(found))["counts"] != drawn["counts"].encode("ascii"):
                raise ValueError("packed runs that do not fill the image")
            return found.astype(bool)
        found = np.zeros((height, width), bool)
        polygons = [_polygon(each, height, width) for each in drawn]
        for each in sorted(polygons, key=np.count_nonzero, reverse=True):
            hole = each.any() and found[each].all()
            found[each] = not hole
        return found

    return draw


def _labelme_shapes(shape: dict[str, Any]) -> Callable[[int, int], np.ndarray]:
    """Return what draws a shape of labelme."""

    def draw(height: int, width: int) -> np.ndarray:
        kind, points = shape.get("shape_type", "polygon"), np.asarray(shape["points"], np.float64).reshape(-1, 2)
        if kind == "polygon":
            return _polygon(points, height, width)
        (left, top), (right, bottom) = points
        if kind == "rectangle":
            return _polygon([[left, top], [right, top], [right, bottom], [left, bottom]], height, width)
        if kind == "circle":
            return _polygon(points[0] + np.hypot(right - left, bottom - top) * CIRCLE, height, width)
        if kind != "mask":
            raise ValueError(f"the shape {kind!r}, expected polygon, rectangle, circle or mask")
        part = np.asarray(Image.open(io.BytesIO(base64.b64decode(shape["mask"])))).astype(bool)
        found = np.zeros((height, width), bool)
        x, y = round(left), round(top)
        found[y : y + part.shape[0], x : x + part.shape[1]] = part
        return found

    return draw
