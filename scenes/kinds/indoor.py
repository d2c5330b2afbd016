"""The kind of scene that is a room: walls in perspective, what hangs on them, furniture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.parts.buildings import WALLS
from scenes.parts.canvas import Canvas, rect
from scenes.parts.light import Light, linear, pick
from scenes.parts.noise import Rng, fbm, smooth

BACKLIT = ((252, 252, 252), (235, 242, 252), (250, 240, 222), (222, 234, 246))  # glass or curtain before the light
ROOM_WALLS = (
    (238, 236, 230),
    (245, 245, 246),
    (170, 195, 220),
    (205, 220, 235),
    (225, 210, 180),
    (190, 200, 180),
    (200, 170, 150),
    (120, 150, 190),
)


@dataclass(frozen=True)
class _Room:
    """Corners of the far and of the (unseen) near wall, (4, 2) pixels as in `rect`, and where their lines meet."""

    back: np.ndarray
    near: np.ndarray
    vanish: np.ndarray


def indoor(canvas: Canvas, rng: Rng) -> None:
    """A room in perspective. Its windows are frosted, curtained or blown out: bright, but there is no sky in them."""
    h, w, light = canvas.height, canvas.width, canvas.light
    x0, x1 = rng.uniform(-0.05, 0.3) * w, rng.uniform(0.65, 1.05) * w
    y0, y1 = rng.uniform(-0.05, 0.25) * h, rng.uniform(0.6, 0.85) * h
    vanish = np.array([rng.uniform(0.4, 0.6) * (x0 + x1), rng.uniform(0.45, 0.6) * (y0 + y1)])
    wall, back = pick(rng, ROOM_WALLS), np.array(rect(x0, y0, x1, y1))
    room = _Room(back, vanish + (back - vanish) * rng.uniform(3.5, 6), vanish)
    canvas.everywhere(wall * 0.5)
    _line_room(canvas, rng, room, wall)
    canvas.strokes([[back[3], back[2]], [back[0], back[1]]], 1.5 * canvas.unit, light.on(wall * 0.6, 0.3))
    edges = [[a, b] for a, b in zip(back, room.near, strict=True)]
    canvas.strokes(edges, 1.2 * canvas.unit, light.on(wall * 0.5, 0.3))
    for t in np.sort(rng.uniform(0.0, 1.2, int(rng.integers(2, 7)))):
        _box(canvas, rng, room, float(t))
    for _ in range(int(rng.integers(0, 3))):  # lamps
        x, y = rng.uniform(0.1, 0.9) * w, rng.uniform(0.02, 0.2) * h
        halo = np.exp(-np.hypot(canvas.xs - x / w, (canvas.ys - y / h) * h / w) * 14)
        canvas.paint += halo[..., None] * linear(255, 230, 190) * 0.5 * (1 - canvas.alpha)[..., None]
        r = 0.012 * w
        canvas.strokes([[[x - r, y], [x + r, y]]], r, linear(255, 244, 220) * 1.5)


def _line_room(canvas: Canvas, rng: Rng, room: _Room, wall: np.ndarray) -> None:
    """Lay floor, ceiling and three walls."""
    back, near, light = room.back, room.near, canvas.light
    woods = ((150, 110, 76), (180, 150, 110), (190, 188, 182), (110, 110, 116), (120, 60, 50))
    floor = _sheet(rng, light, pick(rng, woods), 0.4, 0.15, 256)
    step = int(rng.integers(8, 40))
    floor[:, ::step] *= 0.6
    if rng.random() < 0.5:
        floor[::step] *= 0.6
    ceiling = _sheet(rng, light, pick(rng, ((245, 245, 242), (230, 228, 220), (250, 250, 250))), 0.35)
    left, right, front = (_sheet(rng, light, wall, facing) for facing in (0.25, 0.6, 0.45))
    for texture in (left, right, front):
        _hang(rng, texture, light)
    canvas.lay(floor, [back[3], back[2], near[2], near[3]])
    canvas.lay(ceiling, [near[0], near[1], back[1], back[0]])
    canvas.lay(left, [near[0], back[0], back[3], near[3]])
    canvas.lay(right, [back[1], near[1], near[2], back[2]])
    canvas.lay(front, back)


def _sheet(rng: Rng, light: Light, color: np.ndarray, facing: float, grain: float = 0.03, size: int = 160) -> np.ndarray:
    """Surface (size, size, 3) that a lamp lights from one spot."""
    spot_x, spot_y = (np.linspace(-1, 1, size) - rng.normal(0, 0.6) for _ in range(2))
    glow = np.exp(-np.hypot(*np.meshgrid(spot_x, spot_y)) * rng.uniform(0.3, 1.2))
    return light.on(color * ((0.4 + 0.8 * glow) * (1 + grain * fbm(rng, size, size, 20, 3)))[..., None], facing)


def _hang(rng: Rng, sheet: np.ndarray, light: Light) -> None:
    """Put windows, doors or paintings on a wall, in place."""
    size = sheet.shape[0]
    for _ in range(int(rng.integers(0, 4))):
        x, y = int(rng.uniform(0.05, 0.7) * size), int(rng.uniform(0.12, 0.45) * size)
        wide, tall = int(rng.uniform(0.1, 0.3) * size), int(rng.uniform(0.12, 0.4) * size)
        frame = light.on(pick(rng, ((240, 240, 238), (90, 66, 48), (40, 40, 42), (180, 150, 90))), 0.5)
        box = sheet[y : y + tall, x : x + wide]
        if rng.random() < 0.45:
            _window(rng, box, frame, light.night)
        else:
            box[:] = frame
            inner = box[3:-3, 3:-3]
            if inner.size:
                a, b = pick(rng, WALLS), pick(rng, ((60, 90, 140), (150, 60, 40), (90, 110, 60), (30, 30, 40)))
                height, width = inner.shape[:2]
                mix = smooth(fbm(rng, height, width, 4, 4), -0.5, 0.5)[..., None]
                inner[:] = light.on(a + mix * (b - a), 0.4)


def _window(rng: Rng, box: np.ndarray, frame: np.ndarray, night: bool) -> None:
    """Make a window of plain bright glass or cloth of a part (h, w, 3) of a wall, in place."""
    height, width = box.shape[:2]
    bright = 0.03 if night else rng.uniform(0.7, 2.0)
    glass = linear(*BACKLIT[int(rng.integers(len(BACKLIT)))])
    box[:] = glass * bright * (1 + 0.04 * fbm(rng, height, width, 8, 3))[..., None]
    if rng.random() < 0.5:  # folds of a curtain
        box *= (0.8 + 0.2 * np.sin(np.arange(width) * rng.uniform(0.4, 1.5)))[None, :, None]
    for bar in (slice(width // 2 - 1, width // 2 + 1), slice(0, 2), slice(-2, None)):
        box[:, bar] = frame
    box[:2], box[-2:], box[height // 2] = frame, frame, frame


def _box(canvas: Canvas, rng: Rng, room: _Room, t: float) -> None:
    """Stand a box of furniture on the floor; t 0 = at the back wall, larger = nearer."""
    light, scale = canvas.light, 1 + t * 1.2
    wide, floor = float(room.back[1, 0] - room.back[0, 0]), float(room.back[3, 1])
    left = rng.uniform(0, 0.9) * wide + room.back[0, 0]
    right = left + rng.uniform(0.1, 0.4) * wide
    top = floor - rng.uniform(0.1, 0.5) * wide * 0.6
    color = pick(rng, ((120, 84, 56), (230, 228, 224), (60, 62, 70), (150, 60, 50), (80, 100, 130), (170, 150, 120)))
    corners = np.array(rect(left, top, right, floor)) - room.vanish
    front, back = room.vanish + corners * scale, room.vanish + corners * (scale * rng.uniform(0.75, 0.9))
    canvas.fill([back[0], back[1], front[1], front[0]], light.on(color, 0.8))
    upper, lower = (1, 2) if right < room.vanish[0] else (0, 3)  # the side that faces the middle of the room
    canvas.fill([back[upper], front[upper], front[lower], back[lower]], light.on(color * 0.6, 0.2))
    canvas.fill(front, light.on(color, 0.4))
    if rng.random() < 0.6:  # drawers or shelves
        for k in np.linspace(0.1, 0.9, int(rng.integers(3, 6))):
            shelf = [front[0] * (1 - k) + front[3] * k, front[1] * (1 - k) + front[2] * k]
            canvas.strokes([shelf], 1.2 * canvas.unit, light.on(color * 0.35, 0.3))
