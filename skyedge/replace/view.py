"""The camera of an image: its horizon, found from the lower edge of the sky, and the direction of every pixel.

Directions are unit vectors (right, up, ahead) in a level frame: up is the sine of the elevation. The horizon gives the roll
and pitch of a pinhole camera; its angle of view is assumed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.masks.horizon import Horizon


@dataclass(frozen=True, eq=False)
class Window:
    """Part of an image, or all of it, on a grid of its own: `matrix` (3, 3) takes (column, row, 1) to a direction."""

    matrix: np.ndarray
    height: int
    width: int
    pixel_angle: float  # radians between two pixels of the grid, at the middle of the image

    def directions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return right, up and ahead, each (height, width) float32, of unit length together."""
        across = np.arange(self.width, dtype=np.float32)[None]
        along = np.arange(self.height, dtype=np.float32)[:, None]
        planes = [np.float32(a) * across + (np.float32(b) * along + np.float32(c)) for a, b, c in self.matrix]
        length = np.sqrt(planes[0] ** 2 + planes[1] ** 2 + planes[2] ** 2)
        return planes[0] / length, planes[1] / length, planes[2] / length


@dataclass(frozen=True, eq=False)
class View:
    """A camera: size of its images, horizon of the first, and how the sky has moved since.

    Attributes
    ----------
    height, width
        Pixels.
    horizon
        Of the first image.
    fov_deg
        Angle of view along the longer side, degrees.
    motion
        (3, 3) float64, maps pixels (column, row, 1) of the sky in the first image to this one.
    """

    height: int
    width: int
    horizon: Horizon
    fov_deg: float = 65.0
    motion: np.ndarray = field(default_factory=lambda: np.eye(3))

    def __post_init__(self) -> None:
        """Raise `InputError` where the angles make no camera."""
        if not 5 <= self.fov_deg <= 150 or not abs(self.horizon.tilt_deg) <= 45:
            got = f"an angle of view of {self.fov_deg} and a tilt of {self.horizon.tilt_deg} degrees"
            raise InputError(f"got {got}, expected 5 to 150 and -45 to 45")

    @property
    def focal(self) -> float:
        """Focal length, pixels."""
        return max(self.height, self.width) / 2 / math.tan(math.radians(self.fov_deg) / 2)

    def window(self, top: int = 0, bottom: int | None = None, step: int = 1) -> Window:
        """Return the rows top..bottom, each pixel of the grid in the middle of step x step of the image's."""
        rows = (self.height if bottom is None else bottom) - top
        middle = (step - 1) / 2
        grid = np.array([[step, 0, middle], [0, step, middle + top], [0, 0, 1]], np.float64)
        matrix = self._to_direction() @ np.linalg.inv(self.motion) @ grid
        return Window(matrix, -(-rows // step), -(-self.width // step), step / self.focal)

    def highest(self) -> float:
        """Return the elevation of the highest pixel, radians."""
        return math.asin(min(1.0, max(0.0, float(self.window(step=max(1, self.height // 16)).directions()[1].max()))))

    def _to_direction(self) -> np.ndarray:
        """Return the matrix from pixels of the first image to directions: center, roll, focal length, pitch."""
        tilt = math.radians(self.horizon.tilt_deg)
        sin, cos = math.sin(tilt), math.cos(tilt)
        x0, y0 = (self.width - 1) / 2, (self.height - 1) / 2
        center = np.array([[1, 0, -x0], [0, 1, -y0], [0, 0, 1]])
        roll = np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, self.focal]]) / self.focal
        below = cos * (self.horizon.y * self.height - 0.5 - y0) / self.focal  # of the horizon, from the axis
        pitch = math.atan(below)
        turn = np.array([[1, 0, 0], [0, -math.cos(pitch), math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
        return turn @ roll @ center
