"""SkyFinder (Mihail et al., WACV 2016): about 90 000 frames of 53 webcams in all weathers, one sky mask per camera.

Where to get it
---------------
https://zenodo.org/records/5884485: skyfinder_masks.zip and a zip per camera (10.5 GB in all; any of them will do, from
three cameras on), unpacked into one folder.

Terms
-----
The Zenodo record says CC BY 4.0; the frames come from webcams of others (the AMOS archive).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import DECODE_ERRORS
from train.data.sources.plan import OTHER, SKY, Item, Plan, of_file, split_names, visible_files, wrong_layout

LICENSE = "SkyFinder: CC BY 4.0 (Zenodo record 5884485)"
TREE = """
skyfinder_masks/CAMERA.png    white is sky, black is not
CAMERA/YYYYMMDD_HHMMSS.jpg    CAMERA is a number, such as 204; three cameras or more
"""
NEXT_STEP = "Unpack skyfinder_masks.zip and the zips of the cameras there, and give that folder."


def cameras(source: Path, seed: int) -> Plan:
    """Read the cameras that are there; cameras, never frames, are dealt out 60/20/20 by seed and number.

    All frames of a camera share one mask, so a network that saw a camera in training knows the answer by heart. The
    split depends on which cameras are there: take the same ones to compare.

    The mask was drawn once: in fog, at night or after a knock against the camera it need not agree with the frame, and
    it has no void. Some frames are published broken or in another size than the mask; those are left out and counted.
    """
    found = sorted(
        (path for path in source.iterdir() if path.name.isdecimal() and path.is_dir()), key=lambda path: int(path.name)
    )
    frames = {camera.name: visible_files(camera, {".jpg"}) for camera in found}
    with_frames = [name for name, images in frames.items() if images]
    if len(with_frames) < 3 or not (source / "skyfinder_masks").is_dir():
        missing = f"with frames of {len(with_frames)} cameras" if len(with_frames) < 3 else "without skyfinder_masks/"
        raise wrong_layout(source, missing, TREE, NEXT_STEP)
    dealt = split_names(with_frames, seed, val=0.2, test=0.2)
    items = [
        Item(f"{name}_{image.stem}", image, source / "skyfinder_masks" / f"{name}.png", dealt[name], name, "webcam")
        for name in with_frames
        for image in frames[name]
    ]
    return Plan("skyfinder", LICENSE, "one human mask per camera", items, of_file(lru_cache(maxsize=1)(_mask)), skip_unfit=True)


def _mask(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            brightness = np.asarray(opened.convert("L"))
    except DECODE_ERRORS as error:
        raise InputError(f"cannot read mask {path}: {error}; expected a PNG, white for sky; unpack it again") from error
    if 0 < brightness.max(initial=0) <= 127:
        raise InputError(f"mask {path} is never brighter than {brightness.max()}, expected 255 for sky; unpack it again")
    return np.where(brightness > 127, np.uint8(SKY), np.uint8(OTHER))
