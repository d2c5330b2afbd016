"""Water that mirrors what is above it, and boats."""

from __future__ import annotations

import cv2
import numpy as np

from scenes.parts.canvas import SUPERSAMPLE, Canvas
from scenes.parts.light import linear, pick
from scenes.parts.noise import Rng, fbm


def sea(canvas: Canvas, rng: Rng, horizon: float) -> None:
    """Water below `horizon`: a rippled mirror of what is above it. Its reflection of the sky is foreground, not sky."""
    h, w = canvas.height, canvas.width
    calm = float(rng.choice([0.15, 0.5, 1.0]))
    depth = np.maximum(canvas.ys - horizon, 0)
    tile = fbm(rng, 256, 256, 20, 4, 0.6, 2, tiled=True)
    z = 1 / (depth + 0.02)
    u = ((canvas.xs - 0.5) * z * 60 + 128).astype(np.float32)
    wave = cv2.remap(tile, u, np.broadcast_to(z * 160, u.shape).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    size = calm * np.clip(depth * 8, 0.05, 1)
    my = (2 * horizon - canvas.ys) * h + wave * size * 0.08 * h - 1
    mx = canvas.xs * w + wave * size * 0.02 * w
    mirror = cv2.remap(
        canvas.picture(), mx.astype(np.float32), my.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    deep = canvas.light.on(pick(rng, ((30, 70, 84), (20, 50, 70), (50, 70, 60), (60, 74, 80))), 0.4)
    share = np.clip(0.78 - 0.5 * depth / (1 - horizon) - 0.18 * calm * wave, 0.1, 0.95)[..., None]
    water = mirror * share + deep * (1 - share) * (1 + 0.3 * wave * calm)[..., None]
    canvas.below(np.full(w * SUPERSAMPLE, horizon * h, np.float32), water.astype(np.float32))


def boat(canvas: Canvas, rng: Rng, x: float, y: float, long: float) -> None:
    """Float a boat `long` pixels from bow to stern, its keel on (x, y)."""
    hull = canvas.light.on(pick(rng, ((235, 235, 230), (40, 60, 100), (130, 40, 36), (60, 60, 60))), 0.6)
    bow, stern = x + long * 0.55, x - long * 0.5
    canvas.fill([[stern, y - long * 0.14], [bow, y - long * 0.16], [x + long * 0.4, y], [x - long * 0.42, y]], hull)
    roof, deck = y - long * 0.28, y - long * 0.14
    cabin = [[x - long * 0.2, roof], [x + long * 0.15, roof], [x + long * 0.2, deck], [x - long * 0.2, deck]]
    canvas.fill(cabin, hull * 0.8)
    if rng.random() < 0.6:
        top = [x, y - long * rng.uniform(0.8, 1.4)]
        mast = [[x, y - long * 0.2], top]
        stays = [top, [x + long * 0.52, y - long * 0.15]], [top, [x - long * 0.48, y - long * 0.14]]
        canvas.strokes([mast, *stays], max(long * 0.012, 0.4 * canvas.unit), hull * 0.6)
        if rng.random() < 0.6:
            sail = [[x + long * 0.03, top[1]], [x + long * 0.03, y - long * 0.3], [x + long * 0.45, y - long * 0.25]]
            canvas.fill(sail, canvas.light.on(linear(240, 238, 230), 0.7))
