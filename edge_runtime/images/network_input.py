"""What a network takes: the size of its input, and pixels as numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from edge_runtime.errors import InputError

MEAN, STD = 127.0, 128.0  # x = (pixel - 127) / 128 for every network and channel, so that in int8 q = pixel - 128


@dataclass(frozen=True)
class Size:
    """Height and width of a network's input in pixels; as text `192` or WIDTHxHEIGHT, such as `256x192`."""

    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read `192` or `256x192`, where the width comes first."""
        match = re.fullmatch(r"(\d{1,6})(?:x(\d{1,6}))?", text)
        if match is None:
            raise InputError(f"got --size {text}, expected pixels such as 192, or WIDTHxHEIGHT such as 256x192")
        width, height = match.groups()
        return cls(int(height or width), int(width))

    @classmethod
    def square(cls, side: int) -> Size:
        """Return a square of `side` pixels."""
        return cls(side, side)

    def __str__(self) -> str:
        """Return the text that `parse` reads."""
        return str(self.width) if self.height == self.width else f"{self.width}x{self.height}"


def normalize(image: np.ndarray) -> np.ndarray:
    """Return uint8 pixels of any shape as float32, (pixel - 127) / 128."""
    return (image.astype(np.float32) - np.float32(MEAN)) / np.float32(STD)


def to_nchw(image: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB as the input of an NCHW network, (1, 3, H, W) float32, contiguous."""
    return np.ascontiguousarray(normalize(image).transpose(2, 0, 1)[None])
