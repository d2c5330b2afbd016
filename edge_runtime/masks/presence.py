"""How sure a map is, and whether its image shows any sky: `segment --confidence` and `segment --min-sky SHARE`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import InputError

FLAT = 8.0  # gray levels, 0 to 255: cells of a photograph, by night too and of sky alone, differ by 15 and more (5,600 seen)
DARK, TINT = 64.0, 16.0  # skies of one color have more blue than this, and at most so much less of it than of red or green


@dataclass(frozen=True)
class Finding:
    """What one map says about its image as a whole.

    Attributes
    ----------
    sky_share
        Share of the image, 0 to 1, whose probability reaches the threshold.
    confidence
        Mean of |2 p - 1| over the image: 1 where every p is 0 or 1, 0 where every p is 0.5. An ensemble is judged by its
        mean, so disagreement lowers it. It measures how decided a network is, not whether it is right.
    sky
        False where `sky_share` is below `--min-sky`; the mask is then 0 everywhere.
    """

    sky_share: float
    confidence: float
    sky: bool


def judge(low_res: np.ndarray, threshold: float, min_sky: float | None = None) -> Finding:
    """Judge a probability map (h, w) float32 at the network's own size.

    `threshold` is the smallest probability that counts as sky in a pixel, `min_sky` the smallest share of such pixels that
    counts as sky in the image. With None every image has sky.
    """
    share = round(float(np.mean(low_res >= threshold)), 6)
    confidence = round(float(np.mean(np.abs(2 * low_res - 1), dtype=np.float64)), 6)
    return Finding(share, confidence, min_sky is None or share >= min_sky)


def is_blank(image: np.ndarray) -> bool:
    """Whether an image (H, W, 3) uint8 RGB shows nothing: all is of one color, give or take noise, and no sky has that color."""
    rows, columns = (np.linspace(0, side - 1, 64).astype(int) for side in image.shape[:2])
    cells = image[np.ix_(rows, columns)].reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    red, green, blue = cells.mean(axis=(0, 1))
    return bool(np.ptp(cells, axis=(0, 1)).max() < FLAT and blue < max(DARK, red - TINT, green - TINT))


def check_min_sky(min_sky: float | None) -> None:
    """Raise `InputError` unless `min_sky` is None or a share."""
    if min_sky is not None and not 0 <= min_sky <= 1:
        raise InputError(f"got --min-sky {min_sky}, expected a share of the image, 0 to 1; results/min_sky/ helps to choose")
