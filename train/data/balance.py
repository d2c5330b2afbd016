"""How often each image is drawn: first a condition, then a source in it, then an image of that source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runtime.images.dataset import Pair

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


def shares_by_condition(pairs: Sequence[Pair], sky: Sequence[float]) -> np.ndarray:
    """Return (N,) float64 that add up to 1: the share of each condition, in which sources weigh by the roots of their sizes."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, (pair, share) in enumerate(zip(pairs, sky, strict=True)):
        groups.setdefault((condition(pair, share), pair.source), []).append(index)
    return _divided(groups, SHARES, len(pairs))


def shares_by_source(pairs: Sequence[Pair]) -> np.ndarray:
    """Return (N,) float64 that add up to 1: sources weigh by the square roots of their sizes."""
    groups: dict[tuple[str, str], list[int]] = {}
    for index, pair in enumerate(pairs):
        groups.setdefault(("", pair.source), []).append(index)
    return _divided(groups, {"": 1.0}, len(pairs))


def _divided(groups: dict[tuple[str, str], list[int]], shares: dict[str, float], count: int) -> np.ndarray:
    weights = np.zeros(count)
    for (name, _), members in groups.items():
        roots = sum(len(others) ** 0.5 for (other, _), others in groups.items() if other == name)
        weights[members] = shares[name] / roots * len(members) ** 0.5 / len(members)
    return weights / weights.sum()
