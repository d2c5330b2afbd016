"""Labeled images, decoded and resized once, that many variants of a network are scored on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, read_pair
from edge_runtime.images.network_input import Size
from edge_runtime.images.resize import resize_probability, resize_rgb

THRESHOLD = 0.5


class LabeledSet:
    """Images at the input size, with labels at the images' own size.

    Attributes
    ----------
    images
        (H, W, 3) uint8 RGB.
    targets, valids
        bool, at the image's own size: where the label says sky, and where it is not void.
    """

    def __init__(self, pairs: Sequence[Pair], size: Size) -> None:
        labeled = [read_pair(pair) for pair in pairs]
        self.images = [resize_rgb(each.image, size.height, size.width) for each in labeled]
        self.targets = [each.sky >= THRESHOLD for each in labeled]
        self.valids = [each.valid for each in labeled]
        for name, sign in (("sky", True), ("ground", False)):
            if not any(((target == sign) & valid).any() for target, valid in zip(self.targets, self.valids, strict=True)):
                raise InputError(f"got labeled images without {name}, expected sky and ground: IoU says nothing without both")

    def iou(self, masks: np.ndarray) -> float:
        """Return the pooled IoU, 0 to 1, of `masks`: TP / (TP + FP + FN) over the valid pixels of all images."""
        overlap = union = 0
        for mask, target, valid in zip(masks, self.targets, self.valids, strict=True):
            predicted = resize_probability(mask, *target.shape) >= THRESHOLD
            overlap += int((predicted & target & valid).sum())
            union += int(((predicted | target) & valid).sum())
        return overlap / union
