"""Labeled images, decoded and resized once, that many variants of a network are scored on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
    sources
        Of each image, from the manifest.
    """

    def __init__(self, pairs: Sequence[Pair], size: Size) -> None:
        labeled = [read_pair(pair) for pair in pairs]
        self.images = [resize_rgb(each.image, size.height, size.width) for each in labeled]
        self.targets = [each.sky >= THRESHOLD for each in labeled]
        self.valids = [each.valid for each in labeled]
        self.sources = [pair.source for pair in pairs]
        for name, sign in (("sky", True), ("ground", False)):
            if not any(((target == sign) & valid).any() for target, valid in zip(self.targets, self.valids, strict=True)):
                raise InputError(f"got labeled images without {name}, expected sky and ground: IoU says nothing without both")

    def masks(self, run: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Return (N, H, W) float32 probabilities of a network that maps one image at the input size to (H, W)."""
        return np.stack([run(image) for image in self.images])

    def iou(self, masks: np.ndarray) -> float:
        """Return the pooled IoU, 0 to 1, of `masks`: TP / (TP + FP + FN) over the valid pixels of all images."""
        overlap, union = self._counts(masks).sum(0)
        return float(overlap / union)

    def iou_by_source(self, masks: np.ndarray) -> dict[str, float]:
        """Return the pooled IoU of every source in whose labels the masks find some sky."""
        counts = self._counts(masks)
        found = {}
        for source in sorted(set(self.sources)):
            overlap, union = counts[[name == source for name in self.sources]].sum(0)
            if overlap > 0:
                found[source] = float(overlap / union)
        return found

    def _counts(self, masks: np.ndarray) -> np.ndarray:
        rows = []
        for mask, target, valid in zip(masks, self.targets, self.valids, strict=True):
            predicted = resize_probability(mask, *target.shape) >= THRESHOLD
            rows.append([(predicted & target & valid).sum(), ((predicted | target) & valid).sum()])
        return np.array(rows, np.int64)
