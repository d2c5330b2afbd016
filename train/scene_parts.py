"""Parts of procedural scenes: a layered canvas, noise, skies, and the things that stand in front of them.

All colours are linear-light RGB float32 (1.0 = a white sheet in full sun) and become sRGB only in `train.scenes`.
Positions are pixels of the final picture (pixel i covers [i, i+1)), x to the right, y down; heights of the horizon are
fractions of the picture's height. Every function draws from the generator it is given and from nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

SUPERSAMPLE = 3  # coverage is counted on a grid this many times finer than the picture, each way
Rng = np.random.Generator


def linear(red: float, green: float, blue: float) -> np.ndarray:
    """Linear-light RGB (3,) of an 8-bit sRGB colour."""
    s = np.array([red, green, blue], np.float32) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4).astype(np.float32)


def pick(rng: Rng, palette: tuple[tuple[float, float, float], ...], jitter: float = 0.12) -> np.ndarray:
    """Draw a colour of an sRGB palette, varied a little; linear RGB (3,)."""
    base = linear(*palette[int(rng.integers(len(palette)))])
    return (base * np.exp(rng.normal(0, jitter, 3) * 0.5 + rng.normal(0, jitter))).astype(np.float32)


def smooth(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def fbm(
    rng: Rng,
    height: int,
    width: int,
    cells: float = 4,
    octaves: int = 5,
    gain: float = 0.5,
    stretch: float = 1,
    tiled: bool = False,
) -> np.ndarray:
    """Fractal noise (height, width) float32, mean about 0, deviation about 0.6; `stretch` > 1 makes streaks lie flat.

    `tiled`: opposite edges fit together, for planes that repeat the noise out to the horizon.

    Each call takes one number of `rng` and goes on with a generator of its own, so that the layout of a scene does not
    depend on how many pixels its noise needed.
    """
    own = np.random.default_rng(int(rng.integers(2**62)))
    out, norm, long_side = np.zeros((height, width), np.float32), 0.0, max(height, width)
    for octave in range(octaves):
        count = cells * 2**octave
        rows = min(height, max(2, round(count * height / long_side)) + 2)
        columns = min(width, max(2, round(count * width / long_side / stretch)) + 2)
        grid = own.standard_normal((rows, columns), np.float32)
        if tiled:  # a margin of two cells repeats the other side; cut off once the cells are drawn large
            ay, ax = -(-2 * height // rows), -(-2 * width // columns)
            full = cv2.resize(
                np.pad(grid, 2, mode="wrap"), None, fx=width / columns, fy=height / rows, interpolation=cv2.INTER_CUBIC
            )
            grid = full[ay : ay + height, ax : ax + width]
            out += gain**octave * grid
        else:
            out += gain**octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        norm += gain ** (2 * octave)
        if rows == height and columns == width:
            break  # finer than a pixel there is nothing to see
    return out / np.float32(np.sqrt(norm))


def profile(
    rng: Rng, count: int, cells: float, octaves: int = 7, gain: float = 0.5, ridged: bool = False
) -> np.ndarray:
    """Fractal line (count,) float32 in about [-1, 1]; `ridged` folds it into sharp peaks in [0, 1]."""
    own, where = np.random.default_rng(int(rng.integers(2**62))), np.linspace(0, 1, count)
    out = np.zeros(count)
    for octave in range(octaves):
        knots = int(np.ceil(cells * 2**octave)) + 2
        wave = np.interp(where * (knots - 1), np.arange(knots), own.uniform(-1, 1, knots))
        out += gain**octave * wave
    out *= 1 - gain
    return (1 - np.abs(out) * 1.8 if ridged else out * 1.6).astype(np.float32)


def rect(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    """Corners of an upright rectangle, clockwise from the top left."""
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


@dataclass(frozen=True)
class Light:
    """Light of a scene: where the sun is (fractions of the picture, may lie outside) and its colours, linear (3,)."""

    sun_x: float
    sun_y: float
    sun: np.ndarray
    ambient: np.ndarray
    haze: np.ndarray  # colour of the air at the horizon, into which far things fade
    night: bool = False

    def on(self, colour: np.ndarray, facing: np.ndarray | float = 0.5) -> np.ndarray:
        """Colour of a surface of this reflectance; `facing` 0 = turned from the sun, 1 = towards it."""
        facing = np.asarray(facing, np.float32)[..., None] if np.ndim(facing) else facing
        return (colour * (self.ambient + self.sun * facing)).astype(np.float32)


@dataclass
class Canvas:
    """Foreground painted over an unknown sky: picture = alpha * sky + paint, in linear light.

    Every layer with coverage c turns `paint` into c * colour + (1 - c) * paint and `alpha` into (1 - c) * alpha, so
    that alpha is, by construction, exactly the weight with which the sky enters the picture.
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
        self.unit = max(self.height, self.width) / 512  # sizes are thought of in a picture 512 pixels long
        self.ys = ((np.arange(self.height, dtype=np.float32) + 0.5) / self.height)[:, None]
        self.xs = ((np.arange(self.width, dtype=np.float32) + 0.5) / self.width)[None, :]

    def picture(self) -> np.ndarray:
        """Picture so far, (height, width, 3) linear RGB."""
        return self.alpha[..., None] * self.sky + self.paint

    def over(self, cover: np.ndarray, colour: np.ndarray, top: int = 0, left: int = 0) -> None:
        """Lay a layer over the box of `cover` at (top, left); colour (3,), or (height, width, 3), or of the box."""
        rows, columns = slice(top, top + cover.shape[0]), slice(left, left + cover.shape[1])
        if colour.ndim == 3 and colour.shape[:2] != cover.shape:
            colour = colour[rows, columns]
        self.alpha[rows, columns] *= 1 - cover
        self.paint[rows, columns] += cover[..., None] * (colour - self.paint[rows, columns])

    def _box(self, points: np.ndarray, margin: float) -> tuple[int, int, int, int] | None:
        low = np.floor(points.min(0) - margin).astype(int).clip(0)
        high = np.ceil(points.max(0) + margin).astype(int).clip(None, [self.width, self.height])
        return None if (high <= low).any() else (int(low[0]), int(low[1]), int(high[0]), int(high[1]))

    def fill(self, points, colour: np.ndarray, opacity: float = 1.0) -> None:
        """Fill one polygon, points (N, 2)."""
        points = np.asarray(points, np.float32)
        box = self._box(points, 1)
        if box is None:
            return
        left, top, right, bottom = box
        mask = np.zeros(((bottom - top) * SUPERSAMPLE, (right - left) * SUPERSAMPLE), np.uint8)
        fine = np.clip((points - [left, top]) * SUPERSAMPLE - 0.5, -1e5, 1e5)  # OpenCV counts from pixel centres
        cv2.fillPoly(mask, [np.round(fine * 16).astype(np.int32)], 255, shift=4)
        self.over(shrink(mask) * np.float32(opacity), colour, top, left)

    def strokes(
        self, lines: np.ndarray, thickness: np.ndarray | float, colour: np.ndarray, opacity: float = 1.0
    ) -> None:
        """Draw polylines (N, K, 2), each `thickness` pixels thick; thinner than the grid can show means fainter."""
        lines = np.asarray(lines, np.float32)
        thickness = np.broadcast_to(np.asarray(thickness, np.float32), lines.shape[:1])
        box = self._box(lines.reshape(-1, 2), float(thickness.max()) + 1)
        if box is None:
            return
        left, top, right, bottom = box
        mask = np.zeros(((bottom - top) * SUPERSAMPLE, (right - left) * SUPERSAMPLE), np.uint8)
        fine = np.round(((lines - [left, top]) * SUPERSAMPLE - 0.5) * 16).clip(-1e6, 1e6).astype(np.int32)
        steps = np.round(thickness * SUPERSAMPLE).astype(int)
        for step in np.unique(steps):  # one call per thickness; thin first is as good as any order, coverage adds up
            faint = 255 if step > 0 else int(255 * float(thickness[steps == step].mean()) * SUPERSAMPLE)
            cv2.polylines(mask, list(fine[steps == step]), False, faint, max(int(step), 1), cv2.LINE_8, 4)
        self.over(shrink(mask) * np.float32(opacity), colour, top, left)

    def below(self, line: np.ndarray, colour: np.ndarray) -> None:
        """Cover all below a line of heights, (SUPERSAMPLE * width,) in pixels; coverage is analytic in y."""
        edges = np.arange(1, self.height + 1, dtype=np.float32)[:, None]
        first = int(np.clip(np.floor(line.min()), 0, self.height))
        last = int(np.clip(np.ceil(line.max()) + 1, first, self.height))
        cover = np.ones((self.height - first, self.width), np.float32)
        fine = np.clip(edges[first:last] - line[None, :], 0, 1)
        cover[: last - first] = fine.reshape(last - first, self.width, SUPERSAMPLE).mean(2)
        if first < self.height:
            self.over(cover, colour, first, 0)


def shrink(mask: np.ndarray) -> np.ndarray:
    """Coverage in [0, 1] of a mask (SUPERSAMPLE * h, SUPERSAMPLE * w) uint8, as (h, w) float32."""
    size = (mask.shape[1] // SUPERSAMPLE, mask.shape[0] // SUPERSAMPLE)
    return cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255


# --- skies ------------------------------------------------------------------------------------------------------------


def _gradient(up: np.ndarray, stops: list[tuple[float, np.ndarray]]) -> np.ndarray:
    """Colour (height, 1, 3) of elevations `up` (height, 1), through stops (elevation, colour)."""
    at = [s[0] for s in stops]
    return np.stack([np.interp(up[:, 0], at, [s[1][c] for s in stops]) for c in range(3)], -1)[:, None].astype(
        np.float32
    )


def _clouds(rng: Rng, up: np.ndarray, across: np.ndarray, toward: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Density noise and brightness in [0, 1] of a cloud layer seen in perspective, both (height, width).

    The layer is a plane overhead; the camera (focal length = picture height) is pitched so that the horizon falls where
    `up` is 0. Both are heights in units of the picture's.
    """
    cells, gain, stretch = int(rng.integers(4, 10)), rng.uniform(0.45, 0.62), float(rng.choice([1.0, 1.0, 2.0]))
    tile = fbm(rng, 512, 512, cells, 7, gain, stretch, tiled=True)
    lit = tile - np.roll(tile, (int(toward[1] * 9), int(toward[0] * 9)), (0, 1))
    pitch = float(np.arctan(up[0, 0] - 0.5))  # the top row is half a picture above the middle
    rise = np.maximum(up, 0) * np.cos(pitch) + rng.uniform(0.08, 0.3)
    ahead = np.cos(pitch) - (up - up[0, 0] + 0.5) * np.sin(pitch)
    scale = rng.uniform(110, 220)
    u = across / rise * scale + rng.uniform(0, 512)
    v = np.broadcast_to(ahead / rise * scale + rng.uniform(0, 512), u.shape)
    maps = np.mod(u, 512).astype(np.float32), np.mod(v, 512).astype(np.float32)
    both = cv2.remap(np.stack([tile, lit], -1), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return both[..., 0], np.clip(0.55 + 0.9 * both[..., 1], 0, 1)


def make_sky(rng: Rng, name: str, height: int, width: int, horizon: float) -> tuple[np.ndarray, Light]:
    """Paint a sky, (height, width, 3) linear RGB, and say what light it gives."""
    ys, xs = (
        ((np.arange(height, dtype=np.float32) + 0.5) / height)[:, None],
        (np.arange(width, dtype=np.float32) + 0.5) / width,
    )
    up, across = horizon - ys, (xs[None] - 0.5) * (width / height)
    sun_x, sun_y = rng.uniform(-0.3, 1.3), float(horizon - rng.uniform(0.15, 1.2))
    if name == "sunset":
        sun_x, sun_y = rng.uniform(0, 1), float(horizon - rng.uniform(-0.08, 0.14))
    away = np.hypot((xs[None] - sun_x) * (width / height), ys - sun_y).astype(np.float32)
    toward = (0.8 if sun_x > 0.5 else -0.8, -0.6)
    painter = {"clear": _day, "cloudy": _day, "overcast": _overcast, "sunset": _sunset, "night": _night}[name]
    sky, sun, ambient, haze = painter(rng, up, across, away, toward, name)
    sky = np.ascontiguousarray(np.broadcast_to(sky, (height, width, 3)), np.float32)
    return np.maximum(sky, 0), Light(sun_x, sun_y, sun, ambient, haze, name == "night")


def _day(rng, up, across, away, toward, name):
    pale = rng.uniform(0, 1) ** 1.5  # 0: deep mountain blue, 1: milky summer haze
    zenith = linear(28, 84, 170) * (1 - pale) + linear(120, 165, 215) * pale
    zenith = zenith * linear(255, 240 + rng.normal(0, 12), 250) * rng.uniform(0.6, 1.3)
    haze = (linear(150, 190, 225) * (1 - pale) + linear(215, 228, 236) * pale) * rng.uniform(0.85, 1.25)
    top = rng.uniform(0.5, 1.1)
    sky = _gradient(up, [(0, haze), (top * 0.3, haze * 0.5 + zenith * 0.5), (top, zenith)])
    warm, strength = linear(255, 244, 220), rng.uniform(0.1, 0.7)
    sky = sky + (strength * np.exp(-away / rng.uniform(0.12, 0.4)))[..., None] * warm
    if rng.random() < 0.5:
        sky = sky + (8 * smooth(away, 0.045, 0.02) + 0.8 * np.exp(-away / 0.05))[..., None] * warm
    if name == "clear" and rng.random() < 0.6:
        return sky, linear(255, 243, 225) * 0.75, haze * 0.25 + 0.08, haze
    density, bright = _clouds(rng, up, across, toward)
    low = rng.uniform(-0.5, 0.5) if name == "cloudy" else rng.uniform(0.7, 1.1)
    cover = smooth(density, low, low + rng.uniform(0.4, 1.3)) * smooth(up, -0.02, 0.15)
    dark = linear(*(rng.uniform(120, 205) + np.array([0, 4, 12])))
    cloud = dark + bright[..., None] * (linear(255, 252, 246) * rng.uniform(0.95, 1.3) - dark)
    cloud *= (1.1 - 0.3 * smooth(density, low + 0.4, low + 2))[..., None]  # thick cloud is darker below
    sky = sky + (cover * (0.95 if name == "cloudy" else 0.6))[..., None] * (cloud - sky)
    shade = float(rng.choice([1.0, 0.35])) if name == "cloudy" else 1.0  # sun out, or behind a cloud
    return sky, linear(255, 243, 225) * 0.75 * shade, haze * 0.28 + 0.1, haze


def _overcast(rng, up, across, away, toward, name):
    level, contrast = rng.uniform(0.55, 1.4), float(rng.choice([0.0, 0.12, 0.35]))
    tint = linear(*(np.array([238, 241, 246]) + rng.normal(0, 5, 3)))
    fall = rng.uniform(-0.25, 0.25)
    sky = tint * level * (1 + fall * np.clip(up, 0, 1))[..., None] * np.ones_like(away)[..., None]
    if contrast:
        density, bright = _clouds(rng, up, across, toward)
        sky = sky * (1 + contrast * (np.tanh(density) + 0.5 * (bright - 0.55)))[..., None]
    return sky, np.zeros(3, np.float32) + 0.08, tint * min(level, 0.9) * 0.55, tint * level


def _sunset(rng, up, across, away, toward, name):
    haze = pick(rng, ((255, 150, 60), (250, 180, 110), (240, 120, 90), (255, 200, 150), (235, 150, 160)))
    middle = pick(rng, ((200, 130, 130), (170, 120, 150), (220, 160, 130), (130, 120, 160)))
    zenith = pick(rng, ((40, 60, 110), (70, 90, 140), (50, 45, 85), (90, 110, 150)))
    sky = _gradient(up, [(0, haze), (rng.uniform(0.12, 0.35), middle), (rng.uniform(0.5, 0.9), zenith)])
    fire = linear(255, 190, 110)
    sky = sky + np.exp(-away / rng.uniform(0.08, 0.3))[..., None] * fire * rng.uniform(0.3, 1.2)
    if rng.random() < 0.5:
        sky = sky + (smooth(away, 0.05, 0.035) * 4)[..., None] * fire
    if rng.random() < 0.75:
        density, bright = _clouds(rng, up, across, (toward[0], 0.7))  # lit from below
        low = rng.uniform(-0.3, 0.7)
        cover = smooth(density, low, low + rng.uniform(0.5, 1.2))[..., None] * 0.9
        cloud = middle * 0.25 + zenith * 0.3
        cloud = cloud + bright[..., None] * (haze * rng.uniform(0.7, 1.3) - cloud)
        sky = sky + cover * (cloud - sky)
    power = rng.uniform(0.03, 0.35)  # from black outlines to a scene in the last light
    return sky, fire * power, (zenith * 0.6 + 0.05) * power * 1.5 + 0.004, haze * 0.7


def _night(rng, up, across, away, toward, name):
    zenith = pick(rng, ((6, 9, 22), (12, 18, 40), (4, 4, 8), (20, 28, 52)))
    haze = pick(rng, ((60, 45, 35), (25, 35, 60), (80, 60, 40), (20, 26, 40), (40, 60, 60)), 0.3)
    sky = _gradient(up, [(0, haze), (rng.uniform(0.1, 0.4), haze * 0.25 + zenith), (0.9, zenith)])
    height, width = away.shape
    sky = sky * (1 + 0.3 * np.exp(-np.abs(across - rng.uniform(-0.7, 0.7)) * 3))[..., None]
    unit, roll = max(height, width) / 512, rng.random()
    if roll < 0.7:  # stars, many faint and few bright, and the band in which they crowd
        angle, shift = rng.uniform(0.3, 2.8), rng.uniform(-0.2, 0.2)
        band = np.exp(-(((across * np.sin(angle) - (up - 0.4) * np.cos(angle) + shift) / 0.16) ** 2))
        milky = (rng.random() < 0.4) * rng.uniform(0.5, 1.5)
        dust = fbm(rng, height, width, 6, 6, 0.6)
        sky = sky + milky * 0.035 * (band * np.clip(0.6 + 0.7 * dust, 0, 2))[..., None] * linear(235, 225, 245)
        own = np.random.default_rng(int(rng.integers(2**62)))
        count = int(own.integers(150, 1500))
        ix, iy = own.integers(0, width, count), own.integers(0, height, count)
        flux = (0.02 * own.pareto(1.6, count)).clip(0, 3) * np.exp(-np.maximum(0, 0.15 - up[iy, 0]) * 10)
        stars = np.zeros((height, width, 3), np.float32)
        stars[iy, ix] = flux[:, None] * (1 + own.normal(0, 0.12, (count, 3)))
        sky = sky + cv2.GaussianBlur(stars, (0, 0), 0.45 + 0.25 * unit) * 2.2
    if roll > 0.5:
        mx, my = rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.7)
        far = np.hypot(across - mx, up - my)
        size = rng.uniform(0.008, 0.026)
        seas = 0.75 + 0.25 * np.tanh(fbm(rng, height, width, 40, 3))
        sky = sky + (smooth(far, size + 0.003, size - 0.003) * 0.7 * seas + 0.03 * np.exp(-far / 0.06))[..., None]
        if rng.random() < 0.6:
            density, bright = _clouds(rng, up, across, toward)
            cover = smooth(density, 0, 1.2)[..., None] * 0.8
            sky = sky + cover * ((0.02 + 0.25 * np.exp(-far / 0.3) * bright)[..., None] * 0.5 + haze * 0.3 - sky)
    power = rng.uniform(0.15, 1)
    return sky, linear(190, 205, 255) * 0.012 * power, haze * 0.12 + 0.004 * power, haze * 0.4


# --- land ------------------------------------------------------------------------------------------------------------


def ridge(
    canvas: Canvas,
    rng: Rng,
    base: float,
    rise: float,
    cells: float,
    colour: np.ndarray,
    far: float,
    snow: float | None = None,
    ridged: bool = True,
    relief: float = 1.0,
) -> None:
    """Lay a mountain or hill: `base` and `rise` in fractions of the height, `far` 0 (here) to 1 (lost in the haze)."""
    h, w, light = canvas.height, canvas.width, canvas.light
    line = profile(rng, w * SUPERSAMPLE, cells, 8, 0.48 if ridged else 0.35, ridged)
    top = ((base - rise * line) * h).astype(np.float32)
    bumps = fbm(rng, h, w, cells * 2.2, 7, 0.55)
    slope = cv2.Sobel(bumps, cv2.CV_32F, 1, 0, ksize=3) * (-0.02 * w / cells * (1 if light.sun_x > 0.5 else -1))
    slope += cv2.Sobel(bumps, cv2.CV_32F, 0, 1, ksize=3) * (0.008 * w / cells)
    facing = np.clip(0.45 + relief * 0.45 * slope, 0.02, 1.1)
    body = colour * (1 + 0.25 * bumps)[..., None]
    if snow is not None:
        depth = canvas.ys - (top.reshape(w, SUPERSAMPLE).mean(1) / h)[None]
        white = smooth(snow * rise - depth + 0.3 * rise * bumps + 0.12 * rise * np.clip(slope, -1, 1), -0.02, 0.03)
        body = body + white[..., None] * (linear(240, 244, 252) - body)
    shaded = light.on(body, facing)
    mist = np.clip(far * (0.75 + 0.5 * smooth(canvas.ys, base - rise, base + 0.1)), 0, 0.95)[
        ..., None
    ]  # thickest in valleys
    row = int(np.clip((base - 0.5 * rise) * h, 0, h - 1))
    air = 0.5 * light.haze + 0.4 * canvas.sky[row].mean(0)  # near the colour of the sky behind, a little darker
    canvas.below(top, shaded + mist * (air - shaded))


def plane(
    canvas: Canvas,
    rng: Rng,
    horizon: float,
    colour: np.ndarray,
    contrast: float,
    scale: float = 1,
    second: np.ndarray | None = None,
) -> np.ndarray:
    """Colour (height, width, 3) of level ground under `horizon`, its texture shrinking with distance."""
    first = int(np.clip(np.floor((horizon - 0.03) * canvas.height), 0, canvas.height - 1))  # above is never seen
    ys = canvas.ys[first:]
    depth = 1 / (np.maximum(ys - horizon, 0.002) + 0.01)
    tile = fbm(rng, 512, 512, 24, 5, 0.75, tiled=True)
    u = (canvas.xs - 0.5) * depth * 110 * scale + 256
    v = np.broadcast_to(depth * 90 * scale, u.shape)
    maps = np.mod(u, 512).astype(np.float32), np.mod(v, 512).astype(np.float32)
    grain = cv2.remap(tile, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    patches = fbm(rng, *grain.shape, 5, 4, 0.5, 3)
    grain *= np.clip(8 / depth, 0.15, 1)
    own = np.random.default_rng(int(rng.integers(2**62)))
    grain += 0.3 * own.standard_normal(grain.shape, np.float32)
    body = colour * (1 + contrast * (grain + 0.6 * patches)).clip(0.1, 3)[..., None]
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


def treeline(canvas: Canvas, rng: Rng, base: float, tall: float, far: float, conifer: bool) -> None:
    """Lay a wood whose crowns end in an irregular edge; `base` and `tall` in fractions of the height."""
    h, w = canvas.height, canvas.width
    count = int(np.clip(2.2 * w / (tall * h), 8, 200) * rng.uniform(0.7, 2))
    own = np.random.default_rng(int(rng.integers(2**62)))
    x, size = own.uniform(-0.05, 1.05, count) * w, own.uniform(0.5, 1, count) * tall * h
    dx = np.abs((np.arange(w * SUPERSAMPLE) + 0.5)[None] / SUPERSAMPLE - x[:, None])
    if conifer:
        droop = size[:, None] * 0.06 * ((dx * own.uniform(6, 12, count)[:, None] / size[:, None] * 3) % 1)
        tops = base * h - size[:, None] + dx * own.uniform(2.2, 4, count)[:, None] + droop
    else:
        radius, power = size * own.uniform(0.3, 0.6, count), own.uniform(1.5, 2.2, count)
        away = dx / radius[:, None]
        tops = base * h - size[:, None] + size[:, None] * away ** power[:, None] * 0.8
    rough = tall * h * profile(rng, w * SUPERSAMPLE, 25, 7, 0.75) * (0.14 if not conifer else 0.05)
    top = np.minimum(tops.min(0), base * h - 0.3 * tall * h) + rough
    greens = ((38, 62, 30), (52, 74, 38), (74, 88, 44), (30, 48, 34), (96, 90, 48), (70, 60, 45))
    colour = pick(rng, greens)
    leaf = fbm(rng, h, w, 30, 5, 0.8)
    clump = fbm(rng, h, w, float(np.clip(1.5 * w / (tall * h), 4, 60)), 3, 0.6, 0.8 if conifer else 1)
    shaded = canvas.light.on(
        colour * (1 + 0.35 * leaf + 0.35 * clump).clip(0.08, 3)[..., None], np.clip(0.4 + 0.4 * clump, 0, 1)
    )
    shaded += far * (canvas.light.haze - shaded)
    canvas.below(top.astype(np.float32), shaded)
    if far < 0.3:  # loose leaves and twigs beyond the edge
        n = int(w * 1.2)
        at = own.integers(0, w * SUPERSAMPLE, n)
        px = np.stack([at / SUPERSAMPLE, top[at] + own.normal(0, 0.05, n) * tall * h], -1)
        turn, long = own.uniform(0, 2 * np.pi, n), own.uniform(0.5, 2.5, n) * canvas.unit
        step = np.stack([np.cos(turn), np.sin(turn)], -1) * long[:, None]
        canvas.strokes(np.stack([px, px + step], 1), own.uniform(0.4, 1.8, n) * canvas.unit, shaded * 0.9)


def tufts(canvas: Canvas, rng: Rng, horizon: float, colour: np.ndarray) -> None:
    """Scatter grass, weeds and low bushes over the ground below `horizon`, larger towards the camera."""
    own, h, w, light = np.random.default_rng(int(rng.integers(2**62))), canvas.height, canvas.width, canvas.light
    n = int(own.integers(300, 3000))
    near = own.uniform(0.12, 1.1, n) ** 1.5
    foot = np.stack([own.uniform(0, w, n), (horizon + (1 - horizon) * near) * h], -1)
    foot[:, 0] += own.normal(0, 0.2, n).cumsum() % (0.3 * w)  # in clumps rather than evenly
    blade = (
        np.stack([own.normal(0, 0.5, n), -own.uniform(0.4, 1.3, n)], -1) * (near * h * own.uniform(0.02, 0.08))[:, None]
    )
    part = own.integers(0, 3, n)
    for k, tone in enumerate((0.5, 0.85, 1.3)):
        f, b = foot[part == k], blade[part == k]
        canvas.strokes(
            np.stack([f, f + b * [0.3, 0.6], f + b], 1),
            near[part == k] * 1.6 * canvas.unit,
            light.on(colour * tone, 0.5),
        )
    for _ in range(int(own.integers(0, 7))):  # bushes
        t = own.uniform(0.08, 1.0)
        at, size = np.array([own.uniform(0, w), (horizon + (1 - horizon) * t) * h]), t * h * own.uniform(0.05, 0.22)
        green = pick(own, LEAVES)
        for tone, push in ((0.4, 0.0), (0.75, 0.12), (1.15, 0.25)):
            m = 260
            p = (
                at
                + np.abs(own.normal(0, 0.38, (m, 2))) * own.choice([-1, 1], (m, 1)) * [size, 0]
                - np.abs(own.normal(0, 0.33, (m, 1))) * [0, size]
            )
            p -= [0, push * size]
            step = own.normal(0, 0.06, (m, 2)) * size
            canvas.strokes(np.stack([p, p + step], 1), own.uniform(0.03, 0.09, m) * size, light.on(green * tone, 0.5))


LEAVES = ((62, 92, 38), (84, 110, 48), (46, 72, 36), (120, 124, 50), (150, 100, 44), (72, 84, 60))
BARK = ((70, 58, 46), (52, 44, 38), (96, 86, 74), (120, 112, 100), (40, 34, 30))


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
    own, light = np.random.default_rng(int(rng.integers(2**62))), canvas.light
    start, angle = np.array([[x, y]]), np.array([heading + lean + own.normal(0, 0.05)])
    length, width = np.array([tall * own.uniform(0.2, 0.32)]), np.array([tall * own.uniform(0.025, 0.045)])
    spread, up = own.uniform(0.3, 0.6), own.uniform(0, 0.12)
    segments, widths = [], []
    for level in range(8):
        end = start + length[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
        bend = own.normal(0, 0.09, start.shape) * length[:, None]
        segments.append(np.stack([start, (start + end) / 2 + bend, end], 1))
        widths.append(width)
        if level == 7:
            break
        forks = 3 if level < 4 else 2
        where = own.uniform(0.55, 1.0, (len(end), forks)) if level else own.uniform(0.7, 1.0, (1, forks))
        where[:, 0] = 1
        start = (segments[-1][:, None, 0] * (1 - where[..., None]) + end[:, None] * where[..., None]).reshape(-1, 2)
        fan = np.linspace(-1, 1, forks)[None] * spread * 1.25 + own.normal(0, 0.28, (len(end), forks))
        own.permuted(fan, axis=1, out=fan)
        angle = (angle[:, None] + fan).reshape(-1)
        angle -= up * np.cos(angle) * np.sign(np.sin(-heading) + 1e-9)  # twigs turn to the light
        length = (length[:, None] * own.uniform(0.58, 0.9, fan.shape)).reshape(-1)
        width = (width[:, None] * own.uniform(0.5, 0.72, fan.shape)).reshape(-1)
    bark = light.on(pick(rng, BARK), 0.4)
    keep = 8 if leafy < 0.8 else 7
    canvas.strokes(np.concatenate(segments[:keep]), np.concatenate(widths[:keep]), bark)
    if leafy <= 0:
        return
    tips = np.concatenate([s[:, 2] for s in segments[4:]])
    count = int(leafy * own.uniform(5000, 12000))
    size = max(tall * own.uniform(0.004, 0.009), 0.5)
    colour, side = pick(rng, LEAVES), 1 if light.sun_x > 0.5 else -1
    for tone, facing, push in (
        (0.5, 0.15, -1),
        (0.85, 0.5, 0),
        (1.25, 0.95, 1),
    ):  # shade first, then what the sun reaches
        at = tips[own.integers(0, len(tips), count // 3)] + own.normal(0, tall * 0.022, (count // 3, 2))
        at += np.array([side * 0.012, -0.018]) * push * tall
        turn = own.uniform(0, 2 * np.pi, len(at))
        step = np.stack([np.cos(turn), np.sin(turn)], -1) * size * own.uniform(0.3, 1.3, (len(at), 1))
        canvas.strokes(
            np.stack([at, at + step], 1), own.uniform(0.5, 1.4, len(at)) * size, light.on(colour * tone, facing)
        )


def fir(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Grow a conifer of `tall` pixels from its foot (x, y)."""
    own, light = np.random.default_rng(int(rng.integers(2**62))), canvas.light
    colour, wide = pick(rng, ((40, 62, 40), (34, 54, 44), (60, 76, 46))), own.uniform(0.14, 0.24)
    canvas.strokes([[[x, y], [x, y - tall]]], max(tall * 0.012, 0.4), light.on(pick(rng, BARK), 0.3))
    for tone, facing, n in ((0.55, 0.1, 500), (1.0, 0.6, 350)):
        t = own.uniform(0.06, 1, n) ** 1.2
        side = own.choice([-1.0, 1.0], n) * own.uniform(0.3, 1, n) * wide * tall * t * (0.75 + 0.25 * np.sin(t * 60))
        start = np.stack([x + side * 0.15, y - tall * (1 - t * 0.92)], -1)
        tip = start + np.stack([side, np.abs(side) * own.uniform(0.1, 0.6, n)], -1)
        canvas.strokes(np.stack([start, tip], 1), own.uniform(0.004, 0.016, n) * tall, light.on(colour * tone, facing))


# --- things that people built -----------------------------------------------------------------------------------------

WALLS = (
    (226, 222, 212),
    (240, 240, 238),
    (200, 180, 150),
    (168, 100, 78),
    (140, 76, 60),
    (150, 150, 152),
    (214, 190, 130),
    (190, 150, 120),
    (246, 244, 240),
    (110, 100, 92),
    (160, 180, 196),
    (120, 140, 165),
)


def facade(rng: Rng, light: Light, floors: int, bays: int, wall: np.ndarray, facing: float) -> np.ndarray:
    """Front of a building seen square on, (28 * floors, 24 * bays, 3) linear RGB: windows, sills, perhaps shops."""
    own = np.random.default_rng(int(rng.integers(2**62)))
    h, w = 28 * floors, 24 * bays
    out = np.empty((h, w, 3), np.float32)
    out[:] = wall
    out *= (1 + 0.07 * fbm(own, h, w, 12, 5, 0.8) + own.normal(0, 0.03, (h, w)))[..., None]
    if own.random() < 0.35:  # courses of brick or stone
        out[:: int(own.integers(3, 8))] *= 0.86
    trim = wall * own.uniform(0.6, 1.35) if own.random() < 0.6 else linear(225, 222, 215)
    ww, wh, style = int(own.integers(8, 19)), int(own.integers(11, 21)), own.random()
    glass = pick(own, ((40, 46, 56), (70, 84, 100), (28, 30, 34), (110, 135, 160)))
    lit_share = own.uniform(0.1, 0.6) if light.night else 0.0
    glow = np.zeros((h, w, 3), np.float32)
    shutters, balconies = own.random() < 0.25, own.random() < 0.3
    shade = pick(own, ((60, 80, 60), (70, 60, 50), (90, 100, 120), (150, 150, 145)))
    for floor in range(floors):
        y = 28 * floor + (28 - wh) // 2
        if own.random() < 0.3:
            out[28 * floor : 28 * floor + 2] = trim
        if style < 0.2:  # ribbon of glass
            out[y : y + wh] = glass * own.uniform(0.7, 1.4)
        for bay in range(bays):
            x = 24 * bay + (24 - ww) // 2
            if shutters:
                out[y : y + wh, max(x - 4, 0) : x + ww + 4] = shade
            out[y - 1 : y + wh + 1, x - 1 : x + ww + 1] = trim
            pane = glass * own.uniform(0.5, 1.6)
            if own.random() < 0.2:
                pane = pane * 0.4 + 0.3 * linear(230, 225, 215)  # a curtain
            fade = np.linspace(1.3, 0.7, wh, dtype=np.float32)[:, None, None]
            out[y : y + wh, x : x + ww] = pane * fade
            out[y : y + wh, x + ww // 2] = trim
            if own.random() < lit_share:
                glow[y : y + wh, x : x + ww] = (
                    linear(255, 205 + own.normal(0, 20), 140) * own.uniform(0.05, 0.45) * fade
                )
            out[y + wh : y + wh + 2, x - 2 : x + ww + 2] = trim * 0.8
            if balconies:
                out[y + wh - 5 : y + wh, x - 3 : x + ww + 3 : 2] = 0.03
                out[y + wh : y + wh + 2, x - 3 : x + ww + 3] = wall * 0.5
    if own.random() < 0.55:  # shops
        out[-26:] = pick(own, WALLS) * 0.6
        for x in range(2, w - 12, int(own.integers(20, 46))):
            out[-20:, x : x + 16] = glass * own.uniform(0.4, 1.2)
            if light.night:
                glow[-18:-2, x : x + 16] = linear(255, 220, 170) * own.uniform(0.0, 0.5)
        out[-26:-21] = pick(own, ((150, 40, 36), (40, 70, 120), (40, 90, 60), (210, 200, 180), (60, 60, 60)))
    out[:3] = trim * 1.05
    return light.on(out.clip(0, 1), facing) + glow


def lay(canvas: Canvas, texture: np.ndarray, corners) -> None:
    """Lay a texture on the quadrilateral of `corners` (4, 2): top left, top right, bottom right, bottom left."""
    corners = np.asarray(corners, np.float32)
    low = np.floor(corners.min(0) - 1).astype(int).clip(0)
    high = np.ceil(corners.max(0) + 1).astype(int).clip(None, [canvas.width, canvas.height])
    if (high <= low).any():
        return
    sides = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
    scale_x, scale_y = max(sides[0], sides[2]) / texture.shape[1], max(sides[1], sides[3]) / texture.shape[0]
    if min(scale_x, scale_y) < 0.75:  # shrink by area first, or the windows of far houses would alias
        size = max(2, round(texture.shape[1] * min(1, scale_x))), max(2, round(texture.shape[0] * min(1, scale_y)))
        texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA)
    th, tw = texture.shape[:2]
    # Corners a pixel outwards on the texture's side, so that edge pixels, covered in part, still get a colour.
    move = cv2.getPerspectiveTransform(np.float32(rect(0, 0, tw, th)), corners - low.astype(np.float32))
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    box = cv2.warpPerspective(texture, move, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = np.zeros((size[1] * SUPERSAMPLE, size[0] * SUPERSAMPLE), np.uint8)
    fine = np.clip((corners - low) * SUPERSAMPLE - 0.5, -1e5, 1e5)
    cv2.fillPoly(mask, [np.round(fine * 16).astype(np.int32)], 255, shift=4)
    canvas.over(shrink(mask), box, int(low[1]), int(low[0]))


def roof(canvas: Canvas, rng: Rng, left: float, right: float, top: float, tall: float) -> None:
    """Put a roof (gable, hip or none), chimneys and aerials on a wall whose upper edge is level, at `top`."""
    own, light, u, wide = np.random.default_rng(int(rng.integers(2**62))), canvas.light, canvas.unit, right - left
    tiles = light.on(pick(own, ((130, 66, 48), (80, 78, 82), (96, 70, 56), (60, 62, 70), (150, 146, 140))), 0.6)
    inset = wide * own.choice([0.5, 0.3, 0.12, 0.0])
    if inset:
        eave = 0.03 * wide
        canvas.fill(
            [[left - eave, top], [left + inset, top - tall], [right - inset, top - tall], [right + eave, top]], tiles
        )
    level = top - tall * 0.6 if inset else top
    for _ in range(int(own.integers(0, 3))):
        cx, cw, ch = left + wide * own.uniform(0.2, 0.75), wide * own.uniform(0.04, 0.09), tall * own.uniform(0.3, 0.9)
        canvas.fill(rect(cx, level - ch, cx + cw, level), tiles * 0.7)
    if own.random() < 0.5:
        ax, ah = left + wide * own.uniform(0.3, 0.7), tall * own.uniform(0.8, 2)
        arms = [
            [[ax - k * ah * 0.12, level - ah * y], [ax + k * ah * 0.12, level - ah * y]]
            for k, y in ((1, 0.95), (2, 0.85), (1.5, 0.75))
        ]
        canvas.strokes([[[ax, level], [ax, level - ah]], *arms], 0.5 * u, light.on(linear(60, 60, 60)))


def mast(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a lattice mast or a pylon of `tall` pixels on (x, y)."""
    own, light, u = np.random.default_rng(int(rng.integers(2**62))), canvas.light, canvas.unit
    steel = light.on(pick(own, ((120, 124, 128), (80, 82, 86), (170, 60, 50), (190, 192, 194))), 0.5)
    foot, cells = tall * own.uniform(0.06, 0.14), int(own.integers(8, 15))
    t = np.linspace(0, 1, cells + 1) ** 0.85
    half, level = foot * (1 - t) ** 1.3 + foot * 0.1, y - tall * t
    left, right = np.stack([x - half, level], -1), np.stack([x + half, level], -1)
    legs = [np.stack([s[:-1], s[1:]], 1) for s in (left, right)]
    braces = [np.stack([left[:-1], right[1:]], 1), np.stack([right[:-1], left[1:]], 1), np.stack([left, right], 1)]
    canvas.strokes(np.concatenate(legs), max(tall * 0.007, 0.5 * u), steel)
    canvas.strokes(np.concatenate(braces), max(tall * 0.003, 0.35 * u), steel)
    if own.random() < 0.6:  # arms for wires
        for t0, reach in ((0.6, 0.17), (0.75, 0.14), (0.9, 0.11)):
            ly, r = y - tall * t0, tall * reach
            tip = ly - tall * 0.01
            canvas.strokes(
                [
                    [[x - r, tip], [x, ly - tall * 0.04]],
                    [[x + r, tip], [x, ly - tall * 0.04]],
                    [[x - r, tip], [x + r, tip]],
                    [[x - r, tip], [x - r, tip + tall * 0.03]],
                    [[x + r, tip], [x + r, tip + tall * 0.03]],
                ],
                max(tall * 0.004, 0.4 * u),
                steel,
            )
    else:
        canvas.strokes([[[x, y - tall], [x, y - tall * 1.15]]], max(tall * 0.004, 0.4 * u), steel)
        for t0 in own.uniform(0.7, 0.98, 4):
            px, pr = x + own.choice([-1, 1]) * foot * 0.4, tall * 0.015
            canvas.fill(
                rect(px - pr, y - tall * t0, px + pr, y - tall * t0 + pr * 3), light.on(linear(220, 220, 220), 0.6)
            )


def wires(canvas: Canvas, rng: Rng, ends: list[tuple[np.ndarray, np.ndarray]], sag: float, thickness: float) -> None:
    """Hang wires between pairs of points; `sag` in pixels."""
    t = np.linspace(0, 1, 24)[:, None]
    lines = [a * (1 - t) + b * t + np.array([0, 1]) * sag * 4 * t * (1 - t) for a, b in ends]
    canvas.strokes(np.stack(lines), thickness, canvas.light.on(linear(40, 40, 42), 0.3))


def lamp(canvas: Canvas, rng: Rng, x: float, y: float, tall: float, side: int) -> None:
    """Stand a street lamp of `tall` pixels on (x, y), its arm to `side` (-1 or 1)."""
    light, u = canvas.light, canvas.unit
    steel = light.on(pick(rng, ((90, 94, 96), (50, 54, 52), (150, 152, 154))), 0.5)
    arm, thick = side * tall * rng.uniform(0.1, 0.3), max(tall * 0.014, 0.5 * u)
    bend = [[x, y - tall * 0.9], [x + arm * 0.2, y - tall * 0.97], [x + arm * 0.6, y - tall], [x + arm, y - tall]]
    canvas.strokes([[[x, y], [x, y - tall * 0.6]]], thick * 1.3, steel)
    canvas.strokes([[[x, y - tall * 0.6], [x, y - tall * 0.9]]], thick, steel)
    canvas.strokes([bend], thick * 0.8, steel)
    head = linear(255, 214, 150) * 3 if light.night else steel * 1.3
    canvas.strokes([[[x + arm * 0.9, y - tall], [x + arm * 1.25, y - tall]]], thick * 1.8, head)


def car(canvas: Canvas, rng: Rng, x: float, y: float, long: float) -> None:
    """Park a car `long` pixels from bumper to bumper, its wheels on (x, y)."""
    own, light = np.random.default_rng(int(rng.integers(2**62))), canvas.light
    body = light.on(
        pick(
            own,
            (
                (200, 200, 204),
                (40, 42, 46),
                (150, 28, 30),
                (40, 62, 110),
                (120, 124, 128),
                (235, 235, 235),
                (70, 90, 70),
            ),
        ),
        0.6,
    )
    van, flip = own.random() < 0.25, own.choice([-1.0, 1.0])

    def at(points):
        return np.array(points) * [long * flip, -long] + [x, y]

    canvas.fill(at([[-0.52, 0.0], [0.52, 0.0], [0.5, 0.08], [-0.5, 0.08]]), light.on(linear(25, 25, 27)), 0.85)
    top = 0.42 if van else 0.34
    canvas.fill(
        at(
            [
                [-0.5, 0.07],
                [-0.5, 0.2],
                [-0.42, 0.24],
                [-0.3, top],
                [0.1 + 0.2 * van, top],
                [0.26 + 0.1 * van, 0.23],
                [0.46, 0.2],
                [0.5, 0.15],
                [0.5, 0.07],
            ]
        ),
        body,
    )
    canvas.fill(
        at([[-0.36, 0.235], [-0.28, top - 0.025], [0.08 + 0.2 * van, top - 0.025], [0.2 + 0.12 * van, 0.235]]),
        light.on(linear(50, 58, 66), 0.7),
    )
    canvas.strokes(at([[-0.08, 0.1], [-0.08, top]])[None], long * 0.015, body * 0.7)
    canvas.strokes(at([[-0.48, 0.13], [0.48, 0.13]])[None], long * 0.02, body * 0.65)
    turn = np.linspace(0, 2 * np.pi, 16)
    for cx in (-0.31, 0.3):
        wheel = np.stack([np.cos(turn), np.sin(turn)], -1)
        canvas.fill(at(wheel * 0.085 + [cx, 0.085]), light.on(linear(28, 28, 30)))
        canvas.fill(at(wheel * 0.045 + [cx, 0.085]), light.on(linear(130, 130, 134)))
    if light.night:
        canvas.strokes(at([[0.47, 0.15], [0.5, 0.15]])[None], long * 0.05, linear(255, 240, 200) * 2)


def person(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a person of `tall` pixels on (x, y)."""
    own, light = np.random.default_rng(int(rng.integers(2**62))), canvas.light
    coat, legs = (
        light.on(
            pick(own, ((150, 40, 40), (40, 50, 80), (200, 200, 195), (50, 50, 52), (70, 110, 150), (190, 150, 60)))
        )
        for _ in (0, 1)
    )
    step = own.uniform(0.03, 0.12)
    canvas.strokes(
        np.array([[[-step, 0], [0, 0.48]], [[step, 0], [0, 0.48]]]) * [tall, -tall] + [x, y], tall * 0.09, legs * 0.7
    )
    canvas.strokes(np.array([[[0, 0.5], [0, 0.76]]]) * [tall, -tall] + [x, y], tall * 0.19, coat)
    canvas.strokes(
        np.array([[[-0.1, 0.78], [-0.13, 0.48]], [[0.1, 0.78], [0.13, 0.48]]]) * [tall, -tall] + [x, y],
        tall * 0.06,
        coat * 0.8,
    )
    canvas.strokes(
        np.array([[[0, 0.9], [0, 0.93]]]) * [tall, -tall] + [x, y],
        tall * 0.12,
        light.on(pick(own, ((205, 160, 130), (110, 78, 60), (60, 40, 30)))),
    )


def block(canvas: Canvas, rng: Rng, left: float, top: float, wide: float, tall: float, far: float) -> None:
    """Stand a building of a skyline with its foot at top + tall; `far` 0 (here) to 1 (lost in the haze)."""
    own, light, u = np.random.default_rng(int(rng.integers(2**62))), canvas.light, canvas.unit
    floors, bays = int(np.clip(tall / (9 * u), 3, 26)), int(np.clip(wide / (8 * u), 2, 12))
    front = facade(own, light, floors, bays, pick(own, WALLS), own.uniform(0.15, 0.9))
    haze = light.haze
    front = front + far * (haze - front)
    split = own.uniform(0.6, 1.0)  # a side turned from the sun makes a box of it
    mid, bottom = left + wide * split, top + tall
    if split < 0.9:
        lay(canvas, front * 0.55, [[mid, top], [left + wide, top + 0.01 * tall], [left + wide, bottom], [mid, bottom]])
    else:
        mid = left + wide
    lay(canvas, front, rect(left, top, mid, bottom))
    dark, roll = front.mean((0, 1)) * 0.6, own.random()
    if roll < 0.25:
        for k, share in enumerate((0.7, 0.4)):
            s, hgt = wide * share / 2, wide * 0.18
            c, y = left + wide / 2, top - k * hgt
            canvas.fill(rect(c - s, y - hgt, c + s, y + 1), dark * 1.4)
        canvas.strokes(
            [[[left + wide / 2, top], [left + wide / 2, top - wide * own.uniform(0.8, 2)]]],
            max(0.02 * wide, 0.4 * u),
            dark,
        )
    elif roll < 0.45:
        canvas.fill(
            [[left, top + 0.5], [left + wide / 2, top - wide * own.uniform(0.3, 1.5)], [left + wide, top + 0.5]], dark
        )
    elif roll < 0.8:
        for _ in range(int(own.integers(1, 4))):
            bx, bw, bh = (
                left + wide * own.uniform(0.05, 0.7),
                wide * own.uniform(0.08, 0.3),
                wide * own.uniform(0.05, 0.2),
            )
            canvas.fill(rect(bx, top - bh, bx + bw, top + 1), dark)
        canvas.strokes([[[left + wide * 0.4, top], [left + wide * 0.4, top - wide * 0.5]]], 0.5 * u, dark)
