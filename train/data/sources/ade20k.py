"""ADE20K: the scene parsing benchmark of 150 classes, and its outdoor subset.

Where to get them
-----------------
The benchmark is ADEChallengeData2016.zip of http://sceneparsing.csail.mit.edu (MIT). It is not the full ADE20K with its
3000 classes and `_seg.png` files, which the same group publishes. "ADE20K Outdoors" is a subset of 5000 images in the
same layout that others put on Kaggle (residentmario/ade20k-outdoors).

Terms
-----
Images: non-commercial research and education; MIT does not own them. Annotations: BSD 3-Clause.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_runtime.progress import track
from train.data.sources.plan import Item, Plan, mask_of, of_file, read_classes, split_names, visible_files, wrong_layout

LICENSE = "ADE20K: images non-commercial research and education; annotations BSD-3-Clause"
TREE = """
images/{training,validation}/ADE_*.jpg
annotations/{training,validation}/ADE_*.png   class numbers 0..150, 3 is sky
sceneCategories.txt                           optional; NAME SCENE in every line
"""
NEXT_STEP = "Unpack ADEChallengeData2016.zip, and give the folder that holds images/ and annotations/."
UNLABELED, SKY_CLASS, CLASSES = 0, 3, range(151)
SUBSET_LIMIT = 10_000
VAL_SHARE = 0.05  # of `training`: about 1000 images
# sky, road, grass, sidewalk, earth, mountain, sea, field, sand, river, hill
OUTDOOR_CLASSES = (3, 7, 10, 12, 14, 17, 27, 30, 47, 61, 69)
# ceiling, bed, sofa, wardrobe, bathtub, sink, refrigerator, pool table, toilet, stove
INDOOR_CLASSES = (6, 8, 24, 36, 38, 48, 51, 57, 66, 72)


def benchmark(source: Path, seed: int) -> Plan:
    """Read ADEChallengeData2016: indoor and outdoor, 20 210 images for training and 2000 for validation.

    `validation` becomes `test`, because it is what published results are measured on. A seeded 5 % of `training` becomes
    `val`, the rest `train`.

    Class 0 is void: it means "other or unlabeled", the benchmark leaves it out of its metrics, and unlabeled sky
    counted as "other" would be a wrong label. The price is that rare objects in front of the sky, which have no class of
    their own among the 150, are not learnt from.
    """
    items = _items(source)
    dealt = split_names([item.id for item in items if item.split == "train"], seed, val=VAL_SHARE, test=0.0)
    return _plan("ade20k", [replace(item, split=dealt.get(item.id, "test")) for item in items])


def outdoors(source: Path, seed: int) -> Plan:
    """Read the images that are outdoors, dealt out 60/20/20 by seed and name.

    SOURCE is either the subset of 5000 (no `sceneCategories.txt`), of which every image is taken, or the whole
    benchmark, of which the images with a class of `OUTDOOR_CLASSES` and none of `INDOOR_CLASSES` are taken. That rule
    is ours, there is no official list; it drops porches, whose roof is labeled ceiling. The published folders
    `training` and `validation` are not kept, so never train on `ade20k` and test on this, or the other way round.
    """
    items = _items(source)
    if (source / "sceneCategories.txt").is_file():
        items = [item for item in track(items, "outdoors?") if _is_outdoors(item.annotation)]
        if not items:
            raise wrong_layout(source, "without a single outdoor image", TREE, NEXT_STEP)
    elif len(items) > SUBSET_LIMIT:  # the whole benchmark, rooms and all, must not pass for its outdoor subset
        got = f"with {len(items)} images but no sceneCategories.txt"
        raise wrong_layout(source, got, TREE, "Give the subset of 5000, or the whole benchmark with that file.")
    dealt = split_names([item.id for item in items], seed, val=0.2, test=0.2)
    return _plan("ade20k_outdoors", [replace(item, split=dealt[item.id]) for item in items])


def _items(source: Path) -> list[Item]:
    """List the images; `split` is `train` for training and `test` for validation until the caller deals them out."""
    scenes = _scenes(source / "sceneCategories.txt")
    items = [
        Item(
            image.stem,
            image,
            source / "annotations" / folder / f"{image.stem}.png",
            split,
            image.stem,
            scenes.get(image.stem, ""),
        )
        for folder, split in (("training", "train"), ("validation", "test"))
        for image in visible_files(source / "images" / folder, {".jpg"})
    ]
    if not items or not (source / "annotations").is_dir():
        missing = "annotations/" if items else "an image in images/training or images/validation"
        raise wrong_layout(source, f"without {missing}", TREE, NEXT_STEP)
    return items


def _scenes(path: Path) -> dict[str, str]:
    """Read sceneCategories.txt; no scene is known where it is missing."""
    if not path.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines())
    return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2}


def _is_outdoors(annotation: Path) -> bool:
    # An image without annotation stays in: the command names all of those at once.
    present = np.unique(read_classes(annotation, CLASSES)) if annotation.is_file() else np.array(OUTDOOR_CLASSES)
    return bool(np.isin(OUTDOOR_CLASSES, present).any() and not np.isin(INDOOR_CLASSES, present).any())


def _plan(source: str, items: list[Item]) -> Plan:
    return Plan(source, LICENSE, "human; unlabeled = ignore", items, of_file(_mask))


def _mask(path: Path) -> np.ndarray:
    return mask_of(read_classes(path, CLASSES), sky=SKY_CLASS, void=(UNLABELED,))
