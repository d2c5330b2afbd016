"""Buildings: fronts with windows, houses and towers of a skyline, roofs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.parts.canvas import Canvas, rect
from scenes.parts.light import Light, linear, pick
from scenes.parts.noise import Rng, fbm, fork

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


@dataclass(frozen=True)
class _Windows:
    """How the windows of one front look; sizes in pixels of the texture, colors linear RGB (3,)."""

    wall: np.ndarray
    trim: np.ndarray
    width: int
    height: int
    ribbon: bool  # a band of glass along every floor
    glass: np.ndarray
    lit_share: float  # of the windows, at night
    shutters: bool
    balconies: bool
    shade: np.ndarray  # color of the shutters

    def draw(self, rng: Rng, front: np.ndarray, glow: np.ndarray, x: int, y: int) -> None:
        """Put a window with its upper left corner at (x, y) on the front, and its light into the glow, in place."""
        right, bottom = x + self.width, y + self.height
        if self.shutters:
            front[y:bottom, max(x - 4, 0) : right + 4] = self.shade
        front[y - 1 : bottom + 1, x - 1 : right + 1] = self.trim
        pane = self.glass * rng.uniform(0.5, 1.6)
        if rng.random() < 0.2:
            pane = pane * 0.4 + 0.3 * linear(230, 225, 215)  # a curtain
        fade = np.linspace(1.3, 0.7, self.height, dtype=np.float32)[:, None, None]
        front[y:bottom, x:right] = pane * fade
        front[y:bottom, x + self.width // 2] = self.trim
        if rng.random() < self.lit_share:
            glow[y:bottom, x:right] = linear(255, 205 + rng.normal(0, 20), 140) * rng.uniform(0.05, 0.45) * fade
        front[bottom : bottom + 2, x - 2 : right + 2] = self.trim * 0.8
        if self.balconies:
            front[bottom - 5 : bottom, x - 3 : right + 3 : 2] = 0.03
            front[bottom : bottom + 2, x - 3 : right + 3] = self.wall * 0.5


def facade(rng: Rng, light: Light, floors: int, bays: int, wall: np.ndarray, facing: float) -> np.ndarray:
    """Front of a building seen square on, (28 * floors, 24 * bays, 3) linear RGB: windows, sills, perhaps shops."""
    own = fork(rng)
    h, w = 28 * floors, 24 * bays
    front, glow = np.empty((h, w, 3), np.float32), np.zeros((h, w, 3), np.float32)
    front[:] = wall
    front *= (1 + 0.07 * fbm(own, h, w, 12, 5, 0.8) + own.normal(0, 0.03, (h, w)))[..., None]
    if own.random() < 0.35:  # courses of brick or stone
        front[:: int(own.integers(3, 8))] *= 0.86
    windows = _Windows(  # drawn in this order
        wall=wall,
        trim=wall * own.uniform(0.6, 1.35) if own.random() < 0.6 else linear(225, 222, 215),
        width=int(own.integers(8, 19)),
        height=int(own.integers(11, 21)),
        ribbon=own.random() < 0.2,
        glass=pick(own, ((40, 46, 56), (70, 84, 100), (28, 30, 34), (110, 135, 160))),
        lit_share=own.uniform(0.1, 0.6) if light.night else 0.0,
        shutters=own.random() < 0.25,
        balconies=own.random() < 0.3,
        shade=pick(own, ((60, 80, 60), (70, 60, 50), (90, 100, 120), (150, 150, 145))),
    )
    for floor in range(floors):
        y = 28 * floor + (28 - windows.height) // 2
        if own.random() < 0.3:
            front[28 * floor : 28 * floor + 2] = windows.trim
        if windows.ribbon:
            front[y : y + windows.height] = windows.glass * own.uniform(0.7, 1.4)
        for bay in range(bays):
            windows.draw(own, front, glow, 24 * bay + (24 - windows.width) // 2, y)
    if own.random() < 0.55:
        _shops(own, front, glow, windows.glass, light.night)
    front[:3] = windows.trim * 1.05
    return light.on(front.clip(0, 1), facing) + glow


def _shops(rng: Rng, front: np.ndarray, glow: np.ndarray, glass: np.ndarray, night: bool) -> None:
    """Put shop windows and a sign on the ground floor, in place."""
    front[-26:] = pick(rng, WALLS) * 0.6
    for x in range(2, front.shape[1] - 12, int(rng.integers(20, 46))):
        front[-20:, x : x + 16] = glass * rng.uniform(0.4, 1.2)
        if night:
            glow[-18:-2, x : x + 16] = linear(255, 220, 170) * rng.uniform(0.0, 0.5)
    front[-26:-21] = pick(rng, ((150, 40, 36), (40, 70, 120), (40, 90, 60), (210, 200, 180), (60, 60, 60)))


def block(canvas: Canvas, rng: Rng, left: float, top: float, wide: float, tall: float, far: float) -> None:
    """Stand a building of a skyline with its foot at top + tall; `far` 0 (here) to 1 (lost in the haze)."""
    own, light, u = fork(rng), canvas.light, canvas.unit
    floors, bays = int(np.clip(tall / (9 * u), 3, 26)), int(np.clip(wide / (8 * u), 2, 12))
    front = facade(own, light, floors, bays, pick(own, WALLS), own.uniform(0.15, 0.9))
    front = front + far * (light.haze - front)
    split = own.uniform(0.6, 1.0)  # a side turned from the sun makes a box of it
    middle, right, bottom = left + wide * split, left + wide, top + tall
    if split < 0.9:
        canvas.lay(front * 0.55, [[middle, top], [right, top + 0.01 * tall], [right, bottom], [middle, bottom]])
    else:
        middle = right
    canvas.lay(front, rect(left, top, middle, bottom))
    _crown(canvas, own, left, top, wide, front.mean((0, 1)) * 0.6)


def _crown(canvas: Canvas, rng: Rng, left: float, top: float, wide: float, dark: np.ndarray) -> None:
    """End a tower in steps and a mast, in a point, in boxes and an aerial, or flat."""
    roll, middle, right = rng.random(), left + wide / 2, left + wide
    if roll < 0.25:
        for k, share in enumerate((0.7, 0.4)):
            half, high = wide * share / 2, wide * 0.18
            y = top - k * high
            canvas.fill(rect(middle - half, y - high, middle + half, y + 1), dark * 1.4)
        spire = [[middle, top], [middle, top - wide * rng.uniform(0.8, 2)]]
        canvas.strokes([spire], max(0.02 * wide, 0.4 * canvas.unit), dark)
    elif roll < 0.45:
        canvas.fill([[left, top + 0.5], [middle, top - wide * rng.uniform(0.3, 1.5)], [right, top + 0.5]], dark)
    elif roll < 0.8:
        for _ in range(int(rng.integers(1, 4))):
            x, w = left + wide * rng.uniform(0.05, 0.7), wide * rng.uniform(0.08, 0.3)
            canvas.fill(rect(x, top - wide * rng.uniform(0.05, 0.2), x + w, top + 1), dark)
        canvas.strokes([[[left + wide * 0.4, top], [left + wide * 0.4, top - wide * 0.5]]], 0.5 * canvas.unit, dark)


def house(canvas: Canvas, rng: Rng, x: float, y: float, wide: float, tall: float, scale: float) -> None:
    """Stand a house of wide x tall pixels with its lower left corner at (x, y); `scale` is pixels per eye height."""
    floors, bays = max(1, round(tall / scale * 2)), max(2, round(wide / scale * 2))
    front = facade(rng, canvas.light, floors, bays, pick(rng, WALLS), 0.7)
    canvas.lay(front, rect(x, y - tall, x + wide, y))
    roof(canvas, rng, x, x + wide, y - tall, tall * rng.uniform(0.2, 0.7))


def roof(canvas: Canvas, rng: Rng, left: float, right: float, top: float, tall: float) -> None:
    """Put a roof (gable, hip or none), chimneys and aerials on a wall whose upper edge is level, at `top`."""
    own, light, wide = fork(rng), canvas.light, right - left
    tiles = light.on(pick(own, ((130, 66, 48), (80, 78, 82), (96, 70, 56), (60, 62, 70), (150, 146, 140))), 0.6)
    inset = wide * own.choice([0.5, 0.3, 0.12, 0.0])
    if inset:
        eave, ridge = 0.03 * wide, top - tall
        canvas.fill([[left - eave, top], [left + inset, ridge], [right - inset, ridge], [right + eave, top]], tiles)
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
        canvas.strokes([[[ax, level], [ax, level - ah]], *arms], 0.5 * canvas.unit, light.on(linear(60, 60, 60)))


def steeple(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a church tower of `tall` pixels on (x, y), with a cross on top."""
    wide, eaves, top = tall * rng.uniform(0.08, 0.14), y - tall * 0.6, y - tall
    canvas.lay(facade(rng, canvas.light, 7, 2, pick(rng, WALLS), 0.6), rect(x - wide, eaves, x + wide, y))
    slate = canvas.light.on(pick(rng, ((80, 90, 96), (110, 130, 116), (120, 60, 46))), 0.5)
    canvas.fill([[x - wide * 1.1, eaves], [x, top], [x + wide * 1.1, eaves]], slate)
    arm = y - tall * 1.04
    cross = [[[x, top], [x, y - tall * 1.07]], [[x - wide * 0.2, arm], [x + wide * 0.2, arm]]]
    canvas.strokes(cross, 0.6 * canvas.unit, slate)
