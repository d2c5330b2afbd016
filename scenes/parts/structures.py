"""Thin things against the sky: masts, turbines, wires, birds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from scenes.parts.canvas import Canvas, rect
from scenes.parts.light import linear, pick
from scenes.parts.noise import Rng, fork


def mast(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a lattice mast or a pylon of `tall` pixels on (x, y)."""
    own, light, u = fork(rng), canvas.light, canvas.unit
    steel = light.on(pick(own, ((120, 124, 128), (80, 82, 86), (170, 60, 50), (190, 192, 194))), 0.5)
    foot, cells = tall * own.uniform(0.06, 0.14), int(own.integers(8, 15))
    t = np.linspace(0, 1, cells + 1) ** 0.85
    half, level = foot * (1 - t) ** 1.3 + foot * 0.1, y - tall * t
    left, right = np.stack([x - half, level], -1), np.stack([x + half, level], -1)
    legs = [np.stack([s[:-1], s[1:]], 1) for s in (left, right)]
    braces = [np.stack([left[:-1], right[1:]], 1), np.stack([right[:-1], left[1:]], 1), np.stack([left, right], 1)]
    canvas.strokes(np.concatenate(legs), max(tall * 0.007, 0.5 * u), steel)
    canvas.strokes(np.concatenate(braces), max(tall * 0.003, 0.35 * u), steel)
    thin = max(tall * 0.004, 0.4 * u)
    if own.random() < 0.6:
        _arms(canvas, x, y, tall, thin, steel)
        return
    canvas.strokes([[[x, y - tall], [x, y - tall * 1.15]]], thin, steel)
    for t0 in own.uniform(0.7, 0.98, 4):  # drums of a radio mast
        px, r, top = x + own.choice([-1, 1]) * foot * 0.4, tall * 0.015, y - tall * t0
        canvas.fill(rect(px - r, top, px + r, top + r * 3), light.on(linear(220, 220, 220), 0.6))


def _arms(canvas: Canvas, x: float, y: float, tall: float, thickness: float, color: np.ndarray) -> None:
    """Give a pylon of `tall` pixels on (x, y) three pairs of arms for wires."""
    for t, reach in ((0.6, 0.17), (0.75, 0.14), (0.9, 0.11)):
        level, r = y - tall * t, tall * reach
        tip, root, end = level - tall * 0.01, level - tall * 0.04, level - tall * 0.01 + tall * 0.03
        lines = [[[x - r, tip], [x, root]], [[x + r, tip], [x, root]], [[x - r, tip], [x + r, tip]]]
        lines += [[[x - r, tip], [x - r, end]], [[x + r, tip], [x + r, end]]]
        canvas.strokes(lines, thickness, color)


def turbine(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a wind turbine, `tall` pixels to the hub, on (x, y)."""
    white = canvas.light.on(linear(236, 238, 240), 0.7)
    foot, head = tall * 0.022, tall * 0.012
    canvas.fill([[x - foot, y], [x - head, y - tall], [x + head, y - tall], [x + foot, y]], white * 0.9)
    hub, long = np.array([x, y - tall]), tall * 0.5
    for turn in rng.uniform(0, 2) + np.arange(3) * 2 * np.pi / 3:
        d, n = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        canvas.fill([hub + n * head, hub + d * long * 0.2 + n * head * 2, hub + d * long, hub - n * head * 0.6], white)


def wires(canvas: Canvas, ends: Sequence[tuple[ArrayLike, ArrayLike]], sag: float, thickness: float) -> None:
    """Hang wires between pairs of points; `sag` in pixels."""
    t = np.linspace(0, 1, 24)[:, None]
    a, b = (np.array([pair[k] for pair in ends])[:, None] for k in (0, 1))
    lines = a * (1 - t) + b * t + np.array([0, 1]) * sag * 4 * t * (1 - t)
    canvas.strokes(lines, thickness, canvas.light.on(linear(40, 40, 42), 0.3))


def birds(canvas: Canvas, rng: Rng) -> None:
    """Let up to eight birds fly across the upper half."""
    dark = canvas.light.on(linear(50, 48, 50), 0.3)
    size = rng.uniform(3, 22) * canvas.unit
    for _ in range(int(rng.integers(1, 9))):
        x, y, s = rng.uniform(0, 1) * canvas.width, rng.uniform(0.05, 0.55) * canvas.height, size * rng.uniform(0.5, 1)
        lift = s * rng.uniform(-0.1, 0.5)
        left = [[x - s, y - lift], [x - s * 0.4, y - lift * 1.2]]
        right = [[x + s * 0.4, y - lift * 1.2], [x + s, y - lift]]
        canvas.strokes([[*left, [x, y], *right]], s * 0.13, dark)
