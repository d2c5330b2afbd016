"""Kinds of scene without sky: out of doors, and things from close by."""

from __future__ import annotations

import cv2
import numpy as np

from scenes.parts.buildings import WALLS, facade
from scenes.parts.canvas import Canvas
from scenes.parts.land import LANDS, flat_line, ground, plane, road
from scenes.parts.light import pick
from scenes.parts.noise import Rng, fbm, fork, smooth
from scenes.parts.roadside import car, person
from scenes.parts.trees import BARK, LEAVES, tree, treeline

TONES = (
    (150, 60, 44),
    (60, 90, 140),
    (200, 180, 150),
    (90, 110, 60),
    (230, 228, 222),
    (110, 80, 60),
    (200, 160, 60),
    (60, 60, 64),
    (130, 170, 200),
)


def wall(canvas: Canvas, rng: Rng) -> None:
    """Outdoors without sky: a front that fills the image, a wood from inside, or ground alone."""
    roll = rng.random()
    if roll < 0.5:
        _front(canvas, rng)
    elif roll < 0.75:
        _inside_wood(canvas, rng)
    else:
        _bare_ground(canvas, rng)


def _front(canvas: Canvas, rng: Rng) -> None:
    """A building from left to right, with cars, trees or people before it."""
    h, w = canvas.height, canvas.width
    foot = rng.uniform(0.75, 1.1) * h
    floors, bays = int(rng.integers(2, 6)), int(rng.integers(3, 10))
    front = facade(rng, canvas.light, floors, bays, pick(rng, WALLS), rng.uniform(0.2, 0.9))
    skew = np.abs(rng.normal(0, 0.12, 4) * h)
    left, right = -0.1 * w, 1.1 * w
    upper = [[left, -skew[0] - 2], [right, -skew[1] - 2]]
    canvas.lay(front, [*upper, [right, foot + skew[2]], [left, foot + skew[3]]])
    canvas.horizon = 0.45
    edge = flat_line(canvas, rng, min(foot / h, 0.98), 0.0)
    canvas.below(edge, plane(canvas, rng, 0.45, pick(rng, ((140, 136, 130), (96, 96, 98))), 0.12, 2))
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0, 1) * w, rng.uniform(foot / h, 1.1) * h
        item = rng.random()
        if item < 0.4:
            car(canvas, rng, x, y, rng.uniform(0.2, 0.5) * w)
        elif item < 0.7:
            tree(canvas, rng, x, y, rng.uniform(0.4, 1) * h, float(rng.choice([0, 0.7])))
        else:
            person(canvas, rng, x, y, rng.uniform(0.15, 0.35) * h)


def _inside_wood(canvas: Canvas, rng: Rng) -> None:
    """Trunks before leaves that let no sky through."""
    h, w = canvas.height, canvas.width
    leaf, clump = fbm(rng, h, w, 40, 5, 0.8), fbm(rng, h, w, 5, 4)
    green = pick(rng, LEAVES) * (1 + 0.5 * leaf + 0.6 * clump).clip(0.05, 3)[..., None]
    canvas.everywhere(canvas.light.on(green, np.clip(0.4 + 0.4 * clump, 0, 1)))
    canvas.horizon = rng.uniform(0.4, 0.65)
    treeline(canvas, rng, canvas.horizon + 0.1, 0.3, 0.1, rng.random() < 0.5)
    ground(canvas, rng, canvas.horizon + 0.08, 0.03)
    for x in rng.uniform(0, 1, int(rng.integers(3, 12))) * w:
        y, wide = rng.uniform(canvas.horizon + 0.1, 1.05) * h, rng.uniform(0.004, 0.03) * w
        bark = canvas.light.on(pick(rng, BARK) * (1 + 0.4 * leaf)[..., None].clip(0.2), 0.4)
        canvas.fill([[x - wide * 1.3, y], [x - wide, -5], [x + wide * 0.8, -5], [x + wide * 1.3, y]], bark)


def _bare_ground(canvas: Canvas, rng: Rng) -> None:
    """Looking down: land, perhaps a road, people."""
    h, w = canvas.height, canvas.width
    canvas.horizon = rng.uniform(-0.8, -0.1)
    first, second = LANDS[int(rng.integers(len(LANDS)))]
    canvas.everywhere(plane(canvas, rng, canvas.horizon, pick(rng, (first,)), 0.25, 1.5, pick(rng, (second,))))
    if rng.random() < 0.4:
        road(canvas, rng, canvas.horizon, rng.uniform(0.2, 0.8) * w, rng.uniform(0.3, 0.7))
    for _ in range(int(rng.integers(0, 4))):
        person(canvas, rng, rng.uniform(0, 1) * w, rng.uniform(0.5, 1) * h, rng.uniform(0.2, 0.4) * h)


def closeup(canvas: Canvas, rng: Rng) -> None:
    """Cloth, bark, stones, leaves or things before a blurred ground."""
    h, w, roll = canvas.height, canvas.width, rng.random()
    a, b = pick(rng, TONES), pick(rng, TONES)
    if roll >= 0.15:  # but for stripes, two tones of one thing: white flecks on blue would be clouds
        b = a * rng.uniform(0.25, 0.7, 3).astype(np.float32)
    clump = fbm(rng, h, w, rng.uniform(2, 8), 6, rng.uniform(0.5, 0.8), float(rng.choice([1, 4, 0.25])))
    mix = smooth(clump, -0.7, 0.7)[..., None]
    if roll < 0.3:
        _cloth(canvas, rng, a, b, clump, None if roll < 0.15 else mix)
        return
    body = (a + mix * (b - a)) * (1 + 0.3 * clump).clip(0.1)[..., None]
    canvas.everywhere(canvas.light.on(body, np.clip(0.5 + 0.4 * clump, 0, 1)))
    if roll < 0.5:  # bark, soil, fur: the noise alone, with relief
        relief = cv2.Sobel(fbm(rng, h, w, 12, 5, 0.75, float(rng.choice([1, 3, 0.3]))), cv2.CV_32F, 1, 1, ksize=3)
        canvas.paint *= (1 + 0.5 * relief).clip(0.2, 2)[..., None]
    elif roll < 0.75:
        _leaf_layers(canvas, fork(rng), pick(rng, LEAVES))
    else:
        canvas.paint[:] = cv2.GaussianBlur(canvas.paint, (0, 0), rng.uniform(4, 14) * canvas.unit)  # out of focus
        _balls(canvas, fork(rng), clump)


def _cloth(canvas: Canvas, rng: Rng, a: np.ndarray, b: np.ndarray, clump: np.ndarray, mix: np.ndarray | None) -> None:
    """Cloth of two colors with folds and weave, mixed as `mix` (h, w, 1) says or, where None, in stripes."""
    h, w = canvas.height, canvas.width
    fold = fbm(rng, h, w, 3, 3, 0.5, float(rng.choice([1, 0.3])))
    pitch = rng.uniform(2.5, 9) * canvas.unit
    x, y = np.arange(w)[None] + 4 * fold, np.arange(h)[:, None] + 4 * clump
    weave = 1 + 0.18 * np.sin(x * 2 * np.pi / pitch) * np.sin(y * 2 * np.pi / pitch)
    if mix is None:
        mix = smooth(np.sin(x * 2 * np.pi / (pitch * 9)), -0.1, 0.1)[..., None]
    canvas.everywhere(canvas.light.on((a + mix * (b - a)) * weave[..., None], np.clip(0.5 + 0.5 * fold, 0, 1)))


def _leaf_layers(canvas: Canvas, rng: Rng, green: np.ndarray) -> None:
    """Leaves in four layers, the nearest the largest and brightest."""
    h, w, light = canvas.height, canvas.width, canvas.light
    t = np.linspace(0, np.pi, 10)
    upper, lower = np.stack([-np.cos(t), 0.32 * np.sin(t)], -1), np.stack([np.cos(t), -0.32 * np.sin(t)], -1)
    edge, vein = np.concatenate([upper, lower]), np.array([[-1, 0], [1, 0]])
    for size, tone in ((0.07, 0.4), (0.09, 0.7), (0.12, 1.0), (0.14, 1.3)):
        n = int(rng.integers(8, 26))
        places = rng.uniform(0, w, n), rng.uniform(0, h, n), rng.uniform(0, 2 * np.pi, n)
        for x, y, turn in zip(*places, strict=True):
            long = size * w * rng.uniform(0.5, 1.2)
            spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
            lit = light.on(green * tone * rng.uniform(0.7, 1.3), rng.uniform(0.3, 0.9))
            canvas.fill(edge @ spin.T * long + [x, y], lit)
            canvas.strokes([vein @ spin.T * long + [x, y]], 0.02 * long, light.on(green * tone * 1.5, 0.5))


def _balls(canvas: Canvas, rng: Rng, clump: np.ndarray) -> None:
    """Round things with a highlight: fruit, stones, balls."""
    h, w = canvas.height, canvas.width
    xs, ys = canvas.xs * w, canvas.ys * h
    for _ in range(int(rng.integers(2, 30))):
        x, y, r = rng.uniform(0, w), rng.uniform(0.2, 1.1) * h, rng.uniform(0.03, 0.2) * w
        cover = smooth(np.hypot(xs - x, (ys - y) * rng.uniform(0.8, 1.25)), r + 0.7, r - 0.7)
        ball = np.clip(1 - ((xs - x + 0.4 * r) ** 2 + (ys - y + 0.5 * r) ** 2) / (3.2 * r * r), 0, 1)
        body = pick(rng, TONES) * (0.35 + 0.8 * ball + 0.1 * clump).clip(0.02)[..., None]
        canvas.over(cover, canvas.light.on(body, 0.5) + (ball**20 * 0.5)[..., None])


def flat(canvas: Canvas, rng: Rng) -> None:
    """Frames that show nothing: black (a lens cap, a fade), a plain brown, red or green, or a slope between two of them.

    Blue, white and light gray are left out: a frame of them may be the sky itself.
    """
    tones = np.sort(rng.uniform(0, 1, (2, 3)) ** 2, axis=1)[:, ::-1].astype(np.float32)  # red most, blue least
    if rng.random() < 0.3:
        tones = tones[:, [1, 0, 2]]
    tones *= (0.0, 0.02, 0.3, 0.8)[int(rng.integers(4))]
    turn = rng.uniform(0, 2 * np.pi)
    slope = np.clip(0.5 + (canvas.xs - 0.5) * np.cos(turn) + (canvas.ys - 0.5) * np.sin(turn), 0, 1) * (rng.random() < 0.5)
    canvas.everywhere(tones[0] + slope[..., None].astype(np.float32) * (tones[1] - tones[0]))
