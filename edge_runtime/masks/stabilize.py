"""Masks of a video without flicker: a running mean along the motion of the camera, at the network's resolution.

Each frame's probability is averaged with the past of the same place. An affine motion of the whole frame is fitted by
RANSAC to tracked corners (Shi & Tomasi 1994; pyramidal Lucas-Kanade, Bouguet 2000) and used if it explains the frame better
than no motion: a sky has no texture for dense flow. If no affine motion fits, dense flow is used (DIS, Kroeger et al. 2016).
Nothing is carried over where a place looks different or was out of sight, and after a cut. A changed prediction takes full
effect one frame later.
"""

from __future__ import annotations

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2

CORNERS, CORNER_QUALITY, CORNER_APART = 150, 0.01, 6  # of goodFeaturesToTrack; pixels of the network's input
FEWEST, INLIERS, REACH = 8, 0.4, 1.0  # corners for a fit, share that must agree with it, pixels at which one agrees
WINDOW, LEVELS = (15, 15), 3  # of Lucas-Kanade
UNSURE = 0.5  # weight of a probability of 0.5; 0 and 1 weigh 1
GAIN = (0.6, 1.6)  # by how much contrast may change from frame to frame and still be matched
MOST = 20  # gray levels of difference that count
FLAT = 25.0  # variance of gray levels below which contrast says nothing
MEMORY = 6.0  # most frames that a place is averaged over
TOLERANCE = 6.0  # difference of gray levels (0 to 255), after matching brightness, at which trust halves
EDGE_TOLERANCE = 0.3  # more at edges that both frames show, as a share of their contrast: sampling moves edges a little
SURPRISE = 0.5  # difference of probabilities that counts as a change, not as flicker
CUT = 0.35  # mean trust of a frame in the one before it, 0 to 1, below which a cut is assumed


class Stabilizer:
    """Smooths the probabilities of successive frames. It remembers one frame, so each video needs its own instance.

    Attributes
    ----------
    cuts
        How many cuts were found.
    """

    def __init__(self) -> None:
        self.cuts = 0
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._gray: np.ndarray | None = None
        self._sky = np.empty(0, np.float32)
        self._weight = np.empty(0, np.float32)  # of what is known of each place; a sure frame weighs 1

    def __call__(self, image: np.ndarray, probability: np.ndarray) -> np.ndarray:
        """Return the steady probability of the next frame, (h, w) float32 in [0, 1].

        `image` is the frame at the network's input size, (h, w, 3) uint8 RGB, 16 x 16 or larger; `probability` is what the
        network predicted for it, (h, w) float32 in [0, 1].
        """
        expected = image.dtype == np.uint8 and image.shape == (*probability.shape, 3) and min(image.shape[:2]) >= 16
        if not expected:
            got = f"{image.dtype} {image.shape} with probabilities {probability.shape}"
            raise InputError(f"got {got}, expected uint8 (h, w, 3) and (h, w) of 16 or more; give both at one size")
        gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._gray is None or self._gray.shape != gray.shape:
            return self._restart(gray, probability)
        before = _as_bright(self._gray, gray)
        x, y = self._motion(before, gray)
        seen, known, weight = (_moved(plane, x, y) for plane in (before, self._sky, self._weight))
        trust = self._trust(gray, seen)
        if float(trust.mean()) < CUT:
            self.cuts += 1
            return self._restart(gray, probability)
        height, width = gray.shape
        trust[(x < -0.5) | (y < -0.5) | (x > width - 0.5) | (y > height - 0.5)] = 0.0
        weight = np.minimum(weight * trust, MEMORY - 1.0)
        change = probability - known
        # Half of a large change at once, and nearly all of it in the next frame.
        weight = np.where(np.abs(change) > SURPRISE, np.minimum(weight, 1.0), weight)
        sure = _sureness(probability)
        self._gray, self._weight = gray, (weight + sure).astype(np.float32)
        self._sky = np.clip(known + change * (sure / (sure + weight)), 0.0, 1.0).astype(np.float32)
        return self._sky

    def _restart(self, gray: np.ndarray, probability: np.ndarray) -> np.ndarray:
        self._gray, self._sky, self._weight = gray, probability.astype(np.float32), _sureness(probability)
        return self._sky

    def _motion(self, before: np.ndarray, gray: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where each place of the frame `gray` was in the one before, x and y, (h, w) float32."""
        height, width = gray.shape
        columns, rows = np.arange(width, dtype=np.float32)[None, :], np.arange(height, dtype=np.float32)[:, None]
        matrix = _affine(before, gray)
        if matrix is None:
            flow = self._flow.calc(gray, before, np.zeros((*gray.shape, 2), np.float32))
            return flow[..., 0] + columns, flow[..., 1] + rows
        (a, b, c), (d, e, f) = matrix.astype(np.float32)
        x, y = a * columns + (b * rows + c), d * columns + (e * rows + f)
        # With a camera at rest, moving objects may have more corners than the background.
        if _misfit(gray, _moved(before, x, y)) < _misfit(gray, before):
            return x, y
        return np.repeat(columns, height, 0), np.repeat(rows, width, 1)

    def _trust(self, gray: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Return how far each place looks as it did, 0 to 1."""
        apart = cv2.blur(np.abs(_difference(gray, seen)), (3, 3))
        contrasts = (cv2.morphologyEx(plane, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) for plane in (gray, seen))
        edge = cv2.blur(np.minimum(*contrasts).astype(np.float32), (3, 3))
        return np.exp2(-((apart / (TOLERANCE + EDGE_TOLERANCE * edge)) ** 2))


def _sureness(probability: np.ndarray) -> np.ndarray:
    """Return what each probability weighs: little where the network is undecided."""
    return (UNSURE + (1 - UNSURE) * np.abs(2 * probability - 1)).astype(np.float32)


def _moved(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return cv2.remap(plane, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _as_bright(before: np.ndarray, gray: np.ndarray) -> np.ndarray:
    """Return the frame before, as bright on average as the new one: corners are tracked by their gray levels."""
    return cv2.convertScaleAbs(before, alpha=float(gray.mean()) / max(float(before.mean()), 1.0))


def _affine(before: np.ndarray, gray: np.ndarray) -> np.ndarray | None:
    """Return the affine motion (2, 3) from the frame `gray` to the one before, or None where no motion explains it."""
    corners = cv2.goodFeaturesToTrack(gray, CORNERS, CORNER_QUALITY, CORNER_APART)
    if corners is None or len(corners) < FEWEST:
        return None
    found, status, _ = cv2.calcOpticalFlowPyrLK(gray, before, corners, corners.copy(), winSize=WINDOW, maxLevel=LEVELS)
    kept = status.ravel() == 1
    if int(kept.sum()) < FEWEST:
        return None
    matrix, agree = cv2.estimateAffine2D(corners[kept], found[kept], method=cv2.RANSAC, ransacReprojThreshold=REACH)
    return None if matrix is None or float(agree.mean()) < INLIERS else matrix


def _misfit(gray: np.ndarray, seen: np.ndarray) -> float:
    """Return how little two frames agree: mean difference of gray levels; where they show different things counts little."""
    return float(np.minimum(cv2.absdiff(gray, seen), MOST).mean())


def _difference(gray: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return the difference of gray levels (h, w) that is left when brightness and contrast of all are matched."""
    apart = gray.astype(np.float32) - seen
    apart -= np.median(apart)
    alike = np.abs(apart) <= max(4 * float(np.median(np.abs(apart))), 2.0)
    x, y = seen[alike].astype(np.float32), gray[alike].astype(np.float32)
    mean_x, mean_y, variance = float(x.mean()), float(y.mean()), float(x.var())
    slope = (float(((x - mean_x) * (y - mean_y)).mean()) + FLAT) / (variance + FLAT)
    return gray - (np.clip(slope, *GAIN) * (seen.astype(np.float32) - mean_x) + mean_y)
