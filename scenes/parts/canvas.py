"""The canvas: layers in linear light over a sky, with exact coverage, and the shapes that can be laid on it."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import ArrayLike

from scenes.parts.light import Light

SUPERSAMPLE = 3  # coverage is counted on a grid this many times finer than the image, each way


@dataclass(frozen=True)
class _Box:
    """Part of the image, in whole pixels; right and bottom are one past the end."""

    left: int
    top: int
    right: int
    bottom: int

    def fine_mask(self) -> np.ndarray:
        """Empty mask of the box on the fine grid."""
        return np.zeros(((self.bottom - self.top) * SUPERSAMPLE, (self.right - self.left) * SUPERSAMPLE), np.uint8)

    def fine(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) on the fine grid; OpenCV counts from pixel centers."""
        return (points - [self.left, self.top]) * SUPERSAMPLE - 0.5

    def polygon(self, points: np.ndarray) -> np.ndarray:
        """Coverage of the box by a polygon, points (N, 2)."""
        mask = self.fine_mask()
        fine = np.clip(self.fine(points), -1e5, 1e5)
        cv2.fillPoly(mask, [np.round(fine * 16).astype(np.int32)], 255, shift=4)
        return _shrink(mask)


@dataclass
class Canvas:
    """Foreground painted over an unknown sky: image = alpha * sky + paint, in linear light.

    Every layer with coverage c turns `paint` into c * color + (1 - c) * paint and `alpha` into (1 - c) * alpha, so
    that alpha is, by construction, exactly the weight with which the sky enters the image.
    """

    height: int
    width: int
    light: Light
    sky: np.ndarray  # (height, width, 3)
    horizon: float = 0.6
    paint: np.ndarray = field(init=False)  # (height, width, 3), premultiplied by its own coverage
    alpha: np.ndarray = field(init=False)  # (height, width) in [0, 1]

    def __post_init__(self) -> None:
        self.paint = np.zeros((self.height, self.width, 3), np.float32)
        self.alpha = np.ones((self.height, self.width), np.float32)
        self.unit = max(self.height, self.width) / 512  # sizes are thought of in an image 512 pixels long
        self.ys = ((np.arange(self.height, dtype=np.float32) + 0.5) / self.height)[:, None]
        self.xs = ((np.arange(self.width, dtype=np.float32) + 0.5) / self.width)[None, :]

    def image(self) -> np.ndarray:
        """Image so far, (height, width, 3) linear RGB."""
        return self.alpha[..., None] * self.sky + self.paint

    def over(self, cover: np.ndarray, color: np.ndarray, top: int = 0, left: int = 0) -> None:
        """Lay a layer over the box of `cover` at (top, left); color (3,), or (height, width, 3), or of the box."""
        rows, columns = slice(top, top + cover.shape[0]), slice(left, left + cover.shape[1])
        if color.ndim == 3 and color.shape[:2] != cover.shape:
            color = color[rows, columns]
        self.alpha[rows, columns] *= 1 - cover
        self.paint[rows, columns] += cover[..., None] * (color - self.paint[rows, columns])

    def everywhere(self, color: np.ndarray) -> None:
        """Cover the whole image; color (3,) or (height, width, 3)."""
        self.over(np.ones((self.height, self.width), np.float32), color)

    def fill(self, points: ArrayLike, color: np.ndarray, opacity: float = 1.0) -> None:
        """Fill one polygon, points (N, 2)."""
        points = np.asarray(points, np.float32)
        box = self._box(points, 1)
        if box is not None:
            self.over(box.polygon(points) * np.float32(opacity), color, box.top, box.left)

    def strokes(self, lines: ArrayLike, thickness: np.ndarray | float, color: np.ndarray) -> None:
        """Draw polylines (N, K, 2), each `thickness` pixels thick; thinner than the grid can show means fainter."""
        lines = np.asarray(lines, np.float32)
        thickness = np.broadcast_to(np.asarray(thickness, np.float32), lines.shape[:1])
        box = self._box(lines.reshape(-1, 2), float(thickness.max()) + 1)
        if box is None:
            return
        mask = box.fine_mask()
        fine = np.round(box.fine(lines) * 16).clip(-1e6, 1e6).astype(np.int32)
        steps = np.round(thickness * SUPERSAMPLE).astype(int)
        for step in np.unique(steps):  # one call per thickness; thin first is as good as any order, coverage adds up
            faint = 255 if step > 0 else int(255 * float(thickness[steps == step].mean()) * SUPERSAMPLE)
            cv2.polylines(mask, list(fine[steps == step]), False, faint, max(int(step), 1), cv2.LINE_8, 4)
        self.over(_shrink(mask), color, box.top, box.left)

    def below(self, line: np.ndarray, color: np.ndarray) -> None:
        """Cover all below a line of heights, (SUPERSAMPLE * width,) in pixels; coverage is analytic in y."""
        edges = np.arange(1, self.height + 1, dtype=np.float32)[:, None]
        first = int(np.clip(np.floor(line.min()), 0, self.height))
        last = int(np.clip(np.ceil(line.max()) + 1, first, self.height))
        cover = np.ones((self.height - first, self.width), np.float32)
        fine = np.clip(edges[first:last] - line[None, :], 0, 1)
        cover[: last - first] = fine.reshape(last - first, self.width, SUPERSAMPLE).mean(2)
        if first < self.height:
            self.over(cover, color, first, 0)

    def lay(self, texture: np.ndarray, corners: ArrayLike) -> None:
        """Lay a texture on the quadrilateral of `corners` (4, 2): top left, top right, bottom right, bottom left."""
        corners = np.asarray(corners, np.float32)
        box = self._box(corners, 1)
        if box is None:
            return
        sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
        scale_x, scale_y = max(sides[0], sides[2]) / texture.shape[1], max(sides[1], sides[3]) / texture.shape[0]
        if min(scale_x, scale_y) < 0.75:  # shrink by area first, or the windows of far houses would alias
            size = max(2, round(texture.shape[1] * min(1, scale_x))), max(2, round(texture.shape[0] * min(1, scale_y)))
            texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
        height, width = texture.shape[:2]
        origin = np.array([box.left, box.top], np.float32)
        move = cv2.getPerspectiveTransform(np.array(rect(0, 0, width, height), np.float32), corners - origin)
        size = (box.right - box.left, box.bottom - box.top)
        # Edge pixels are covered in part and lie outside the texture: they get the color of its rim.
        seen = cv2.warpPerspective(texture, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self.over(box.polygon(corners), seen, box.top, box.left)

    def _box(self, points: np.ndarray, margin: float) -> _Box | None:
        """Box of the image around points (N, 2); None where they lie outside."""
        low = np.floor(points.min(0) - margin).astype(int).clip(0)
        high = np.ceil(points.max(0) + margin).astype(int).clip(None, [self.width, self.height])
        return None if (high <= low).any() else _Box(int(low[0]), int(low[1]), int(high[0]), int(high[1]))


def _shrink(mask: np.ndarray) -> np.ndarray:
    """Coverage in [0, 1] of a mask (SUPERSAMPLE * h, SUPERSAMPLE * w) uint8, as (h, w) float32."""
    size = (mask.shape[1] // SUPERSAMPLE, mask.shape[0] // SUPERSAMPLE)
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def rect(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """Corners of an upright rectangle, clockwise from the top left."""
    return [[left, top], [right, top], [right, bottom], [left, bottom]]
