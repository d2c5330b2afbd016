"""How sure a map is, and whether its picture shows any sky: `segment --confidence` and `segment --min-sky SHARE`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import InputError


@dataclass(frozen=True)
class Finding:
    """What one map says about its picture as a whole.

    Attributes
    ----------
    sky_share
        Share of the picture, 0 to 1, whose probability reaches the threshold.
    confidence
        Mean of |2 p - 1| over the picture: 1 where every pixel is surely sky or surely not, 0 where all are 0.5. An
        ensemble's comes from its mean, so members that disagree lower it. It says how decided a network is, not how
        right.
    sky
        False where `--min-sky` says that there is none, and the mask is 0 everywhere.
    """

    sky_share: float
    confidence: float
    sky: bool


def judge(coarse: np.ndarray, threshold: float, min_sky: float | None = None) -> Finding:
    """Judge a map at the network's own size, where every pixel stands for an equal share of the picture.

    Parameters
    ----------
    coarse
        (h, w) float32 in [0, 1]: probability of sky.
    threshold
        Probability from which a pixel is called sky.
    min_sky
        Smallest `sky_share` that counts as sky; None: there is sky in every picture.
    """
    share = round(float(np.mean(coarse >= threshold)), 6)
    confidence = round(float(np.mean(np.abs(2 * coarse - 1), dtype=np.float64)), 6)
    return Finding(share, confidence, min_sky is None or share >= min_sky)


def check_min_sky(min_sky: float | None) -> None:
    """Raise `InputError` unless `min_sky` is None or a share."""
    if min_sky is not None and not 0 <= min_sky <= 1:
        raise InputError(f"got --min-sky {min_sky}, expected a share of the picture, 0 to 1; results/min_sky/ helps to choose")
