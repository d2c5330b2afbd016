"""Trees: single ones, boughs, the edges of woods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.parts.canvas import SUPERSAMPLE, Canvas
from scenes.parts.light import pick
from scenes.parts.noise import Rng, fbm, fork, profile

LEAVES = ((62, 92, 38), (84, 110, 48), (46, 72, 36), (120, 124, 50), (150, 100, 44), (72, 84, 60))
BARK = ((70, 58, 46), (52, 44, 38), (96, 86, 74), (120, 112, 100), (40, 34, 30))


@dataclass(frozen=True)
class _Skeleton:
    """Wood of a tree by level, trunk first."""

    segments: list[np.ndarray]  # each (N, 3, 2): from, over, to, in pixels
    widths: list[np.ndarray]  # each (N,), in pixels


def tree(
    canvas: Canvas,
    rng: Rng,
    x: float,
    y: float,
    tall: float,
    leafy: float,
    lean: float = 0.0,
    heading: float = -np.pi / 2,
) -> None:
    """Grow a tree of `tall` pixels from its foot (x, y); `leafy` 0 = bare twigs, 1 = a full crown."""
    own = fork(rng)
    wood = _grow(own, x, y, tall, lean, heading)
    bark = canvas.light.on(pick(rng, BARK), 0.4)
    keep = 8 if leafy < 0.8 else 7
    canvas.strokes(np.concatenate(wood.segments[:keep]), np.concatenate(wood.widths[:keep]), bark)
    if leafy > 0:
        tips = np.concatenate([s[:, 2] for s in wood.segments[4:]])
        count = int(leafy * own.uniform(5000, 12000))
        size = max(tall * own.uniform(0.004, 0.009), 0.5)
        _leaves(canvas, own, tips, count // 3, size, tall, pick(rng, LEAVES))


def _grow(rng: Rng, x: float, y: float, tall: float, lean: float, heading: float) -> _Skeleton:
    """Fork a trunk seven times."""
    start, angle = np.array([[x, y]]), np.array([heading + lean + rng.normal(0, 0.05)])
    length, width = np.array([tall * rng.uniform(0.2, 0.32)]), np.array([tall * rng.uniform(0.025, 0.045)])
    spread, up = rng.uniform(0.3, 0.6), rng.uniform(0, 0.12)
    wood = _Skeleton([], [])
    for level in range(8):
        end = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        bend = rng.normal(0, 0.09, start.shape) * length[:, None]
        wood.segments.append(np.stack([start, (start + end) / 2 + bend, end], 1))
        wood.widths.append(width)
        if level == 7:
            break
        forks = 3 if level < 4 else 2
        where = rng.uniform(0.55, 1.0, (len(end), forks)) if level else rng.uniform(0.7, 1.0, (1, forks))
        where[:, 0] = 1
        start = (start[:, None] * (1 - where[..., None]) + end[:, None] * where[..., None]).reshape(-1, 2)
        fan = np.linspace(-1, 1, forks)[None] * spread * 1.25 + rng.normal(0, 0.28, (len(end), forks))
        rng.permuted(fan, axis=1, out=fan)
        angle = (angle[:, None] + fan).reshape(-1)
        angle -= up * np.cos(angle) * np.sign(np.sin(-heading) + 1e-9)  # twigs turn to the light
        length = (length[:, None] * rng.uniform(0.58, 0.9, fan.shape)).reshape(-1)
        width = (width[:, None] * rng.uniform(0.5, 0.72, fan.shape)).reshape(-1)
    return wood


def _leaves(canvas: Canvas, rng: Rng, tips: np.ndarray, count: int, size: float, tall: float, color: np.ndarray) -> None:
    """Hang three layers of `count` leaves around the tips (N, 2): shade first, then what the sun reaches."""
    side = 1 if canvas.light.sun_x > 0.5 else -1
    for tone, facing, push in ((0.5, 0.15, -1), (0.85, 0.5, 0), (1.25, 0.95, 1)):
        at = tips[rng.integers(0, len(tips), count)] + rng.normal(0, tall * 0.022, (count, 2))
        at += np.array([side * 0.012, -0.018]) * push * tall
        turn = rng.uniform(0, 2 * np.pi, len(at))
        step = np.stack([np.cos(turn), np.sin(turn)], -1) * size * rng.uniform(0.3, 1.3, (len(at), 1))
        lit = canvas.light.on(color * tone, facing)
        canvas.strokes(np.stack([at, at + step], 1), rng.uniform(0.5, 1.4, len(at)) * size, lit)


def fir(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Grow a conifer of `tall` pixels from its foot (x, y)."""
    own, light = fork(rng), canvas.light
    color, wide = pick(rng, ((40, 62, 40), (34, 54, 44), (60, 76, 46))), own.uniform(0.14, 0.24)
    canvas.strokes([[[x, y], [x, y - tall]]], max(tall * 0.012, 0.4), light.on(pick(rng, BARK), 0.3))
    for tone, facing, n in ((0.55, 0.1, 500), (1.0, 0.6, 350)):
        t = own.uniform(0.06, 1, n) ** 1.2
        side = own.choice([-1.0, 1.0], n) * own.uniform(0.3, 1, n) * wide * tall * t * (0.75 + 0.25 * np.sin(t * 60))
        start = np.stack([x + side * 0.15, y - tall * (1 - t * 0.92)], -1)
        tip = start + np.stack([side, np.abs(side) * own.uniform(0.1, 0.6, n)], -1)
        canvas.strokes(np.stack([start, tip], 1), own.uniform(0.004, 0.016, n) * tall, light.on(color * tone, facing))


def treeline(canvas: Canvas, rng: Rng, base: float, tall: float, far: float, conifer: bool) -> None:
    """Lay a wood whose crowns end in an irregular edge; `base` and `tall` in fractions of the height."""
    h, w = canvas.height, canvas.width
    count = int(np.clip(2.2 * w / (tall * h), 8, 200) * rng.uniform(0.7, 2))
    own = fork(rng)
    x, size = own.uniform(-0.05, 1.05, count) * w, (own.uniform(0.5, 1, count) * tall * h)[:, None]
    dx = np.abs((np.arange(w * SUPERSAMPLE) + 0.5)[None] / SUPERSAMPLE - x[:, None])
    if conifer:
        droop = size * 0.06 * ((dx * own.uniform(6, 12, count)[:, None] / size * 3) % 1)
        tops = base * h - size + dx * own.uniform(2.2, 4, count)[:, None] + droop
    else:
        radius, power = size * own.uniform(0.3, 0.6, count)[:, None], own.uniform(1.5, 2.2, count)[:, None]
        tops = base * h - size + size * (dx / radius) ** power * 0.8
    rough = tall * h * profile(rng, w * SUPERSAMPLE, 25, 7, 0.75) * (0.05 if conifer else 0.14)
    top = np.minimum(tops.min(0), base * h - 0.3 * tall * h) + rough
    color = pick(rng, ((38, 62, 30), (52, 74, 38), (74, 88, 44), (30, 48, 34), (96, 90, 48), (70, 60, 45)))
    leaf = fbm(rng, h, w, 30, 5, 0.8)
    clump = fbm(rng, h, w, float(np.clip(1.5 * w / (tall * h), 4, 60)), 3, 0.6, 0.8 if conifer else 1)
    body = color * (1 + 0.35 * leaf + 0.35 * clump).clip(0.08, 3)[..., None]
    shaded = canvas.light.on(body, np.clip(0.4 + 0.4 * clump, 0, 1))
    shaded += far * (canvas.light.haze - shaded)
    canvas.below(top.astype(np.float32), shaded)
    if far < 0.3:
        _loose_twigs(canvas, own, top, tall, shaded * 0.9)


def _loose_twigs(canvas: Canvas, rng: Rng, top: np.ndarray, tall: float, color: np.ndarray) -> None:
    """Scatter leaves and twigs about the edge `top` (SUPERSAMPLE * width,) of a wood; `tall` as in `treeline`."""
    n = int(canvas.width * 1.2)
    at = rng.integers(0, canvas.width * SUPERSAMPLE, n)
    start = np.stack([at / SUPERSAMPLE, top[at] + rng.normal(0, 0.05, n) * tall * canvas.height], -1)
    turn, long = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.5, 2.5, n) * canvas.unit
    step = np.stack([np.cos(turn), np.sin(turn)], -1) * long[:, None]
    canvas.strokes(np.stack([start, start + step], 1), rng.uniform(0.4, 1.8, n) * canvas.unit, color)


def branches(canvas: Canvas, rng: Rng, count: int) -> None:
    """Boughs that reach in from the edges."""
    h, w, leafy = canvas.height, canvas.width, float(rng.choice([0.0, 0.25, 0.7]))
    for _ in range(count):
        side = float(rng.choice([-1.0, 1.0]))
        x, y = (-0.05 if side > 0 else 1.05) * w, rng.uniform(-0.1, 0.6) * h
        tall, inwards = rng.uniform(0.4, 0.9) * h, 0.0 if side > 0 else np.pi
        tree(canvas, rng, x, y, tall, leafy, 0.0, inwards + rng.normal(0, 0.35))
