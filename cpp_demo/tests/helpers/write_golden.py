"""Rewrite golden/resize.txt: `python cpp_demo/tests/helpers/write_golden.py` from the project's root.

Each line: seed, input width and height, output width and height, SHA-256 of the resized R, G, B bytes. The input comes
from a small generator that the C++ test repeats, so that no image needs to be stored.
"""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import numpy as np

from edge_runtime.images.resize import resize_rgb

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "resize.txt"
EDGES = (  # width and height in, width and height out
    (1, 1, 1, 1), (1, 1, 256, 256), (256, 256, 1, 1), (1, 300, 64, 64), (300, 1, 64, 64), (640, 480, 256, 256),
    (480, 640, 192, 192), (192, 192, 192, 192), (192, 50, 192, 192), (50, 192, 192, 192), (37, 500, 192, 192),
    (1000, 3, 320, 320), (3, 1000, 320, 320), (255, 257, 256, 256), (2, 2, 3, 3), (3, 3, 2, 2), (1920, 1080, 256, 256),
)  # fmt: skip
RANDOM_CASES = 40


def noise(seed: int, width: int, height: int) -> np.ndarray:
    """Return (height, width, 3) uint8 from x -> 1664525 x + 1013904223 mod 2^32, the upper byte of each x."""
    x, values = seed, bytearray()
    for _ in range(width * height * 3):
        x = (1664525 * x + 1013904223) & 0xFFFFFFFF
        values.append(x >> 24)
    return np.frombuffer(bytes(values), np.uint8).reshape(height, width, 3)


def main() -> None:
    """Write the file."""
    draw = random.Random(20261121)
    drawn = [tuple(draw.randint(1, 300) for _ in range(4)) for _ in range(RANDOM_CASES)]
    lines = []
    for seed, (in_width, in_height, width, height) in enumerate((*EDGES, *drawn), start=1):
        resized = resize_rgb(noise(seed, in_width, in_height), height, width)
        digest = hashlib.sha256(resized.tobytes()).hexdigest()
        lines.append(f"{seed} {in_width} {in_height} {width} {height} {digest}\n")
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("".join(lines), encoding="utf-8")
    print(GOLDEN)


if __name__ == "__main__":
    main()
