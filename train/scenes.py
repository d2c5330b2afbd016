"""Procedural scenes with exact sky masks: a seed in, a picture and the sky's share of every pixel out.

They are the data of `make demo` and of the tests, a part of the training mix, and the golden inputs. A scene is layered
in linear light as alpha * sky + (1 - alpha) * foreground (`train.scene_parts.Canvas`), so alpha is exact by
construction; whatever the camera does that moves light between pixels (tilt, blur) is done to alpha as well. The same
seed gives the same bytes on one machine with one set of package versions; elsewhere a last bit may differ.

As a command it writes a data set in the layout of the trainer::

    python train/scenes.py --out DIR --count 200 --split train

    DIR/SPLIT/images/scene_000000.png   RGB
    DIR/SPLIT/masks/scene_000000.png    8-bit: 255 sky, 0 other, values between = share of the pixel that is sky
    DIR/manifest.csv

In a mask of this layout 128 alone means "ignore this pixel"; a share that rounds to 128 is therefore written as 129, so
that no exact label is ever thrown away. Readers that want a class take values >= 128 as sky, except where they ignore.
"""

from __future__ import annotations

import csv
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.errors import InputError
from train import scene_parts as parts
from train.scene_parts import Canvas, Rng, fbm, linear, pick, smooth

OUTDOOR_SKIES = ("clear", "cloudy", "overcast", "sunset", "night")
SKIES: tuple[str, ...] = (*OUTDOOR_SKIES, "none")


@dataclass(frozen=True)
class Scene:
    """A picture and its truth.

    Attributes
    ----------
    image
        (H, W, 3) uint8, sRGB, colour order RGB.
    alpha
        (H, W) float32 in [0, 1], share of each pixel that is sky.
    kind, sky
        One of `KINDS`, one of `SKIES`; sky is "none" where the kind has no sky.
    """

    image: np.ndarray
    alpha: np.ndarray
    kind: str
    sky: str


# --- kinds with sky: each paints over a canvas whose sky and light are set -------------------------------------------


def _mountain(cv: Canvas, rng: Rng) -> None:
    layers, cold = int(rng.integers(2, 5)), rng.random() < 0.5
    rock = pick(rng, ((120, 112, 104), (150, 120, 96), (96, 98, 104), (140, 90, 70)))
    for k in range(layers):
        far = rng.uniform(0.35, 0.8) * (1 - (k + 0.3) / layers)
        rise = rng.uniform(0.15, 0.4) * (1 - 0.5 * k / layers)
        base = cv.horizon + 0.12 * (k - layers + 1) / layers + 0.05
        near = k == layers - 1
        colour = pick(rng, ((86, 104, 60), (110, 104, 70), (70, 90, 56), (130, 110, 84))) if near else rock
        snow = rng.uniform(0.2, 0.8) if cold and k < layers - 1 else None
        parts.ridge(
            cv, rng, base, rise, rng.uniform(2, 5), colour, max(far, 0), snow, ridged=not near or rng.random() < 0.5
        )
    if rng.random() < 0.6:
        parts.treeline(cv, rng, cv.horizon + 0.12, rng.uniform(0.04, 0.12), 0.1, rng.random() < 0.7)
    _land(cv, rng, cv.horizon + 0.1)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 7))):
            parts.fir(
                cv,
                rng,
                rng.uniform(0, 1) * cv.width,
                rng.uniform(0.85, 1.1) * cv.height,
                rng.uniform(0.15, 0.6) * cv.height,
            )


LANDS = (
    ((104, 124, 58), (140, 136, 80)),
    ((150, 140, 96), (110, 112, 60)),
    ((196, 176, 140), (150, 130, 100)),
    ((232, 236, 244), (200, 208, 224)),
    ((110, 96, 76), (84, 98, 52)),
    ((150, 146, 140), (110, 108, 104)),
)


def _land(cv: Canvas, rng: Rng, horizon: float, rough: float = 0.01) -> None:
    first, second = LANDS[int(rng.integers(len(LANDS)))]
    ground = parts.plane(cv, rng, horizon - 0.01, pick(rng, (first,)), 0.22, 1, pick(rng, (second,)))
    cv.below(parts.flat_line(cv, rng, horizon, rough), ground)
    if max(first) < 220 and rng.random() < 0.75:
        parts.tufts(cv, rng, horizon, pick(rng, (first, second, (96, 104, 52))))


def _road(cv: Canvas, rng: Rng, horizon: float, vx: float, half: float) -> None:
    """Asphalt from the vanishing point (vx pixels, horizon) to the lower edge, `half` widths of the picture wide."""
    h, w = cv.height, cv.width
    asphalt = parts.plane(
        cv, rng, horizon, pick(rng, ((110, 110, 112), (84, 84, 88), (140, 136, 130), (150, 120, 90))), 0.1, 2
    )
    drop, y0 = (1 - horizon) * h, horizon * h

    def at(side, t):  # t: 0 at the vanishing point, 1 at the lower edge
        return [vx + side * half * w * t, y0 + drop * t]

    cv.fill([at(-1, 0.015), at(1, 0.015), at(1, 1.02), at(-1, 1.02)], asphalt)
    paint = cv.light.on(linear(225, 225, 220), 0.6)
    near = 1 / np.arange(0.95, 9, 0.5)
    for a, b in zip(near[::2], near[1::2], strict=False):
        if a < 1.1:
            cv.fill([at(-0.018, b), at(0.018, b), at(0.018, a), at(-0.018, a)], paint, 0.85)
    for side in (-1, 1):
        if rng.random() < 0.6:
            cv.fill(
                [at(side * 0.93, 0.03), at(side * 0.96, 0.03), at(side * 0.96, 1.02), at(side * 0.93, 1.02)], paint, 0.8
            )
        kerb = parts.plane(cv, rng, horizon, linear(165, 160, 152), 0.08, 3)
        if rng.random() < 0.6:
            cv.fill([at(side, 0.02), at(side * 1.35, 0.02), at(side * 1.35, 1.02), at(side, 1.02)], kerb)


def _forest(cv: Canvas, rng: Rng) -> None:
    conifer, h, w = rng.random() < 0.5, cv.height, cv.width
    if rng.random() < 0.5:
        parts.ridge(cv, rng, cv.horizon, rng.uniform(0.08, 0.25), 2.5, pick(rng, ((80, 96, 70),)), 0.5, ridged=False)
    for k, tall in enumerate(rng.uniform(0.08, 0.3, 3)):
        parts.treeline(
            cv,
            rng,
            cv.horizon + 0.03 + 0.05 * k,
            float(tall) * (0.6 + 0.3 * k),
            0.4 - 0.2 * k,
            conifer if rng.random() < 0.8 else not conifer,
        )
    _land(cv, rng, cv.horizon + 0.12)
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0, 1) * w, rng.uniform(0.82, 1.1) * h
        if conifer:
            parts.fir(cv, rng, x, y, rng.uniform(0.3, 0.95) * h)
        else:
            parts.tree(cv, rng, x, y, rng.uniform(0.35, 0.8) * h, rng.uniform(0.3, 1))


def _trees(cv: Canvas, rng: Rng) -> None:
    h, w = cv.height, cv.width
    if rng.random() < 0.5:
        parts.treeline(cv, rng, cv.horizon + 0.04, rng.uniform(0.05, 0.15), 0.25, rng.random() < 0.3)
    _land(cv, rng, cv.horizon + 0.02)
    bare = rng.random() < 0.45
    for _ in range(int(rng.integers(1, 5))):
        leafy = 0.0 if bare else rng.uniform(0.15, 1)
        y = rng.uniform(cv.horizon + 0.08, 1.25) * h
        tall = rng.uniform(0.6, 1.1) * (y - cv.horizon * h * 0.35)
        parts.tree(cv, rng, rng.uniform(-0.05, 1.05) * w, y, tall, leafy, rng.normal(0, 0.08))
    if rng.random() < 0.3:
        _branches(cv, rng, 2)


def _branches(cv: Canvas, rng: Rng, count: int) -> None:
    """Boughs that reach in from the edges."""
    h, w, leafy = cv.height, cv.width, float(rng.choice([0.0, 0.25, 0.7]))
    for _ in range(count):
        side = float(rng.choice([-1.0, 1.0]))
        x, y = (-0.05 if side > 0 else 1.05) * w, rng.uniform(-0.1, 0.6) * h
        parts.tree(
            cv, rng, x, y, rng.uniform(0.4, 0.9) * h, leafy, 0.0, (0.0 if side > 0 else np.pi) + rng.normal(0, 0.35)
        )


def _towers(cv: Canvas, rng: Rng) -> None:
    h, w, u = cv.height, cv.width, cv.unit
    if rng.random() < 0.6:
        parts.ridge(
            cv,
            rng,
            cv.horizon + 0.02,
            rng.uniform(0.04, 0.2),
            3,
            pick(rng, ((90, 104, 70), (120, 110, 90))),
            0.4,
            ridged=False,
        )
    if rng.random() < 0.6:
        parts.treeline(cv, rng, cv.horizon + 0.04, rng.uniform(0.03, 0.1), 0.2, rng.random() < 0.4)
    _land(cv, rng, cv.horizon + 0.02)
    count = int(rng.integers(1, 4))
    xs, tall = np.sort(rng.uniform(0.05, 0.95, count)) * w, rng.uniform(0.4, 0.95) * cv.horizon * h
    feet = (cv.horizon + rng.uniform(0.02, 0.15, count)) * h
    for k in range(count):
        roll = rng.random()
        if roll < 0.55:
            parts.mast(cv, rng, float(xs[k]), float(feet[k]), tall * rng.uniform(0.6, 1))
        elif roll < 0.75:
            _turbine(cv, rng, float(xs[k]), float(feet[k]), tall * 0.8)
        else:
            _steeple(cv, rng, float(xs[k]), float(feet[k]), tall)
    if rng.random() < 0.6:
        a, b = np.array([-20.0, rng.uniform(0.05, 0.5) * h]), np.array([w + 20.0, rng.uniform(0.05, 0.5) * h])
        gaps = np.cumsum(rng.uniform(4, 22, int(rng.integers(1, 6)))) * u
        parts.wires(
            cv,
            rng,
            [(a + [0, g], b + [0, g * 0.9]) for g in gaps],
            rng.uniform(0.02, 0.12) * h,
            rng.uniform(0.3, 1.6) * u,
        )


def _turbine(cv: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    white = cv.light.on(linear(236, 238, 240), 0.7)
    foot, head = tall * 0.022, tall * 0.012
    cv.fill([[x - foot, y], [x - head, y - tall], [x + head, y - tall], [x + foot, y]], white * 0.9)
    for turn in rng.uniform(0, 2) + np.arange(3) * 2 * np.pi / 3:
        d, n = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        hub, long = np.array([x, y - tall]), tall * 0.5
        cv.fill([hub + n * head, hub + d * long * 0.2 + n * head * 2, hub + d * long, hub - n * head * 0.6], white)


def _steeple(cv: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    wide = tall * rng.uniform(0.08, 0.14)
    front = parts.facade(rng, cv.light, 7, 2, pick(rng, parts.WALLS), 0.6)
    parts.lay(cv, front, parts.rect(x - wide, y - tall * 0.6, x + wide, y))
    slate = cv.light.on(pick(rng, ((80, 90, 96), (110, 130, 116), (120, 60, 46))), 0.5)
    cv.fill([[x - wide * 1.1, y - tall * 0.6], [x, y - tall], [x + wide * 1.1, y - tall * 0.6]], slate)
    cv.strokes(
        [[[x, y - tall], [x, y - tall * 1.07]], [[x - wide * 0.2, y - tall * 1.04], [x + wide * 0.2, y - tall * 1.04]]],
        0.6 * cv.unit,
        slate,
    )


def _city(cv: Canvas, rng: Rng) -> None:
    h, w = cv.height, cv.width
    for far, size, count in ((0.6, 0.22, 8), (0.35, 0.35, 6), (0.08, 0.5, 5)):
        for x in np.sort(rng.uniform(-0.08, 1, int(rng.integers(count // 2, count + 3)))):
            tall = rng.uniform(0.35, 1) * size * cv.horizon * 1.6 * h
            wide = tall * rng.uniform(0.3, 0.9)
            parts.block(cv, rng, float(x) * w, (cv.horizon + 0.04) * h - tall, wide, tall + 0.08 * h, far)
    if rng.random() < 0.6:
        parts.treeline(cv, rng, cv.horizon + 0.07, rng.uniform(0.03, 0.09), 0.05, False)
    if rng.random() < 0.35:
        _sea(cv, rng, cv.horizon + 0.06)
    else:
        _land(cv, rng, cv.horizon + 0.06)


def _street(cv: Canvas, rng: Rng) -> None:
    h, w = cv.height, cv.width
    vx, half = rng.uniform(0.25, 0.75) * w, rng.uniform(0.4, 0.8)
    y0, eye = cv.horizon * h, (1 - cv.horizon) * h
    if rng.random() < 0.5:
        parts.treeline(cv, rng, cv.horizon + 0.02, rng.uniform(0.03, 0.1), 0.35, False)
    cv.below(
        parts.flat_line(cv, rng, cv.horizon + 0.005, 0.0),
        parts.plane(cv, rng, cv.horizon, pick(rng, ((150, 146, 140), (120, 116, 110), (110, 120, 80))), 0.12, 2),
    )
    _road(cv, rng, cv.horizon, vx, half)
    if rng.random() < 0.5:  # the street bends: a house stands across its end
        tall = rng.uniform(0.08, 0.3) * h
        parts.block(cv, rng, vx - tall * 0.8, y0 - tall, tall * 1.6, tall + eye * 0.1, 0.2)
    white = rng.random() < 0.35
    for side in (-1, 1):
        if rng.random() < 0.18:
            continue
        z, walls = 7.0, []
        while z > 0.35:
            nearer = z * rng.uniform(0.55, 0.82)
            walls.append((z, nearer, rng.uniform(0.7, 3.2)))
            z = nearer
        edge = half * rng.uniform(1.35, 1.8) * w
        sunny = 0.8 if (cv.light.sun_x > 0.5) == (side < 0) else 0.12
        for z1, z0, tall in walls:
            if rng.random() < 0.1:
                continue  # a gap between houses
            x1, x0 = vx + side * edge / z1, vx + side * edge / z0
            top1, top0, low1, low0 = (y0 - tall * eye / z1, y0 - tall * eye / z0, y0 + eye / z1, y0 + eye / z0)
            wall = pick(rng, ((244, 242, 238), (236, 232, 222), (250, 250, 250))) if white else pick(rng, parts.WALLS)
            floors = max(2, round(tall * 1.7))
            bays = int(np.clip((z1 - z0) * 5, 2, 9))
            front = parts.facade(rng, cv.light, floors, bays, wall, sunny)
            # the gable end that shows above and behind a lower neighbour
            cv.fill(parts.rect(x0, top0, x0 + side * 0.6 * abs(x0 - x1), low0), cv.light.on(wall * 0.9, 0.45))
            far = 0.35 * min(1.0, z1 / 7)
            front += far * (cv.light.haze * 0.8 - front)
            parts.lay(cv, front, [[x1, top1], [x0, top0], [x0, low0], [x1, low1]])
            if rng.random() < 0.6:  # eaves seen from below
                lip = 0.06 * tall * eye
                roof = cv.light.on(pick(rng, ((120, 70, 54), (80, 80, 84), (210, 206, 200))), 0.4)
                cv.fill(
                    [
                        [x1, top1 - lip * rng.uniform(1, 3) / z1],
                        [x0, top0 - lip * 1.2 / z0],
                        [x0, top0 + lip * 0.2 / z0],
                        [x1, top1 + lip * 0.2 / z1],
                    ],
                    roof,
                )
    _furniture(cv, rng, vx, half)


def _furniture(cv: Canvas, rng: Rng, vx: float, half: float) -> None:
    """Trees, lamps, cars, people and wires along a road, from far to near."""
    h, w, u, y0, eye = cv.height, cv.width, cv.unit, cv.horizon * cv.height, (1 - cv.horizon) * cv.height
    depths = np.sort(1 / rng.uniform(0.15, 1.15, int(rng.integers(3, 11))))[::-1]
    bare = rng.random() < 0.4
    lamp_side = int(rng.choice([-1, 1]))
    for z in depths:
        side, roll = float(rng.choice([-1.0, 1.0])), rng.random()
        x, y, scale = vx + side * half * w * rng.uniform(1.02, 1.3) / z, y0 + eye / z, eye / z
        if roll < 0.25:
            parts.tree(cv, rng, x, y, scale * rng.uniform(1.5, 3.2), 0.0 if bare else rng.uniform(0.4, 1))
        elif roll < 0.5:
            parts.lamp(cv, rng, vx + lamp_side * half * w * 1.05 / z, y, scale * 3.2, -lamp_side)
        elif roll < 0.8:
            parts.car(cv, rng, vx + side * half * w * rng.uniform(0.4, 0.95) / z, y, scale * rng.uniform(1.0, 1.6))
        elif roll < 0.92:
            parts.person(cv, rng, x, y, scale * 0.95)
        else:
            _sign(cv, rng, x, y, scale * rng.uniform(1.3, 2.6))
    if rng.random() < 0.4:
        low = rng.uniform(0.1, 0.7)
        ends = [
            (np.array([-5.0, y0 * (low + rng.normal(0, 0.12))]), np.array([w + 5.0, y0 * (low + rng.normal(0, 0.12))]))
            for _ in range(int(rng.integers(1, 7)))
        ]
        parts.wires(cv, rng, ends, rng.uniform(0.01, 0.08) * h, rng.uniform(0.3, 1.5) * u)


def _sign(cv: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    cv.strokes([[[x, y], [x, y - tall]]], max(tall * 0.03, 0.5 * cv.unit), cv.light.on(linear(120, 122, 124)))
    colour = cv.light.on(pick(rng, ((30, 80, 160), (240, 240, 240), (170, 30, 30), (30, 110, 70), (230, 190, 40))), 0.7)
    s, r = tall * rng.uniform(0.1, 0.35), tall * rng.uniform(0.1, 0.22)
    cv.fill(parts.rect(x - s, y - tall, x + s, y - tall + 2 * r), cv.light.on(linear(240, 240, 240), 0.6))
    k = 0.9
    cv.fill(parts.rect(x - s * k, y - tall + r * (1 - k), x + s * k, y - tall + r * (1 + k)), colour)


def _field(cv: Canvas, rng: Rng) -> None:
    h, w, u = cv.height, cv.width, cv.unit
    if rng.random() < 0.5:
        parts.ridge(
            cv,
            rng,
            cv.horizon + 0.02,
            rng.uniform(0.03, 0.15),
            2.5,
            pick(rng, ((90, 104, 80), (120, 116, 100))),
            0.55,
            ridged=False,
        )
    if rng.random() < 0.75:
        parts.treeline(cv, rng, cv.horizon + 0.02, rng.uniform(0.02, 0.09), 0.3, rng.random() < 0.3)
    _land(cv, rng, cv.horizon, 0.006)
    vx, half = rng.uniform(0.2, 0.8) * w, rng.uniform(0.25, 0.6)
    if rng.random() < 0.65:
        _road(cv, rng, cv.horizon, vx, half)
    y0, eye, side = cv.horizon * h, (1 - cv.horizon) * h, float(rng.choice([-1.0, 1.0]))
    if rng.random() < 0.6:  # a line of poles with wires along the road
        tops, wood = [], cv.light.on(pick(rng, ((90, 72, 56), (130, 126, 120))), 0.4)
        for z in 1 / np.linspace(0.12, 1.2, int(rng.integers(4, 8))):
            x, y, tall = vx + side * half * w * 1.25 / z, y0 + eye / z, eye * 3 / z
            cv.strokes([[[x, y], [x, y - tall]]], max(tall * 0.02, 0.4 * u), wood)
            cv.strokes(
                [[[x - tall * 0.09, y - tall * 0.95], [x + tall * 0.09, y - tall * 0.95]]],
                max(tall * 0.012, 0.4 * u),
                wood,
            )
            tops.append((x, y - tall * 0.96, tall))
        for (xa, ya, ta), (xb, yb, tb) in itertools.pairwise(tops):
            ends = [(np.array([xa + k * ta, ya]), np.array([xb + k * tb, yb])) for k in (-0.085, 0, 0.085)]
            parts.wires(cv, rng, ends, 0.05 * tb, max(0.006 * ta, 0.3 * u))
    for z in np.sort(1 / rng.uniform(0.15, 0.9, int(rng.integers(0, 6))))[::-1]:
        x, y, scale = rng.uniform(0, 1) * w, y0 + eye / z, eye / z
        roll = rng.random()
        if roll < 0.45:
            parts.tree(cv, rng, x, y, scale * rng.uniform(1.5, 3), float(rng.choice([0, 0.5, 0.9])))
        elif roll < 0.7:
            wide, tall = scale * rng.uniform(1.2, 3), scale * rng.uniform(0.7, 1.4)
            floors, bays = max(1, round(tall / scale * 2)), max(2, round(wide / scale * 2))
            parts.lay(
                cv,
                parts.facade(rng, cv.light, floors, bays, pick(rng, parts.WALLS), 0.7),
                parts.rect(x, y - tall, x + wide, y),
            )
            parts.roof(cv, rng, x, x + wide, y - tall, tall * rng.uniform(0.2, 0.7))
        elif roll < 0.85:
            parts.car(cv, rng, vx + half * w * rng.uniform(-0.6, 0.6) / z, y, scale * 1.4)
        else:
            parts.person(cv, rng, x, y, scale * 0.9)


def _water(cv: Canvas, rng: Rng) -> None:
    if rng.random() < 0.45:
        for far in (0.7, 0.4)[: int(rng.integers(1, 3))]:
            parts.ridge(
                cv, rng, cv.horizon + 0.005, rng.uniform(0.04, 0.25), 3, pick(rng, ((90, 100, 84), (120, 108, 96))), far
            )
    if rng.random() < 0.35:
        parts.treeline(cv, rng, cv.horizon + 0.01, rng.uniform(0.02, 0.1), 0.2, rng.random() < 0.5)
    _sea(cv, rng, cv.horizon)
    h, w, u = cv.height, cv.width, cv.unit
    for _ in range(int(rng.integers(0, 4))):
        y = (cv.horizon + rng.uniform(0.005, 0.2)) * h
        _boat(cv, rng, rng.uniform(0.05, 0.95) * w, y, (y - cv.horizon * h + 6 * u) * rng.uniform(1, 2.2))
    if rng.random() < 0.4:
        shore = parts.plane(cv, rng, cv.horizon, pick(rng, ((200, 180, 140), (120, 112, 100), (90, 96, 60))), 0.2, 1)
        cv.below(parts.flat_line(cv, rng, rng.uniform(0.85, 0.97), 0.05), shore)
        if rng.random() < 0.5:
            parts.tree(
                cv,
                rng,
                float(rng.choice([0.05, 0.95])) * w,
                h * 1.05,
                h * rng.uniform(0.6, 1),
                float(rng.choice([0, 0.6])),
            )


def _sea(cv: Canvas, rng: Rng, horizon: float) -> None:
    """Water below `horizon`: a rippled mirror of what is above it. Its reflection of the sky is foreground, not sky."""
    h, w = cv.height, cv.width
    calm = float(rng.choice([0.15, 0.5, 1.0]))
    depth = np.maximum(cv.ys - horizon, 0)
    tile = fbm(rng, 256, 256, 20, 4, 0.6, 2, tiled=True)
    z = 1 / (depth + 0.02)
    u = ((cv.xs - 0.5) * z * 60 + 128).astype(np.float32)
    wave = cv2.remap(
        tile, u, np.broadcast_to(z * 160, u.shape).astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP
    )
    size = calm * np.clip(depth * 8, 0.05, 1)
    my = (2 * horizon - cv.ys) * h + wave * size * 0.08 * h - 1
    mx = cv.xs * w + wave * size * 0.02 * w
    mirror = cv2.remap(
        cv.picture(), mx.astype(np.float32), my.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    deep = cv.light.on(pick(rng, ((30, 70, 84), (20, 50, 70), (50, 70, 60), (60, 74, 80))), 0.4)
    share = np.clip(0.78 - 0.5 * depth / (1 - horizon) - 0.18 * calm * wave, 0.1, 0.95)[..., None]
    water = mirror * share + deep * (1 - share) * (1 + 0.3 * wave * calm)[..., None]
    cv.below(np.full(w * parts.SUPERSAMPLE, horizon * h, np.float32), water.astype(np.float32))


def _boat(cv: Canvas, rng: Rng, x: float, y: float, long: float) -> None:
    hull = cv.light.on(pick(rng, ((235, 235, 230), (40, 60, 100), (130, 40, 36), (60, 60, 60))), 0.6)
    cv.fill(
        [
            [x - long * 0.5, y - long * 0.14],
            [x + long * 0.55, y - long * 0.16],
            [x + long * 0.4, y],
            [x - long * 0.42, y],
        ],
        hull,
    )
    cv.fill(
        [
            [x - long * 0.2, y - long * 0.28],
            [x + long * 0.15, y - long * 0.28],
            [x + long * 0.2, y - long * 0.14],
            [x - long * 0.2, y - long * 0.14],
        ],
        hull * 0.8,
    )
    if rng.random() < 0.6:
        top = y - long * rng.uniform(0.8, 1.4)
        cv.strokes(
            [
                [[x, y - long * 0.2], [x, top]],
                [[x, top], [x + long * 0.52, y - long * 0.15]],
                [[x, top], [x - long * 0.48, y - long * 0.14]],
            ],
            max(long * 0.012, 0.4 * cv.unit),
            hull * 0.6,
        )
        if rng.random() < 0.6:
            cv.fill(
                [[x + long * 0.03, top], [x + long * 0.03, y - long * 0.3], [x + long * 0.45, y - long * 0.25]],
                cv.light.on(linear(240, 238, 230), 0.7),
            )


def _lookup(cv: Canvas, rng: Rng) -> None:
    """Looking up: towers that lean together, boughs from all sides, or wires across the sky."""
    h, w, u, roll = cv.height, cv.width, cv.unit, rng.random()
    if roll < 0.45:
        zx, zy = rng.uniform(0.3, 0.7) * w, rng.uniform(-0.6, 0.2) * h
        for _ in range(int(rng.integers(1, 4))):
            x, wide = rng.uniform(-0.3, 1) * w, rng.uniform(0.2, 0.5) * w
            t = rng.uniform(0.35, 0.85)  # how far the walls run towards the zenith
            low = h * 1.15
            a, b = np.array([x, low]), np.array([x + wide, low])
            zenith = np.array([zx, zy])
            front = parts.facade(
                rng,
                cv.light,
                int(rng.integers(6, 16)),
                int(rng.integers(4, 9)),
                pick(rng, parts.WALLS),
                rng.uniform(0.1, 0.9),
            )
            parts.lay(cv, front, [a + (zenith - a) * t, b + (zenith - b) * t, b, a])
            c = b + np.array([0.2 * w * (1 if zx > x else -1), 0])
            parts.lay(cv, front * 0.5, [b + (zenith - b) * t, c + (zenith - c) * (t - 0.05), c, b])
    elif roll < 0.85:
        _branches(cv, rng, int(rng.integers(2, 5)))
        if rng.random() < 0.4:
            parts.tree(
                cv, rng, rng.uniform(0.2, 0.8) * w, h * 1.1, h * rng.uniform(0.6, 1.2), float(rng.choice([0, 0.3, 0.8]))
            )
    if roll >= 0.75:
        slope, start = rng.normal(0, 0.25, 2), rng.uniform(0.1, 0.8) * h
        gaps = np.cumsum(rng.uniform(3, 40, int(rng.integers(1, 7)))) * u
        ends = [
            (np.array([-9.0, start + g]), np.array([w + 9.0, start + g * (1 + float(slope[1])) + float(slope[0]) * h]))
            for g in gaps
        ]
        parts.wires(cv, rng, ends, rng.uniform(0, 0.08) * h, rng.uniform(0.3, 3) * u)
        if rng.random() < 0.5:
            parts.lamp(cv, rng, rng.uniform(0.1, 0.9) * w, h * 1.2, h * rng.uniform(0.5, 1.0), int(rng.choice([-1, 1])))


def _allsky(cv: Canvas, rng: Rng) -> None:
    if rng.random() < 0.25:
        _birds(cv, rng)


def _birds(cv: Canvas, rng: Rng) -> None:
    dark = cv.light.on(linear(50, 48, 50), 0.3)
    size = rng.uniform(3, 22) * cv.unit
    for _ in range(int(rng.integers(1, 9))):
        x, y, s = rng.uniform(0, 1) * cv.width, rng.uniform(0.05, 0.55) * cv.height, size * rng.uniform(0.5, 1)
        lift = s * rng.uniform(-0.1, 0.5)
        cv.strokes(
            [
                [
                    [x - s, y - lift],
                    [x - s * 0.4, y - lift * 1.2],
                    [x, y],
                    [x + s * 0.4, y - lift * 1.2],
                    [x + s, y - lift],
                ]
            ],
            s * 0.13,
            dark,
        )


# --- kinds without sky ------------------------------------------------------------------------------------------------


def _wall(cv: Canvas, rng: Rng) -> None:
    """Outdoors without sky: a front that fills the picture, a wood from inside, or ground alone."""
    h, w, roll = cv.height, cv.width, rng.random()
    if roll < 0.5:
        foot = rng.uniform(0.75, 1.1) * h
        front = parts.facade(
            rng,
            cv.light,
            int(rng.integers(2, 6)),
            int(rng.integers(3, 10)),
            pick(rng, parts.WALLS),
            rng.uniform(0.2, 0.9),
        )
        skew = rng.normal(0, 0.12, 4) * h
        parts.lay(
            cv,
            front,
            [
                [-0.1 * w, -abs(skew[0]) - 2],
                [1.1 * w, -abs(skew[1]) - 2],
                [1.1 * w, foot + abs(skew[2])],
                [-0.1 * w, foot + abs(skew[3])],
            ],
        )
        cv.horizon = 0.45
        cv.below(
            parts.flat_line(cv, rng, min(foot / h, 0.98), 0.0),
            parts.plane(cv, rng, 0.45, pick(rng, ((140, 136, 130), (96, 96, 98))), 0.12, 2),
        )
        for _ in range(int(rng.integers(0, 6))):
            x, y = rng.uniform(0, 1) * w, rng.uniform(foot / h, 1.1) * h
            item = rng.random()
            if item < 0.4:
                parts.car(cv, rng, x, y, rng.uniform(0.2, 0.5) * w)
            elif item < 0.7:
                parts.tree(cv, rng, x, y, rng.uniform(0.4, 1) * h, float(rng.choice([0, 0.7])))
            else:
                parts.person(cv, rng, x, y, rng.uniform(0.15, 0.35) * h)
        return
    if roll < 0.75:
        leaf, clump = fbm(rng, h, w, 40, 5, 0.8), fbm(rng, h, w, 5, 4)
        green = pick(rng, parts.LEAVES)
        cv.over(
            np.ones((h, w), np.float32),
            cv.light.on(
                green * (1 + 0.5 * leaf + 0.6 * clump).clip(0.05, 3)[..., None], np.clip(0.4 + 0.4 * clump, 0, 1)
            ),
        )
        cv.horizon = rng.uniform(0.4, 0.65)
        parts.treeline(cv, rng, cv.horizon + 0.1, 0.3, 0.1, rng.random() < 0.5)
        _land(cv, rng, cv.horizon + 0.08, 0.03)
        for x in rng.uniform(0, 1, int(rng.integers(3, 12))):
            y, wide = rng.uniform(cv.horizon + 0.1, 1.05) * h, rng.uniform(0.004, 0.03) * w
            cv.fill(
                [[x * w - wide * 1.3, y], [x * w - wide, -5], [x * w + wide * 0.8, -5], [x * w + wide * 1.3, y]],
                cv.light.on(pick(rng, parts.BARK) * (1 + 0.4 * leaf)[..., None].clip(0.2), 0.4),
            )
        return
    top = rng.uniform(-0.8, -0.1)
    first, second = LANDS[int(rng.integers(len(LANDS)))]
    cv.over(
        np.ones((h, w), np.float32), parts.plane(cv, rng, top, pick(rng, (first,)), 0.25, 1.5, pick(rng, (second,)))
    )
    cv.horizon = top
    if rng.random() < 0.4:
        _road(cv, rng, top, rng.uniform(0.2, 0.8) * w, rng.uniform(0.3, 0.7))
    for _ in range(int(rng.integers(0, 4))):
        parts.person(cv, rng, rng.uniform(0, 1) * w, rng.uniform(0.5, 1) * h, rng.uniform(0.2, 0.4) * h)


def _indoor(cv: Canvas, rng: Rng) -> None:
    """A room in perspective. Its windows are frosted, curtained or blown out: bright, but there is no sky in them."""
    h, w, light = cv.height, cv.width, cv.light
    x0, x1 = rng.uniform(-0.05, 0.3) * w, rng.uniform(0.65, 1.05) * w
    y0, y1 = rng.uniform(-0.05, 0.25) * h, rng.uniform(0.6, 0.85) * h
    vx, vy = rng.uniform(0.4, 0.6) * (x0 + x1), rng.uniform(0.45, 0.6) * (y0 + y1)
    wall = pick(
        rng,
        (
            (238, 236, 230),
            (245, 245, 246),
            (170, 195, 220),
            (205, 220, 235),
            (225, 210, 180),
            (190, 200, 180),
            (200, 170, 150),
            (120, 150, 190),
        ),
    )
    near = np.array(parts.rect(-0.6 * w, -0.6 * h, 1.6 * w, 1.6 * h))
    back = np.array(parts.rect(x0, y0, x1, y1))
    near = np.array([vx, vy]) + (back - [vx, vy]) * rng.uniform(3.5, 6)
    cv.over(np.ones((h, w), np.float32), wall * 0.5)

    def sheet(colour, facing, grain=0.03, size=160):
        glow = np.exp(
            -np.hypot(
                *np.meshgrid(
                    np.linspace(-1, 1, size) - rng.normal(0, 0.6), np.linspace(-1, 1, size) - rng.normal(0, 0.6)
                )
            )
            * rng.uniform(0.3, 1.2)
        )
        return light.on(colour * ((0.4 + 0.8 * glow) * (1 + grain * fbm(rng, size, size, 20, 3)))[..., None], facing)

    floor = sheet(
        pick(rng, ((150, 110, 76), (180, 150, 110), (190, 188, 182), (110, 110, 116), (120, 60, 50))), 0.4, 0.15, 256
    )
    step = int(rng.integers(8, 40))
    floor[:, ::step] *= 0.6
    if rng.random() < 0.5:
        floor[::step] *= 0.6
    parts.lay(cv, floor, [back[3], back[2], near[2], near[3]])
    parts.lay(
        cv,
        sheet(pick(rng, ((245, 245, 242), (230, 228, 220), (250, 250, 250))), 0.35),
        [near[0], near[1], back[1], back[0]],
    )
    sides = (sheet(wall, 0.25), sheet(wall, 0.6))
    front = sheet(wall, 0.45)
    for texture in (*sides, front):
        _hang(rng, texture, light)
    parts.lay(cv, sides[0], [near[0], back[0], back[3], near[3]])
    parts.lay(cv, sides[1], [back[1], near[1], near[2], back[2]])
    parts.lay(cv, front, back)
    cv.strokes([[back[3], back[2]], [back[0], back[1]]], 1.5 * cv.unit, light.on(wall * 0.6, 0.3))
    cv.strokes([[a, b] for a, b in zip(back, near, strict=True)], 1.2 * cv.unit, light.on(wall * 0.5, 0.3))
    for t in np.sort(rng.uniform(0.0, 1.2, int(rng.integers(2, 7)))):
        _box(cv, rng, np.array([vx, vy]), back, float(t))
    for _ in range(int(rng.integers(0, 3))):
        x, y = rng.uniform(0.1, 0.9) * w, rng.uniform(0.02, 0.2) * h
        halo = np.exp(-np.hypot(cv.xs - x / w, (cv.ys - y / h) * h / w) * 14)
        cv.paint += halo[..., None] * linear(255, 230, 190) * 0.5 * (1 - cv.alpha)[..., None]
        r = 0.012 * w
        cv.strokes([[[x - r, y], [x + r, y]]], r, linear(255, 244, 220) * 1.5)


def _hang(rng: Rng, sheet: np.ndarray, light: parts.Light) -> None:
    """Put a window, a door or pictures on a wall, in place."""
    size = sheet.shape[0]
    for _ in range(int(rng.integers(0, 4))):
        x, y = int(rng.uniform(0.05, 0.7) * size), int(rng.uniform(0.12, 0.45) * size)
        wide, tall = int(rng.uniform(0.1, 0.3) * size), int(rng.uniform(0.12, 0.4) * size)
        frame = light.on(pick(rng, ((240, 240, 238), (90, 66, 48), (40, 40, 42), (180, 150, 90))), 0.5)
        box = sheet[y : y + tall, x : x + wide]
        if rng.random() < 0.45:  # window: plain bright glass or cloth
            bright = rng.uniform(0.7, 2.0) if not light.night else 0.03
            box[:] = linear(*pick_bright(rng)) * bright * (1 + 0.04 * fbm(rng, *box.shape[:2], 8, 3))[..., None]
            if rng.random() < 0.5:
                box *= (0.8 + 0.2 * np.sin(np.arange(box.shape[1]) * rng.uniform(0.4, 1.5)))[None, :, None]
            bars = [slice(box.shape[1] // 2 - 1, box.shape[1] // 2 + 1), slice(0, 2), slice(-2, None)]
            for bar in bars:
                box[:, bar] = frame
            box[:2], box[-2:], box[box.shape[0] // 2] = frame, frame, frame
        else:
            box[:] = frame
            inner = box[3:-3, 3:-3]
            if inner.size:
                a, b = pick(rng, parts.WALLS), pick(rng, ((60, 90, 140), (150, 60, 40), (90, 110, 60), (30, 30, 40)))
                mix = smooth(fbm(rng, *inner.shape[:2], 4, 4), -0.5, 0.5)[..., None]
                inner[:] = light.on(a + mix * (b - a), 0.4)


def pick_bright(rng: Rng) -> tuple[float, float, float]:
    """Colour of back-lit glass or curtain, 8-bit sRGB."""
    return ((252, 252, 252), (235, 242, 252), (250, 240, 222), (222, 234, 246))[int(rng.integers(4))]


def _box(cv: Canvas, rng: Rng, vanish: np.ndarray, back: np.ndarray, t: float) -> None:
    """A box of furniture on the floor; t 0 = at the back wall, larger = nearer."""
    light, scale = cv.light, 1 + t * 1.2
    wide, floor = float(back[1, 0] - back[0, 0]), float(back[3, 1])
    x, bw, bh = (
        rng.uniform(0, 0.9) * wide + back[0, 0],
        rng.uniform(0.1, 0.4) * wide,
        rng.uniform(0.1, 0.5) * wide * 0.6,
    )

    def at(px, py, s):
        return vanish + (np.array([px, py]) - vanish) * s

    colour = pick(rng, ((120, 84, 56), (230, 228, 224), (60, 62, 70), (150, 60, 50), (80, 100, 130), (170, 150, 120)))
    deep = scale * rng.uniform(0.75, 0.9)
    corners = [(x, floor - bh), (x + bw, floor - bh), (x + bw, floor), (x, floor)]
    f, b = [at(*c, scale) for c in corners], [at(*c, deep) for c in corners]
    cv.fill([b[0], b[1], f[1], f[0]], light.on(colour, 0.8))
    side = (1, 2) if x + bw < vanish[0] else (0, 3)
    cv.fill([b[side[0]], f[side[0]], f[side[1]], b[side[1]]], light.on(colour * 0.6, 0.2))
    cv.fill(f, light.on(colour, 0.4))
    if rng.random() < 0.6:
        for k in np.linspace(0.1, 0.9, int(rng.integers(3, 6))):
            a = f[0] * (1 - k) + f[3] * k
            c = f[1] * (1 - k) + f[2] * k
            cv.strokes([[a, c]], 1.2 * cv.unit, light.on(colour * 0.35, 0.3))


def _closeup(cv: Canvas, rng: Rng) -> None:
    """Cloth, bark, stones, leaves or things before a blurred ground."""
    h, w, light, roll = cv.height, cv.width, cv.light, rng.random()
    tones = (
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
    a, b = pick(rng, tones), pick(rng, tones)
    if roll >= 0.15:  # but for stripes, two tones of one thing: white flecks on blue would be clouds
        b = a * rng.uniform(0.25, 0.7, 3).astype(np.float32)
    one = np.ones((h, w), np.float32)
    clump = fbm(rng, h, w, rng.uniform(2, 8), 6, rng.uniform(0.5, 0.8), float(rng.choice([1, 4, 0.25])))
    mix = smooth(clump, -0.7, 0.7)[..., None]
    if roll < 0.3:  # cloth: folds and weave
        fold = fbm(rng, h, w, 3, 3, 0.5, float(rng.choice([1, 0.3])))
        pitch = rng.uniform(2.5, 9) * cv.unit
        x, y = np.arange(w)[None] + 4 * fold, np.arange(h)[:, None] + 4 * clump
        weave = 1 + 0.18 * np.sin(x * 2 * np.pi / pitch) * np.sin(y * 2 * np.pi / pitch)
        stripes = smooth(np.sin(x * 2 * np.pi / (pitch * 9)), -0.1, 0.1)[..., None] if roll < 0.15 else mix
        cv.over(one, light.on((a + stripes * (b - a)) * weave[..., None], np.clip(0.5 + 0.5 * fold, 0, 1)))
        return
    cv.over(
        one, light.on((a + mix * (b - a)) * (1 + 0.3 * clump).clip(0.1)[..., None], np.clip(0.5 + 0.4 * clump, 0, 1))
    )
    if roll < 0.5:  # bark, soil, fur: the noise alone, with relief
        relief = cv2.Sobel(fbm(rng, h, w, 12, 5, 0.75, float(rng.choice([1, 3, 0.3]))), cv2.CV_32F, 1, 1, ksize=3)
        cv.paint *= (1 + 0.5 * relief).clip(0.2, 2)[..., None]
        return
    if roll < 0.75:  # leaves in layers
        own = np.random.default_rng(int(rng.integers(2**62)))
        green = pick(rng, parts.LEAVES)
        for size, tone in ((0.07, 0.4), (0.09, 0.7), (0.12, 1.0), (0.14, 1.3)):
            n = int(own.integers(8, 26))
            for x, y, turn in zip(
                own.uniform(0, w, n), own.uniform(0, h, n), own.uniform(0, 2 * np.pi, n), strict=True
            ):
                long = size * w * own.uniform(0.5, 1.2)
                t = np.linspace(0, np.pi, 10)
                edge = np.concatenate(
                    [np.stack([-np.cos(t), 0.32 * np.sin(t)], -1), np.stack([np.cos(t), -0.32 * np.sin(t)], -1)]
                )
                spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
                cv.fill(
                    edge @ spin.T * long + [x, y], light.on(green * tone * own.uniform(0.7, 1.3), own.uniform(0.3, 0.9))
                )
                cv.strokes(
                    [np.array([[-1, 0], [1, 0]]) @ spin.T * long + [x, y]],
                    0.02 * long,
                    light.on(green * tone * 1.5, 0.5),
                )
        return
    cv.paint[:] = cv2.GaussianBlur(cv.paint, (0, 0), rng.uniform(4, 14) * cv.unit)  # out of focus
    own = np.random.default_rng(int(rng.integers(2**62)))
    for _ in range(int(own.integers(2, 30))):
        x, y, r = own.uniform(0, w), own.uniform(0.2, 1.1) * h, own.uniform(0.03, 0.2) * w
        cover = smooth(np.hypot(cv.xs * w - x, (cv.ys * h - y) * own.uniform(0.8, 1.25)), r + 0.7, r - 0.7)
        ball = np.clip(1 - ((cv.xs * w - x + 0.4 * r) ** 2 + (cv.ys * h - y + 0.5 * r) ** 2) / (3.2 * r * r), 0, 1)
        cv.over(
            cover,
            light.on(pick(own, tones) * (0.35 + 0.8 * ball + 0.1 * clump).clip(0.02)[..., None], 0.5)
            + (ball**20 * 0.5)[..., None],
        )


# --- the camera and the way in ----------------------------------------------------------------------------------------

_PAINTERS: dict[str, Callable[[Canvas, Rng], None]] = {
    "mountain": _mountain,
    "forest": _forest,
    "trees": _trees,
    "towers": _towers,
    "city": _city,
    "street": _street,
    "field": _field,
    "water": _water,
    "lookup": _lookup,
    "allsky": _allsky,
    "wall": _wall,
    "indoor": _indoor,
    "closeup": _closeup,
}
KINDS: tuple[str, ...] = tuple(_PAINTERS)
NO_SKY_KINDS = ("wall", "indoor", "closeup")
_KIND_WEIGHTS = (1.1, 0.8, 1.5, 0.9, 1.1, 2.2, 1.2, 1.0, 0.8, 0.3, 1.0, 1.4, 0.8)  # in the order of KINDS
_SKY_WEIGHTS = (1.2, 1.5, 1.1, 0.7, 0.6)  # in the order of OUTDOOR_SKIES


def _choose(rng: Rng, kind: str | None, sky: str | None) -> tuple[str, str]:
    """Settle what is to be painted; always draws the same numbers."""
    weights = np.array(_KIND_WEIGHTS) * [sky is None or (sky == "none") == (k in NO_SKY_KINDS) for k in KINDS]
    drawn_kind = str(rng.choice(KINDS, p=weights / weights.sum()))
    drawn_sky = str(rng.choice(OUTDOOR_SKIES, p=np.array(_SKY_WEIGHTS) / sum(_SKY_WEIGHTS)))
    kind = kind or drawn_kind
    if kind in NO_SKY_KINDS:
        return kind, "none"
    return kind, sky or drawn_sky


def _check(size: tuple[int, int], kind: str | None, sky: str | None) -> None:
    if len(size) != 2 or min(size) < 16:
        raise InputError(f"scene size: got {tuple(size)}, expected (height, width), each at least 16; try 384 512")
    if kind is not None and kind not in KINDS:
        raise InputError(f"scene kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    if sky is not None and sky not in SKIES:
        raise InputError(f"scene sky: got {sky!r}, expected one of {', '.join(SKIES)}")
    if kind is not None and sky is not None and (sky == "none") != (kind in NO_SKY_KINDS):
        raise InputError(
            f"scene: got kind {kind!r} with sky {sky!r}, expected sky 'none' with {', '.join(NO_SKY_KINDS)} and with no"
            " other kind; leave one of the two out"
        )


def compose(rng: Rng, size: tuple[int, int], kind: str, sky: str) -> Canvas:
    """Paint the layers of a scene, before the camera; `canvas.picture()` is linear RGB."""
    height, width = size
    horizon = rng.uniform(0.42, 0.82)
    if kind in ("lookup", "allsky"):
        horizon = rng.uniform(1.0, 1.6)
    if sky == "none":
        weather = str(rng.choice(("clear", "overcast", "sunset", "night"), p=(0.45, 0.4, 0.1, 0.05)))
        _, light = parts.make_sky(rng, weather, 16, 16, 0.5)
        if kind == "indoor":  # lamps and windows: soft, and mostly warm
            tone = pick(rng, ((255, 244, 228), (255, 226, 190), (240, 246, 255)), 0.05)
            light = parts.Light(light.sun_x, 0, tone * 0.35, tone * rng.uniform(0.25, 0.55), tone * 0.3, light.night)
        backdrop = np.zeros((height, width, 3), np.float32)
    else:
        backdrop, light = parts.make_sky(rng, sky, height, width, horizon)
    canvas = Canvas(height, width, light, backdrop, horizon)
    _PAINTERS[kind](canvas, rng)
    if kind not in NO_SKY_KINDS and rng.random() < 0.08:
        _birds(canvas, rng)
    return canvas


def expose(rng: Rng, picture: np.ndarray, light: parts.Light, sky: str) -> np.ndarray:
    """Turn linear light (H, W, 3) into 8-bit sRGB as a camera would: flare, exposure, white balance, lens, noise."""
    h, w = picture.shape[:2]
    xs, ys = (np.arange(w, dtype=np.float32)[None] + 0.5) / w, (np.arange(h, dtype=np.float32)[:, None] + 0.5) / h
    if sky in ("clear", "sunset") and rng.random() < 0.25 and -0.3 < light.sun_y < 1:
        away = np.hypot((xs - light.sun_x) * w / h, ys - light.sun_y)
        picture = picture + (rng.uniform(0.05, 0.35) * np.exp(-away / 0.35))[..., None] * linear(255, 226, 180)
        for t in rng.uniform(0.4, 1.8, 3):  # ghosts on the line through the middle
            spot = np.hypot(
                (xs - light.sun_x - (0.5 - light.sun_x) * t) * w / h, ys - light.sun_y - (0.5 - light.sun_y) * t
            )
            picture = picture + (0.03 * smooth(spot, 0.06, 0.04))[..., None] * pick(
                rng, ((120, 255, 160), (255, 160, 120), (160, 160, 255))
            )
    # Auto exposure, not perfect: the mean goes some way towards middle grey.
    small = picture[::8, ::8]
    mean = float(np.exp(np.log(small.mean(-1) + 1e-3).mean()))
    gain = (0.2 / mean) ** rng.uniform(0.35, 0.75) * float(np.exp(rng.normal(0, 0.28)))
    gain *= 0.75 if sky in ("sunset", "night") else 1.0
    warmth, green = rng.normal(0, [0.07, 0.015])  # cameras err from warm to cold far more than from green to magenta
    balance = np.exp([warmth, green, -warmth]).astype(np.float32)
    corner = rng.uniform(0, 0.45) * (rng.random() < 0.6)
    lens = 1 - corner * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2) * 2
    light_in = picture * (np.float32(gain) * balance) * lens[..., None]
    own = np.random.default_rng(int(rng.integers(2**62)))
    grain = rng.uniform(0.001, 0.012) * (2.0 if sky == "night" else 1.0)
    noise = own.standard_normal((h, w, 3), np.float32)
    light_in = light_in + noise * (grain * np.sqrt(np.clip(light_in, 0, 1) + 0.01) * 0.6)
    # Tone curve as a table: shoulder (or clipping), sRGB, contrast. 16384 steps are under half a level of 8 bits each.
    tone = np.linspace(0, 1.6, 16384, dtype=np.float32)
    if rng.random() < 0.6:  # film-like shoulder; else highlights clip
        tone = np.where(tone > 0.6, 0.6 + 0.4 * np.tanh((tone - 0.6) / 0.5), tone)
    tone = np.clip(tone, 0, 1)
    tone = np.where(tone <= 0.0031308, 12.92 * tone, 1.055 * np.power(tone, 1 / 2.4) - 0.055)
    contrast = rng.uniform(0, 0.5)
    tone = (tone + contrast * tone * (1 - tone) * (2 * tone - 1)).astype(np.float32) * 255
    s = tone[np.clip(light_in * np.float32(16383 / 1.6), 0, 16383).astype(np.int32)]
    grey = s @ np.full((3, 1), 1 / 3, np.float32)
    s = grey + (s - grey) * np.float32(rng.uniform(0.75, 1.25))
    return np.clip(np.rint(s), 0, 255).astype(np.uint8)


def generate(seed: int, size: tuple[int, int] = (384, 512), kind: str | None = None, sky: str | None = None) -> Scene:
    """Make the scene of a seed.

    Parameters
    ----------
    seed
        Any integer >= 0; the same arguments give the same bytes.
    size
        (height, width), each at least 16.
    kind, sky
        One of `KINDS`, of `SKIES`; None = drawn from the seed. "none" belongs to the kinds without sky and to no other.
    """
    _check(size, kind, sky)
    rng = np.random.default_rng(seed)
    kind, sky = _choose(rng, kind, sky)
    height, width = size
    tilt = math.radians(rng.normal(0, 5)) if rng.random() < 0.15 else 0.0
    mirrored, sharpness = rng.random() < 0.5, rng.uniform(0, 1)
    tall = math.ceil(height * math.cos(tilt) + width * abs(math.sin(tilt)))
    wide = math.ceil(width * math.cos(tilt) + height * abs(math.sin(tilt)))
    canvas = compose(rng, (tall, wide), kind, sky)
    layers = np.concatenate([canvas.picture(), canvas.alpha[..., None]], -1)  # lens and tilt treat all four alike
    if tilt:
        turn = cv2.getRotationMatrix2D(((wide - 1) / 2, (tall - 1) / 2), math.degrees(tilt), 1)
        turn[:, 2] += [(width - wide) / 2, (height - tall) / 2]
        layers = cv2.warpAffine(layers, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if sharpness < 0.6:
        layers = cv2.GaussianBlur(layers, (0, 0), (0.3 + 0.6 * (0.6 - sharpness)) * canvas.unit + 0.1)
    if mirrored:
        layers = layers[:, ::-1]
    image = expose(rng, np.maximum(layers[..., :3], 0), canvas.light, sky)
    alpha = np.ascontiguousarray(np.clip(layers[..., 3], 0, 1))
    return Scene(image, alpha, kind, sky)


# --- the command ------------------------------------------------------------------------------------------------------

MANIFEST_FIELDS = (
    "id",
    "source",
    "split",
    "group",
    "scene",
    "width",
    "height",
    "sky_fraction",
    "ignore_fraction",
    "label_quality",
    "licence",
    "origin",
)


@dataclass(frozen=True)
class Config:
    """Write procedural scenes as a data set: images, exact masks, manifest."""

    out: Path  # folder of the data set; SPLIT/images, SPLIT/masks and manifest.csv appear in it
    count: int  # how many scenes
    seed: int = 0  # seed of the first; the others follow
    size: tuple[int, int] = (384, 512)  # height, width in pixels
    split: str = "train"  # name of the split


def mask_bytes(alpha: np.ndarray) -> np.ndarray:
    """8-bit mask of alpha (H, W): round(255 * alpha), but never 128, which would mean "ignore"."""
    mask = np.round(alpha * 255).astype(np.uint8)
    mask[mask == 128] = 129
    return mask


def _write_png(path: Path, pixels: np.ndarray) -> None:
    if not cv2.imwrite(str(path), pixels):
        raise OSError(f"could not write {path}: is the disk full, or the folder read-only?")


def _other_rows(manifest: Path, split: str, ids: set[str]) -> list[list[str]]:
    """Rows of a manifest that writing these ids into this split leaves as they are."""
    if not manifest.exists():
        return []
    with open(manifest, newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    if tuple(header) != MANIFEST_FIELDS:
        raise InputError(
            f"{manifest}: got columns {header}, expected {','.join(MANIFEST_FIELDS)}; choose another --out"
        )
    return [row for row in rows if row[2] != split or row[0] not in ids]


def main(config: Config) -> None:
    """Write the data set; a manifest that is there already keeps its other rows."""
    from rich.console import Console
    from rich.progress import track

    if config.count < 1:
        raise InputError(f"--count: got {config.count}, expected at least 1")
    if config.seed < 0:
        raise InputError(f"--seed: got {config.seed}, expected 0 or more")
    _check(config.size, None, None)
    if not config.split or Path(config.split).name != config.split:
        raise InputError(f"--split: got {config.split!r}, expected a plain folder name such as train")
    manifest = config.out / "manifest.csv"
    seeds = range(config.seed, config.seed + config.count)
    kept = _other_rows(manifest, config.split, {f"scene_{seed:06d}" for seed in seeds})
    images, masks = (config.out / config.split / name for name in ("images", "masks"))
    images.mkdir(parents=True, exist_ok=True)
    masks.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in track(seeds, "scenes", console=Console(stderr=True)):
        scene, name = generate(seed, config.size), f"scene_{seed:06d}"
        _write_png(images / f"{name}.png", scene.image[..., ::-1])
        _write_png(masks / f"{name}.png", mask_bytes(scene.alpha))
        height, width = config.size
        label = (f"{scene.kind}, {scene.sky}", width, height, f"{scene.alpha.mean():.6f}", "0.000000", "exact")
        rows.append((name, "scenes", config.split, name, *label, "Apache-2.0", f"train/scenes.py seed {seed}"))
    with open(manifest, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([MANIFEST_FIELDS, *kept, *rows])
    print(f"{len(rows)} scenes in {config.out / config.split}")


if __name__ == "__main__":
    from edge_runtime.cli import run_command

    run_command(main, Config)
