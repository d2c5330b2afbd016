"""How the sky of a video moves: corners of the old sky, followed from frame to frame, move the new one.

Corners (Shi & Tomasi 1994) inside the eroded sky are tracked by pyramidal Lucas-Kanade, forward and back. Corners that do
not return and outliers of RANSAC are dropped; translation and rotation of the rest are accumulated. Zou et al. 2020
("Castle in the Sky", section 3.2) do this too; tracking back, and the foreground where the sky is empty, are new here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edge_runtime.images.opencv import cv2

WORK_SIDE = 960  # pixels: long side at which corners are tracked
CORNERS = 200
SKY_IS, OTHER_IS = 0.99, 0.01  # share of sky of the pixels that corners are looked for in
MARGIN = 0.012  # of the diagonal: erosion, so that no corner belongs to the edge between sky and foreground
RETURN = 0.5  # pixels: how near to its start a corner must come on the way back
IN_LINE = 1.0  # pixels: how far off the common motion it may be
FEWEST, SHARE = 10, 0.4  # least count of inliers, and their least share of all corners

Source = Literal["start", "sky", "background", "none"]


@dataclass(frozen=True, eq=False)
class Motion:
    """Where the sky of the first frame is now.

    Attributes
    ----------
    matrix
        (3, 3) float64, takes (column, row, 1) of the first frame to this one: rotation and translation.
    source
        What the last step was measured on; "none": nothing could be tracked and the sky stood still; "start": first frame.
    """

    matrix: np.ndarray
    source: Source


class SkyTracker:
    """Follow the sky of one video, frame by frame."""

    def __init__(self) -> None:
        self.matrix = np.eye(3)
        self.before: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None  # gray frame, its sky, its foreground

    def step(self, image: np.ndarray, alpha: np.ndarray) -> Motion:
        """Take the next frame, (H, W, 3) uint8 RGB, and its share of sky `alpha` (H, W); all frames have one size."""
        scale = min(1.0, WORK_SIDE / max(alpha.shape))
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        size = (max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale)))
        if scale < 1:
            gray, alpha = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (gray, alpha))
        now = (gray, _inner(alpha > SKY_IS), _inner(alpha < OTHER_IS))
        source: Source = "start" if self.before is None else "none"
        if self.before is not None and self.before[0].shape == gray.shape:
            for name, where in (("sky", self.before[1]), ("background", self.before[2])):
                moved = follow(self.before[0], gray, where)
                if moved is not None:
                    # Pixel (x, y) of the image is at (x + 0.5) scale - 0.5 of the small one.
                    to_small = np.array([[scale, 0, (scale - 1) / 2], [0, scale, (scale - 1) / 2], [0, 0, 1]])
                    self.matrix = np.linalg.inv(to_small) @ moved @ to_small @ self.matrix
                    source = "sky" if name == "sky" else "background"
                    break
        self.before = now
        return Motion(self.matrix, source)


def follow(before: np.ndarray, after: np.ndarray, where: np.ndarray) -> np.ndarray | None:
    """Return the (3, 3) rotation and translation between two gray frames (h, w) uint8; None where too few corners agree.

    `where` (h, w) uint8 is 255 where corners of `before` may lie.
    """
    apart = max(3.0, 0.008 * float(np.hypot(*before.shape)))
    found = cv2.goodFeaturesToTrack(before, CORNERS, 0.02, apart, mask=where)
    if found is None or len(found) < FEWEST:
        return None
    start = found.astype(np.float32)
    anywhere = np.empty_like(start)  # no guess where they went: the answer overwrites it
    there, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, start, anywhere)
    back, returned, _ = cv2.calcOpticalFlowPyrLK(after, before, there, np.empty_like(start))
    good = (seen.ravel() == 1) & (returned.ravel() == 1)
    good &= np.linalg.norm((back - start).reshape(-1, 2), axis=1) < RETURN
    p, q = start.reshape(-1, 2)[good], there.reshape(-1, 2)[good]
    if len(p) < max(FEWEST, SHARE * len(found)):
        return None
    similar, in_line = cv2.estimateAffinePartial2D(p, q, method=cv2.RANSAC, ransacReprojThreshold=IN_LINE)
    if similar is None or np.count_nonzero(in_line) < max(FEWEST, SHARE * len(found)):
        return None
    kept = in_line.ravel() == 1
    # Its scale is left out, or small errors of it would add up; about the middle of the corners, where that moves nothing.
    turn = similar[:, :2] / max(1e-9, float(np.sqrt(abs(np.linalg.det(similar[:, :2])))))
    shift = q[kept].mean(axis=0) - turn @ p[kept].mean(axis=0)
    return np.vstack([np.column_stack([turn, shift]), [0, 0, 1]])


def _inner(part: np.ndarray) -> np.ndarray:
    """Return as uint8, 255 inside, a part (h, w) bool of a frame without its rim."""
    side = 2 * max(1, round(MARGIN * float(np.hypot(*part.shape)))) + 1
    return cv2.erode(part.astype(np.uint8) * np.uint8(255), np.ones((side, side), np.uint8))
