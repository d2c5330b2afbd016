"""How often each image is drawn: first a condition, then a source in it, then an image of that source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from edge_runtime.images.dataset import Pair
from edge_runtime.images.mask_file import VOID, read_mask

Balance = Literal["source", "condition"]
SHARES = {  # of all views, by condition; conditions that a set lacks leave theirs to the others
    "night": 0.15, "dusk": 0.11, "no sky": 0.21, "fog": 0.04, "looking up": 0.05, "street": 0.18, "other": 0.26,
    "scenes": 0.08, "unlabeled": 0.22,
}  # fmt: skip
WORDS = {  # in the scene or the source that a manifest names; the first that fits
    "night": ("night", "storm", "dark"),
    "dusk": ("dusk", "dawn", "sunset", "evening", "sunrise"),
    "fog": ("fog",),
    "looking up": ("looking up", "uav", "aerial", "canopy", "upview"),
    "street": ("driving", "street", "facade", "road", "town"),
}
UNLABELED = "unlabeled"  # how the scene of an image without a label begins in a folder of train/distill.py
PAINTED = "scenes"  # source of the images that scenes/render.py paints
NO_SKY = 0.001  # share of sky, below which an image counts as one without


def condition(pair: Pair, sky: float) -> str:
    """Return the key of `SHARES` that an image belongs to; `sky` is the share of sky in it."""
    text = f"{pair.scene} {pair.source}".lower()
    if pair.source == PAINTED:
        return "scenes"
    if pair.scene.startswith(UNLABELED):
        return "unlabeled"
    if sky < NO_SKY:
        return "no sky"
    return next((name for name, words in WORDS.items() if any(word in text for word in words)), "other")


def shares(pairs: Sequence[Pair], balance: Balance) -> np.ndarray:
    """Return (N,) float64 that add up to 1, what each image is drawn with: sources weigh by the roots of their sizes.

    With balance "condition" they do so within each condition, of which `SHARES` has the sums; it reads every mask.
    """
    if balance == "source":
        return divide([("", pair.source) for pair in pairs], {"": 1.0})
    return divide([(condition(pair, _share_of_sky(pair)), pair.source) for pair in pairs], SHARES)


def divide(groups: Sequence[tuple[str, str]], wanted: Mapping[str, float]) -> np.ndarray:
    """Return (N,) float64 that add up to 1, for images of these conditions and sources."""
    sizes = Counter(groups)
    roots: Counter[str] = Counter()
    for (name, _), size in sizes.items():
        roots[name] += size**0.5  # type: ignore[assignment]  # a Counter of floats adds them up as well
    weights = np.array([wanted[name] / roots[name] / sizes[name, source] ** 0.5 for name, source in groups])
    return weights / weights.sum()


def _share_of_sky(pair: Pair) -> float:
    assert pair.mask is not None
    labels = read_mask(pair.mask)
    return float((labels * (labels != VOID)).mean() / 255.0)
