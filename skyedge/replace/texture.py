"""An image without end, by repetition or mirroring, sampled as coarsely as it is seen (mipmaps, Williams 1983)."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_runtime.images.opencv import cv2

SMALLEST = 16  # pixels: no level of detail has a side below


class Texture:
    """Sample (H, W, C) float32 values at any place; beyond the border they repeat, or mirror, for ever."""

    def __init__(self, values: np.ndarray, mirror: bool) -> None:
        self.mirror = mirror
        self.height, self.width = values.shape[:2]
        self.levels: list[Any] = [np.ascontiguousarray(values, np.float32)]
        while min(self.levels[-1].shape[:2]) >= 2 * SMALLEST:
            rows, columns = self.levels[-1].shape[:2]
            self.levels.append(cv2.resize(self.levels[-1], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA))

    def at(self, x: np.ndarray, y: np.ndarray, detail: np.ndarray) -> np.ndarray:
        """Return the values (h, w, C) at columns x and rows y, each (h, w), in pixels of the finest level.

        `detail` (h, w) is log2 of the pixels between neighbors; two levels of detail are mixed.
        """
        x, y = self._inside(x, self.width), self._inside(y, self.height)
        detail = np.clip(detail, 0, len(self.levels) - 1)
        border = cv2.BORDER_REPLICATE if self.mirror else cv2.BORDER_WRAP
        out = np.zeros((*x.shape, self.levels[0].shape[2]), np.float32)
        for number, level in enumerate(self.levels):
            share = np.maximum(1 - np.abs(detail - number), 0)
            rows = np.flatnonzero(share.any(axis=1))
            if rows.size == 0:
                continue
            part = slice(int(rows[0]), int(rows[-1]) + 1)
            across, along = (n / size for n, size in zip(level.shape[1::-1], (self.width, self.height), strict=True))
            columns = np.float32(across) * (x[part] + np.float32(0.5)) - np.float32(0.5)
            lines = np.float32(along) * (y[part] + np.float32(0.5)) - np.float32(0.5)
            seen = cv2.remap(level, columns, lines, cv2.INTER_LINEAR, borderMode=border)
            out[part] += share[part, :, None] * seen.reshape(out[part].shape)
        return out

    def _inside(self, at: np.ndarray, size: int) -> np.ndarray:
        """Return places on [-0.5, size - 0.5) that show the same as `at`."""
        at = at + np.float32(0.5)
        if self.mirror:
            at = np.mod(at, np.float32(2 * size))
            at = np.minimum(at, 2 * size - at)
        else:
            at = np.mod(at, np.float32(size))
        return (at - np.float32(0.5)).astype(np.float32)
