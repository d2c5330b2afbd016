"""Where the horizon of an image is, as far as its sky tells: from the lower edge of the sky."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edge_runtime.images.opencv import cv2

FIT_SIDE = 256  # pixels: long side of the mask that the horizon is fitted to
PART_SHARE = 0.05  # smaller parts of the sky (gaps in trees, reflections) say nothing about the horizon
TILTS_DEG = np.arange(-15.0, 15.01, 0.25)
TOLERANCE = 0.012  # of the height: how far a straight skyline may be from its line
STRAIGHT = 0.6  # share of the columns that a line must explain to be the horizon
BELOW = 0.05  # and the share of them in which sky may reach below it
LOWEST = 0.98  # quantile of the sky's lower edge that the horizon is at least as low as
LEVEL = 0.5  # of the height: where the horizon of a camera that is held level lies
LOOKING_UP = 1.3  # of the height: the horizon where the sky reaches the lower edge of the image
OPEN = 0.2  # share of the columns whose sky reaches that edge, from which on the camera looks up


@dataclass(frozen=True)
class Horizon:
    """The horizon of an image.

    Attributes
    ----------
    y
        Where it crosses the middle column, as a share of the image's height from the top; above 1 it is below the image.
    tilt_deg
        Slope in degrees; positive where it falls to the right.
    seen
        True for a straight skyline in the image, False for an estimate.
    """

    y: float
    tilt_deg: float
    seen: bool

    def __str__(self) -> str:
        """Return it in words."""
        how = "seen" if self.seen else "estimated"
        return f"horizon {how} at {100 * self.y:.0f} % of the height, tilt {self.tilt_deg:.1f} degrees"


def find_horizon(probability: np.ndarray) -> Horizon:
    """Find the horizon from the lower edge of the sky in a mask (H, W) float32.

    If the sky ends on one straight line in most columns, and hardly any sky lies below that line, it is the horizon: sea,
    plain, far hills. Elsewhere (streets, trees) the horizon is hidden. It is then estimated at the lowest parts of the sky,
    but no higher than for a level camera, with tilt 0.
    """
    rows, across = probability.shape
    scale = min(1.0, FIT_SIDE / max(rows, across))
    size = (max(1, round(across * scale)), max(1, round(rows * scale)))
    sky = _large_parts(cv2.resize(probability, size, interpolation=cv2.INTER_AREA) > 0.5)
    height, width = sky.shape
    columns = np.flatnonzero(sky.any(axis=0))
    if columns.size == 0:
        return Horizon(LEVEL, 0.0, False)
    lowest = (height - np.argmax(sky[::-1, columns], axis=0)).astype(np.float64)  # lower edge of the lowest sky pixel
    ends = lowest < height  # elsewhere the sky goes on below the image
    if np.count_nonzero(~ends) > OPEN * width:
        return Horizon(LOOKING_UP, 0.0, False)
    line = _straight(columns[ends] + 0.5 - width / 2, lowest[ends], height, width)
    if line is not None:
        return Horizon(line[0] / height, math.degrees(math.atan(line[1])), True)
    return Horizon(max(LEVEL, float(np.quantile(lowest, LOWEST)) / height), 0.0, False)


def _large_parts(sky: np.ndarray) -> np.ndarray:
    """Return `sky` (h, w) bool without its small parts."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(sky.astype(np.uint8), connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA]
    keep = areas >= PART_SHARE * float(np.count_nonzero(sky))
    keep[0] = False  # what is not sky
    return keep[labels] if count > 1 else np.zeros_like(sky)


def _straight(x: np.ndarray, y: np.ndarray, height: int, width: int) -> tuple[float, float] | None:
    """Return (y at x = 0, slope) of the line that most of the points (x, y) lie on; None where there is none."""
    near = max(1.0, TOLERANCE * height)
    best: tuple[float, float, float] | None = None
    for tilt in TILTS_DEG:
        level = np.sort(y - math.tan(math.radians(tilt)) * x)
        inside = np.searchsorted(level, level + 2 * near, side="right") - np.arange(level.size)
        first = int(inside.argmax())
        below = level.size - first - int(inside[first])
        score = int(inside[first]) - 0.002 * width * abs(tilt)  # of two lines alike, the more level one
        if inside[first] >= STRAIGHT * width and below <= BELOW * width and (best is None or score > best[0]):
            best = (score, float(level[first : first + inside[first]].mean()), math.tan(math.radians(tilt)))
    if best is None:
        return None
    on_line = np.abs(y - best[2] * x - best[1]) <= near
    if np.ptp(x[on_line]) == 0:  # one column has no slope
        return best[1], 0.0
    slope, middle = np.polyfit(x[on_line], y[on_line], 1)
    return float(middle), float(slope)
