"""Kinds of scene with sky among things that people built: each paints over a canvas whose sky and light are set."""

from __future__ import annotations

import itertools

import numpy as np

from scenes.parts.buildings import WALLS, block, facade, house, steeple
from scenes.parts.canvas import Canvas, rect
from scenes.parts.land import flat_line, ground, plane, ridge, road, sea
from scenes.parts.light import Palette, pick
from scenes.parts.noise import Rng
from scenes.parts.roadside import car, furniture, lamp, person
from scenes.parts.structures import mast, turbine, wires
from scenes.parts.trees import branches, tree, treeline

WHITE_WALLS = ((244, 242, 238), (236, 232, 222), (250, 250, 250))


def towers(canvas: Canvas, rng: Rng) -> None:
    """Open land with masts, turbines or steeples, and wires across."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    if rng.random() < 0.6:
        rise, color = rng.uniform(0.04, 0.2), pick(rng, ((90, 104, 70), (120, 110, 90)))
        ridge(canvas, rng, canvas.horizon + 0.02, rise, 3, color, 0.4, ridged=False)
    if rng.random() < 0.6:
        treeline(canvas, rng, canvas.horizon + 0.04, rng.uniform(0.03, 0.1), 0.2, rng.random() < 0.4)
    ground(canvas, rng, canvas.horizon + 0.02)
    count = int(rng.integers(1, 4))
    xs, tall = np.sort(rng.uniform(0.05, 0.95, count)) * w, rng.uniform(0.4, 0.95) * canvas.horizon * h
    feet = (canvas.horizon + rng.uniform(0.02, 0.15, count)) * h
    for x, y in zip(xs.tolist(), feet.tolist(), strict=True):
        roll = rng.random()
        if roll < 0.55:
            mast(canvas, rng, x, y, tall * rng.uniform(0.6, 1))
        elif roll < 0.75:
            turbine(canvas, rng, x, y, tall * 0.8)
        else:
            steeple(canvas, rng, x, y, tall)
    if rng.random() < 0.6:
        left, right = rng.uniform(0.05, 0.5) * h, rng.uniform(0.05, 0.5) * h
        gaps = np.cumsum(rng.uniform(4, 22, int(rng.integers(1, 6)))) * u
        ends = [([-20.0, left + gap], [w + 20.0, right + gap * 0.9]) for gap in gaps]
        wires(canvas, ends, rng.uniform(0.02, 0.12) * h, rng.uniform(0.3, 1.6) * u)


def city(canvas: Canvas, rng: Rng) -> None:
    """A skyline in three depths, before it land or water."""
    h, w = canvas.height, canvas.width
    for far, size, count in ((0.6, 0.22, 8), (0.35, 0.35, 6), (0.08, 0.5, 5)):
        for x in np.sort(rng.uniform(-0.08, 1, int(rng.integers(count // 2, count + 3)))):
            tall = rng.uniform(0.35, 1) * size * canvas.horizon * 1.6 * h
            wide = tall * rng.uniform(0.3, 0.9)
            block(canvas, rng, float(x) * w, (canvas.horizon + 0.04) * h - tall, wide, tall + 0.08 * h, far)
    if rng.random() < 0.6:
        treeline(canvas, rng, canvas.horizon + 0.07, rng.uniform(0.03, 0.09), 0.05, False)
    if rng.random() < 0.35:
        sea(canvas, rng, canvas.horizon + 0.06)
    else:
        ground(canvas, rng, canvas.horizon + 0.06)


def street(canvas: Canvas, rng: Rng) -> None:
    """A street between rows of houses, seen along its length."""
    h, w = canvas.height, canvas.width
    vanish_x, half = rng.uniform(0.25, 0.75) * w, rng.uniform(0.4, 0.8)
    y0, eye = canvas.horizon * h, (1 - canvas.horizon) * h
    if rng.random() < 0.5:
        treeline(canvas, rng, canvas.horizon + 0.02, rng.uniform(0.03, 0.1), 0.35, False)
    edge = flat_line(canvas, rng, canvas.horizon + 0.005, 0.0)
    pavement = pick(rng, ((150, 146, 140), (120, 116, 110), (110, 120, 80)))
    canvas.below(edge, plane(canvas, rng, canvas.horizon, pavement, 0.12, 2))
    road(canvas, rng, canvas.horizon, vanish_x, half)
    if rng.random() < 0.5:  # the street bends: a house stands across its end
        tall = rng.uniform(0.08, 0.3) * h
        block(canvas, rng, vanish_x - tall * 0.8, y0 - tall, tall * 1.6, tall + eye * 0.1, 0.2)
    palette = WHITE_WALLS if rng.random() < 0.35 else WALLS
    for side in (-1, 1):
        if rng.random() >= 0.18:
            _house_row(canvas, rng, vanish_x, half, side, palette)
    furniture(canvas, rng, vanish_x, half)


def _house_row(canvas: Canvas, rng: Rng, vanish_x: float, half: float, side: int, palette: Palette) -> None:
    """Line one side (-1 left, 1 right) of a street with houses, from far to near; at depth 1 is the lower edge."""
    depth, walls = 7.0, []
    while depth > 0.35:
        nearer = depth * rng.uniform(0.55, 0.82)
        walls.append((depth, nearer, rng.uniform(0.7, 3.2)))
        depth = nearer
    edge = half * rng.uniform(1.35, 1.8) * canvas.width
    sunny = 0.8 if (canvas.light.sun_x > 0.5) == (side < 0) else 0.12
    for far, near, tall in walls:
        if rng.random() >= 0.1:  # else a gap between houses
            wall = pick(rng, palette)
            floors, bays = max(2, round(tall * 1.7)), int(np.clip((far - near) * 5, 2, 9))
            front = facade(rng, canvas.light, floors, bays, wall, sunny)
            mist = 0.35 * min(1.0, far / 7)
            gable = canvas.light.on(wall * 0.9, 0.45)
            front += mist * (canvas.light.haze * 0.8 - front)
            _terrace(canvas, rng, vanish_x, side * edge, far, near, tall, front, gable)


def _terrace(
    canvas: Canvas,
    rng: Rng,
    vanish_x: float,
    edge: float,
    far: float,
    near: float,
    tall: float,
    front: np.ndarray,
    gable: np.ndarray,
) -> None:
    """Stand one house of a row between two depths, `edge` pixels from the vanishing point at depth 1."""
    y0, eye = canvas.horizon * canvas.height, (1 - canvas.horizon) * canvas.height
    x1, x0 = vanish_x + edge / far, vanish_x + edge / near
    top1, top0, low1, low0 = y0 - tall * eye / far, y0 - tall * eye / near, y0 + eye / far, y0 + eye / near
    outwards = 0.6 * abs(x0 - x1) * np.sign(edge)
    canvas.fill(rect(x0, top0, x0 + outwards, low0), gable)  # shows above and behind a lower neighbor
    canvas.lay(front, [[x1, top1], [x0, top0], [x0, low0], [x1, low1]])
    if rng.random() < 0.6:  # eaves seen from below
        lip = 0.06 * tall * eye
        tiles = canvas.light.on(pick(rng, ((120, 70, 54), (80, 80, 84), (210, 206, 200))), 0.4)
        upper = [[x1, top1 - lip * rng.uniform(1, 3) / far], [x0, top0 - lip * 1.2 / near]]
        canvas.fill([*upper, [x0, top0 + lip * 0.2 / near], [x1, top1 + lip * 0.2 / far]], tiles)


def field(canvas: Canvas, rng: Rng) -> None:
    """Open country with a road, poles and wires, single trees and houses."""
    h, w = canvas.height, canvas.width
    if rng.random() < 0.5:
        rise, color = rng.uniform(0.03, 0.15), pick(rng, ((90, 104, 80), (120, 116, 100)))
        ridge(canvas, rng, canvas.horizon + 0.02, rise, 2.5, color, 0.55, ridged=False)
    if rng.random() < 0.75:
        treeline(canvas, rng, canvas.horizon + 0.02, rng.uniform(0.02, 0.09), 0.3, rng.random() < 0.3)
    ground(canvas, rng, canvas.horizon, 0.006)
    vanish_x, half = rng.uniform(0.2, 0.8) * w, rng.uniform(0.25, 0.6)
    if rng.random() < 0.65:
        road(canvas, rng, canvas.horizon, vanish_x, half)
    y0, eye, side = canvas.horizon * h, (1 - canvas.horizon) * h, float(rng.choice([-1.0, 1.0]))
    if rng.random() < 0.6:
        _pole_line(canvas, rng, vanish_x, side * half)
    for z in np.sort(1 / rng.uniform(0.15, 0.9, int(rng.integers(0, 6))))[::-1]:
        x, y, scale = rng.uniform(0, 1) * w, y0 + eye / z, eye / z
        roll = rng.random()
        if roll < 0.45:
            tree(canvas, rng, x, y, scale * rng.uniform(1.5, 3), float(rng.choice([0, 0.5, 0.9])))
        elif roll < 0.7:
            house(canvas, rng, x, y, scale * rng.uniform(1.2, 3), scale * rng.uniform(0.7, 1.4), scale)
        elif roll < 0.85:
            car(canvas, rng, vanish_x + half * w * rng.uniform(-0.6, 0.6) / z, y, scale * 1.4)
        else:
            person(canvas, rng, x, y, scale * 0.9)


def _pole_line(canvas: Canvas, rng: Rng, vanish_x: float, half: float) -> None:
    """Stand poles with three wires along a road; `half` as in `road`, negative on the left."""
    u, y0, eye = canvas.unit, canvas.horizon * canvas.height, (1 - canvas.horizon) * canvas.height
    tops, wood = [], canvas.light.on(pick(rng, ((90, 72, 56), (130, 126, 120))), 0.4)
    for z in 1 / np.linspace(0.12, 1.2, int(rng.integers(4, 8))):
        x, y, tall = vanish_x + half * canvas.width * 1.25 / z, y0 + eye / z, eye * 3 / z
        level, arm = y - tall * 0.95, tall * 0.09
        canvas.strokes([[[x, y], [x, y - tall]]], max(tall * 0.02, 0.4 * u), wood)
        canvas.strokes([[[x - arm, level], [x + arm, level]]], max(tall * 0.012, 0.4 * u), wood)
        tops.append((x, y - tall * 0.96, tall))
    for (xa, ya, ta), (xb, yb, tb) in itertools.pairwise(tops):
        ends = [([xa + k * ta, ya], [xb + k * tb, yb]) for k in (-0.085, 0, 0.085)]
        wires(canvas, ends, 0.05 * tb, max(0.006 * ta, 0.3 * u))


def lookup(canvas: Canvas, rng: Rng) -> None:
    """Looking up: towers that lean together, boughs from all sides, or wires across the sky."""
    h, w, roll = canvas.height, canvas.width, rng.random()
    if roll < 0.45:
        zenith = np.array([rng.uniform(0.3, 0.7) * w, rng.uniform(-0.6, 0.2) * h])
        for _ in range(int(rng.integers(1, 4))):
            _leaning_tower(canvas, rng, zenith)
    elif roll < 0.85:
        branches(canvas, rng, int(rng.integers(2, 5)))
        if rng.random() < 0.4:
            x, tall, leafy = rng.uniform(0.2, 0.8) * w, h * rng.uniform(0.6, 1.2), float(rng.choice([0, 0.3, 0.8]))
            tree(canvas, rng, x, h * 1.1, tall, leafy)
    if roll >= 0.75:
        slope, start = rng.normal(0, 0.25, 2).tolist(), rng.uniform(0.1, 0.8) * h
        gaps = np.cumsum(rng.uniform(3, 40, int(rng.integers(1, 7)))) * canvas.unit
        ends = [([-9.0, start + gap], [w + 9.0, start + gap * (1 + slope[1]) + slope[0] * h]) for gap in gaps]
        wires(canvas, ends, rng.uniform(0, 0.08) * h, rng.uniform(0.3, 3) * canvas.unit)
        if rng.random() < 0.5:
            lamp(canvas, rng, rng.uniform(0.1, 0.9) * w, h * 1.2, h * rng.uniform(0.5, 1.0), int(rng.choice([-1, 1])))


def _leaning_tower(canvas: Canvas, rng: Rng, zenith: np.ndarray) -> None:
    """Stand a tower, two of its walls seen from its foot, whose edges run toward the zenith (2,) in pixels."""
    w, low = canvas.width, canvas.height * 1.15
    x, wide = rng.uniform(-0.3, 1) * w, rng.uniform(0.2, 0.5) * w
    t = rng.uniform(0.35, 0.85)  # how far the walls run toward the zenith
    a, b = np.array([x, low]), np.array([x + wide, low])
    floors, bays = int(rng.integers(6, 16)), int(rng.integers(4, 9))
    front = facade(rng, canvas.light, floors, bays, pick(rng, WALLS), rng.uniform(0.1, 0.9))
    canvas.lay(front, [a + (zenith - a) * t, b + (zenith - b) * t, b, a])
    c = b + np.array([0.2 * w * (1 if zenith[0] > x else -1), 0])
    canvas.lay(front * 0.5, [b + (zenith - b) * t, c + (zenith - c) * (t - 0.05), c, b])
