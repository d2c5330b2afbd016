"""Cityscapes: street scenes of German and neighboring cities, fine annotations.

Where to get it
---------------
https://www.cityscapes-dataset.com, after registration: leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip,
unpacked into one folder.

Terms
-----
Non-commercial: research, teaching, publications, personal experiments; the data may not be passed on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from train.data.sources.plan import Item, Plan, mask_of, of_file, read_classes, visible_files, wrong_layout

LICENSE = "Cityscapes: non-commercial research, teaching and personal experiments; not to be passed on"
TREE = """
leftImg8bit/{train,val}/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png
gtFine/{train,val}/CITY/CITY_SEQUENCE_FRAME_gtFine_labelIds.png   label ids, 23 is sky, 0..6 are void
"""
NEXT_STEP = "Unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip there, and give that folder."
IMAGE_END, LABEL_END = "_leftImg8bit", "_gtFine_labelIds"
SKY_ID, VOID_IDS = 23, range(7)
NO_ID = 255  # -1 in a byte: license plates, where a tool drew them after all
IDS = (*range(46), NO_ID)  # up to 33 in the fine annotations; newer tools also know lane lines, 34..45
TEST_CITIES = ("lindau", "munster")


def fine(source: Path) -> Plan:
    """Read the images with public fine annotations: 2975 of `train` and 500 of `val`.

    The labels of the official `test` are not public (its label files hold void alone), so that split is left out. In its
    place lindau and munster, two of the three cities of `val` (233 images), become `test`; frankfurt (267) stays `val`.
    So no city is in two splits. Void (0..6: unlabeled, the ego vehicle, borders, static, dynamic, ground) is void here,
    as in the benchmark.
    """
    items = []
    for split in ("train", "val"):
        cities = source / "leftImg8bit" / split
        for city in sorted(path for path in cities.iterdir() if path.is_dir()) if cities.is_dir() else ():
            for image in visible_files(city, {".png"}):
                if image.stem.endswith(IMAGE_END):
                    name = image.stem.removesuffix(IMAGE_END)
                    label = source / "gtFine" / split / city.name / f"{name}{LABEL_END}.png"
                    moved = "test" if split == "val" and city.name in TEST_CITIES else split
                    items.append(Item(name, image, label, moved, city.name, "driving"))
    if not items or not (source / "gtFine").is_dir():
        missing = "gtFine/" if items else "an image in leftImg8bit/train or leftImg8bit/val"
        raise wrong_layout(source, f"without {missing}", TREE, NEXT_STEP)
    return Plan("cityscapes", LICENSE, "human polygons", items, of_file(_mask))


def _mask(path: Path) -> np.ndarray:
    return mask_of(read_classes(path, IDS), sky=SKY_ID, void=(*VOID_IDS, NO_ID))
