"""Ground and water: mountains, level land with its plants, roads, the sea and boats."""

from __future__ import annotations

import cv2
import numpy as np

from scenes.parts.canvas import SUPERSAMPLE, Canvas
from scenes.parts.light import linear, pick
from scenes.parts.noise import Rng, fbm, fork, profile, smooth
from scenes.parts.trees import LEAVES

LANDS = (
    ((104, 124, 58), (140, 136, 80)),
    ((150, 140, 96), (110, 112, 60)),
    ((196, 176, 140), (150, 130, 100)),
    ((232, 236, 244), (200, 208, 224)),
    ((110, 96, 76), (84, 98, 52)),
    ((150, 146, 140), (110, 108, 104)),
)


def ridge(
    canvas: Canvas,
    rng: Rng,
    base: float,
    rise: float,
    cells: float,
    color: np.ndarray,
    far: float,
    snow: float | None = None,
    ridged: bool = True,
) -> None:
    """Lay a mountain or hill: `base` and `rise` in fractions of the height, `far` 0 (here) to 1 (lost in the haze)."""
    h, w, light = canvas.height, canvas.width, canvas.light
    line = profile(rng, w * SUPERSAMPLE, cells, 8, 0.48 if ridged else 0.35, ridged)
    top = ((base - rise * line) * h).astype(np.float32)
    bumps = fbm(rng, h, w, cells * 2.2, 7, 0.55)
    slope = cv2.Sobel(bumps, cv2.CV_32F, 1, 0, ksize=3) * (-0.02 * w / cells * (1 if light.sun_x > 0.5 else -1))
    slope += cv2.Sobel(bumps, cv2.CV_32F, 0, 1, ksize=3) * (0.008 * w / cells)
    body = color * (1 + 0.25 * bumps)[..., None]
    if snow is not None:
        depth = canvas.ys - (top.reshape(w, SUPERSAMPLE).mean(1) / h)[None]
        white = smooth(snow * rise - depth + 0.3 * rise * bumps + 0.12 * rise * np.clip(slope, -1, 1), -0.02, 0.03)
        body = body + white[..., None] * (linear(240, 244, 252) - body)
    shaded = light.on(body, np.clip(0.45 + 0.45 * slope, 0.02, 1.1))
    mist = np.clip(far * (0.75 + 0.5 * smooth(canvas.ys, base - rise, base + 0.1)), 0, 0.95)  # thickest in valleys
    row = int(np.clip((base - 0.5 * rise) * h, 0, h - 1))
    air = 0.5 * light.haze + 0.4 * canvas.sky[row].mean(0)  # near the color of the sky behind, a little darker
    canvas.below(top, shaded + mist[..., None] * (air - shaded))


def ground(canvas: Canvas, rng: Rng, horizon: float, rough: float = 0.01) -> None:
    """Lay open country below `horizon`, with or without plants on it."""
    first, second = LANDS[int(rng.integers(len(LANDS)))]
    soil = plane(canvas, rng, horizon - 0.01, pick(rng, (first,)), 0.22, 1, pick(rng, (second,)))
    canvas.below(flat_line(canvas, rng, horizon, rough), soil)
    if max(first) < 220 and rng.random() < 0.75:
        tufts(canvas, rng, horizon, pick(rng, (first, second, (96, 104, 52))))


def plane(
    canvas: Canvas,
    rng: Rng,
    horizon: float,
    color: np.ndarray,
    contrast: float,
    scale: float = 1,
    second: np.ndarray | None = None,
) -> np.ndarray:
    """Color (height, width, 3) of level ground under `horizon`, its texture shrinking with distance."""
    first = int(np.clip(np.floor((horizon - 0.03) * canvas.height), 0, canvas.height - 1))  # above is never seen
    ys = canvas.ys[first:]
    depth = 1 / (np.maximum(ys - horizon, 0.002) + 0.01)
    tile = fbm(rng, 512, 512, 24, 5, 0.75, tiled=True)
    u = (canvas.xs - 0.5) * depth * 110 * scale + 256
    v = np.broadcast_to(depth * 90 * scale, u.shape)
    maps = np.mod(u, 512).astype(np.float32), np.mod(v, 512).astype(np.float32)
    grain = np.asarray(cv2.remap(tile, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.float32)
    height, width = grain.shape
    patches = fbm(rng, height, width, 5, 4, 0.5, 3)
    grain *= np.clip(8 / depth, 0.15, 1)
    own = fork(rng)
    grain += 0.3 * own.standard_normal(grain.shape, np.float32)
    body = color * (1 + contrast * (grain + 0.6 * patches)).clip(0.1, 3)[..., None]
    if second is not None:
        body += smooth(patches + 0.6 * grain, 0, 0.8)[..., None] * (second - body) * 0.8
    lit = canvas.light.on(body, 0.6)
    mist = 0.4 * np.exp(-np.maximum(ys - horizon, 0) * 22)[..., None]
    lit += mist * (canvas.light.haze * 0.6 - lit)
    out = np.empty((canvas.height, canvas.width, 3), np.float32)
    out[:first], out[first:] = lit[0], lit
    return out


def flat_line(canvas: Canvas, rng: Rng, horizon: float, rough: float) -> np.ndarray:
    """Heights in pixels (SUPERSAMPLE * width,) of a nearly level edge."""
    return ((horizon + rough * profile(rng, canvas.width * SUPERSAMPLE, 3, 8, 0.6)) * canvas.height).astype(np.float32)


def road(canvas: Canvas, rng: Rng, horizon: float, vanish_x: float, half: float) -> None:
    """Lay asphalt from (vanish_x pixels, horizon) to the lower edge, where it is 2 * `half` image widths wide."""
    h, w = canvas.height, canvas.width
    tones = ((110, 110, 112), (84, 84, 88), (140, 136, 130), (150, 120, 90))
    asphalt = plane(canvas, rng, horizon, pick(rng, tones), 0.1, 2)
    drop, y0 = (1 - horizon) * h, horizon * h

    def strip(left: float, right: float, far: float, near: float) -> list[list[float]]:
        """Corners; left and right in half widths of the road, far and near 0 (vanishing point) to 1 (lower edge)."""
        corners = ((left, far), (right, far), (right, near), (left, near))
        return [[vanish_x + side * half * w * t, y0 + drop * t] for side, t in corners]

    canvas.fill(strip(-1, 1, 0.015, 1.02), asphalt)
    paint = canvas.light.on(linear(225, 225, 220), 0.6)
    near = 1 / np.arange(0.95, 9, 0.5)
    for a, b in zip(near[::2], near[1::2], strict=False):
        if a < 1.1:
            canvas.fill(strip(-0.018, 0.018, b, a), paint, 0.85)
    for side in (-1, 1):
        if rng.random() < 0.6:
            canvas.fill(strip(side * 0.93, side * 0.96, 0.03, 1.02), paint, 0.8)
        kerb = plane(canvas, rng, horizon, linear(165, 160, 152), 0.08, 3)
        if rng.random() < 0.6:
            canvas.fill(strip(side, side * 1.35, 0.02, 1.02), kerb)


def tufts(canvas: Canvas, rng: Rng, horizon: float, color: np.ndarray) -> None:
    """Scatter grass, weeds and low bushes over the ground below `horizon`, larger toward the camera."""
    own, h, w = fork(rng), canvas.height, canvas.width
    n = int(own.integers(300, 3000))
    near = own.uniform(0.12, 1.1, n) ** 1.5
    foot = np.stack([own.uniform(0, w, n), (horizon + (1 - horizon) * near) * h], -1)
    foot[:, 0] += own.normal(0, 0.2, n).cumsum() % (0.3 * w)  # in clumps rather than evenly
    blade = np.stack([own.normal(0, 0.5, n), -own.uniform(0.4, 1.3, n)], -1)
    blade = blade * (near * h * own.uniform(0.02, 0.08))[:, None]
    part = own.integers(0, 3, n)
    for k, tone in enumerate((0.5, 0.85, 1.3)):
        f, b, thickness = foot[part == k], blade[part == k], near[part == k] * 1.6 * canvas.unit
        canvas.strokes(np.stack([f, f + b * [0.3, 0.6], f + b], 1), thickness, canvas.light.on(color * tone, 0.5))
    for _ in range(int(own.integers(0, 7))):
        _bush(canvas, own, horizon)


def _bush(canvas: Canvas, rng: Rng, horizon: float, twigs: int = 260) -> None:
    """Grow a low bush somewhere below `horizon`, in three layers of `twigs`: shade first."""
    t = rng.uniform(0.08, 1.0)
    at = np.array([rng.uniform(0, canvas.width), (horizon + (1 - horizon) * t) * canvas.height])
    size, green = t * canvas.height * rng.uniform(0.05, 0.22), pick(rng, LEAVES)
    for tone, push in ((0.4, 0.0), (0.75, 0.12), (1.15, 0.25)):
        aside = np.abs(rng.normal(0, 0.38, (twigs, 2))) * rng.choice([-1, 1], (twigs, 1)) * [size, 0]
        p = at + aside - np.abs(rng.normal(0, 0.33, (twigs, 1))) * [0, size]
        p -= [0, push * size]
        step = rng.normal(0, 0.06, (twigs, 2)) * size
        lit = canvas.light.on(green * tone, 0.5)
        canvas.strokes(np.stack([p, p + step], 1), rng.uniform(0.03, 0.09, twigs) * size, lit)


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
        canvas.image(), mx.astype(np.float32), my.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
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
