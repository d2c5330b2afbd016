"""What stands along a road: lamps, cars, people, signs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from scenes.parts.canvas import Canvas, rect
from scenes.parts.light import linear, pick
from scenes.parts.noise import Rng, fork
from scenes.parts.structures import wires
from scenes.parts.trees import tree

CARS = ((200, 200, 204), (40, 42, 46), (150, 28, 30), (40, 62, 110), (120, 124, 128), (235, 235, 235), (70, 90, 70))
CLOTHES = ((150, 40, 40), (40, 50, 80), (200, 200, 195), (50, 50, 52), (70, 110, 150), (190, 150, 60))


def furniture(canvas: Canvas, rng: Rng, vanish_x: float, half: float) -> None:
    """Trees, lamps, cars, people and wires along a road (see `land.road`), from far to near."""
    h, w, u = canvas.height, canvas.width, canvas.unit
    y0, eye = canvas.horizon * h, (1 - canvas.horizon) * h
    depths = np.sort(1 / rng.uniform(0.15, 1.15, int(rng.integers(3, 11))))[::-1]
    bare = rng.random() < 0.4
    lamp_side = int(rng.choice([-1, 1]))
    for z in depths:
        side, roll = float(rng.choice([-1.0, 1.0])), rng.random()
        x, y, scale = vanish_x + side * half * w * rng.uniform(1.02, 1.3) / z, y0 + eye / z, eye / z
        if roll < 0.25:
            tree(canvas, rng, x, y, scale * rng.uniform(1.5, 3.2), 0.0 if bare else rng.uniform(0.4, 1))
        elif roll < 0.5:
            lamp(canvas, rng, vanish_x + lamp_side * half * w * 1.05 / z, y, scale * 3.2, -lamp_side)
        elif roll < 0.8:
            lane = vanish_x + side * half * w * rng.uniform(0.4, 0.95) / z
            car(canvas, rng, lane, y, scale * rng.uniform(1.0, 1.6))
        elif roll < 0.92:
            person(canvas, rng, x, y, scale * 0.95)
        else:
            sign(canvas, rng, x, y, scale * rng.uniform(1.3, 2.6))
    if rng.random() < 0.4:
        low = rng.uniform(0.1, 0.7)
        ends = [
            ([-5.0, y0 * (low + rng.normal(0, 0.12))], [w + 5.0, y0 * (low + rng.normal(0, 0.12))])
            for _ in range(int(rng.integers(1, 7)))
        ]
        wires(canvas, ends, rng.uniform(0.01, 0.08) * h, rng.uniform(0.3, 1.5) * u)


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
    own, light = fork(rng), canvas.light
    body = light.on(pick(own, CARS), 0.6)
    van, flip = own.random() < 0.25, own.choice([-1.0, 1.0])

    def at(points: ArrayLike) -> np.ndarray:  # in lengths of the car, y up
        return np.array(points) * [long * flip, -long] + [x, y]

    top = 0.42 if van else 0.34
    rear = [[-0.5, 0.07], [-0.5, 0.2], [-0.42, 0.24], [-0.3, top]]
    front = [[0.1 + 0.2 * van, top], [0.26 + 0.1 * van, 0.23], [0.46, 0.2], [0.5, 0.15], [0.5, 0.07]]
    glass = [[-0.36, 0.235], [-0.28, top - 0.025], [0.08 + 0.2 * van, top - 0.025], [0.2 + 0.12 * van, 0.235]]
    canvas.fill(at([[-0.52, 0.0], [0.52, 0.0], [0.5, 0.08], [-0.5, 0.08]]), light.on(linear(25, 25, 27)), 0.85)
    canvas.fill(at([*rear, *front]), body)
    canvas.fill(at(glass), light.on(linear(50, 58, 66), 0.7))
    canvas.strokes(at([[-0.08, 0.1], [-0.08, top]])[None], long * 0.015, body * 0.7)
    canvas.strokes(at([[-0.48, 0.13], [0.48, 0.13]])[None], long * 0.02, body * 0.65)
    turn = np.linspace(0, 2 * np.pi, 16)
    wheel = np.stack([np.cos(turn), np.sin(turn)], -1)
    for axle in (-0.31, 0.3):
        canvas.fill(at(wheel * 0.085 + [axle, 0.085]), light.on(linear(28, 28, 30)))
        canvas.fill(at(wheel * 0.045 + [axle, 0.085]), light.on(linear(130, 130, 134)))
    if light.night:
        canvas.strokes(at([[0.47, 0.15], [0.5, 0.15]])[None], long * 0.05, linear(255, 240, 200) * 2)


def person(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a person of `tall` pixels on (x, y)."""
    own, light = fork(rng), canvas.light
    coat, trousers = (light.on(pick(own, CLOTHES)) for _ in range(2))
    step = own.uniform(0.03, 0.12)

    def limbs(lines: ArrayLike, thickness: float, color: np.ndarray) -> None:  # in heights of the person, y up
        canvas.strokes(np.array(lines) * [tall, -tall] + [x, y], tall * thickness, color)

    limbs([[[-step, 0], [0, 0.48]], [[step, 0], [0, 0.48]]], 0.09, trousers * 0.7)
    limbs([[[0, 0.5], [0, 0.76]]], 0.19, coat)
    limbs([[[-0.1, 0.78], [-0.13, 0.48]], [[0.1, 0.78], [0.13, 0.48]]], 0.06, coat * 0.8)
    limbs([[[0, 0.9], [0, 0.93]]], 0.12, light.on(pick(own, ((205, 160, 130), (110, 78, 60), (60, 40, 30)))))


def sign(canvas: Canvas, rng: Rng, x: float, y: float, tall: float) -> None:
    """Stand a road sign of `tall` pixels on (x, y)."""
    light = canvas.light
    canvas.strokes([[[x, y], [x, y - tall]]], max(tall * 0.03, 0.5 * canvas.unit), light.on(linear(120, 122, 124)))
    paints = ((30, 80, 160), (240, 240, 240), (170, 30, 30), (30, 110, 70), (230, 190, 40))
    color = light.on(pick(rng, paints), 0.7)
    s, r = tall * rng.uniform(0.1, 0.35), tall * rng.uniform(0.1, 0.22)
    canvas.fill(rect(x - s, y - tall, x + s, y - tall + 2 * r), light.on(linear(240, 240, 240), 0.6))
    k = 0.9  # of the board; the rest is its white rim
    canvas.fill(rect(x - s * k, y - tall + r * (1 - k), x + s * k, y - tall + r * (1 + k)), color)
