"""Cars and people that cross a moving scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scenes.parts.canvas import Canvas
from scenes.parts.light import pick

DARK = ((40, 44, 52), (120, 30, 30), (200, 200, 205), (30, 60, 110), (70, 90, 60), (25, 25, 28))  # sRGB


@dataclass(frozen=True)
class Passing:
    """A thing that crosses the image: its layer on the plate, and pixels of the frame that it moves in each."""

    paint: np.ndarray
    cover: np.ndarray
    step: np.ndarray


def cars_and_people(rng: np.random.Generator, plate: Canvas, size: tuple[int, int], frames: int) -> list[Passing]:
    """Make two cars and two people, each in front of the skyline in the middle of the shot."""
    found = []
    for number in range(4):
        layer = Canvas(plate.height, plate.width, plate.light, plate.sky, plate.horizon)
        x = plate.width / 2 + rng.uniform(-0.35, 0.35) * size[1]
        column = plate.alpha[:, int(np.clip(x, 0, plate.width - 1))] > 0.5
        skyline = float(np.argmin(column)) if not column.all() else plate.height * plate.horizon
        tall = rng.uniform(0.1, 0.22) * size[0] * (1.0 if number % 2 else 1.6)
        y = float(np.clip(skyline, 0.25 * plate.height, 0.75 * plate.height)) + tall * rng.uniform(0.2, 0.5)
        color = plate.light.on(pick(rng, DARK), 0.5)
        (_car if number % 2 else _person)(layer, x, y, tall, color)
        speed = rng.choice([-1, 1]) * rng.uniform(3, 7) * size[1] / 640
        found.append(Passing(layer.paint, 1 - layer.alpha, np.array([speed, 0.0])))
    return found


def _car(layer: Canvas, x: float, y: float, tall: float, color: np.ndarray) -> None:
    """Paint a car whose wheels stand at (x, y)."""
    long, deck = tall * 2.2, y - tall * 0.55
    layer.fill(
        [[x - long / 2, y - tall * 0.12], [x - long / 2, deck], [x + long / 2, deck], [x + long / 2, y - tall * 0.12]], color
    )
    cabin = [[x - long * 0.32, deck], [x - long * 0.2, y - tall], [x + long * 0.18, y - tall], [x + long * 0.34, deck]]
    layer.fill(cabin, color * 0.5)
    for wheel in (x - long * 0.3, x + long * 0.3):
        _disc(layer, wheel, y - tall * 0.15, tall * 0.16, color * 0.1)


def _person(layer: Canvas, x: float, y: float, tall: float, color: np.ndarray) -> None:
    """Paint somebody whose feet stand at (x, y)."""
    wide = tall * 0.13
    body = [[x - wide, y], [x - wide * 1.2, y - tall * 0.78], [x + wide * 1.2, y - tall * 0.78], [x + wide, y]]
    layer.fill(body, color)
    _disc(layer, x, y - tall * 0.88, tall * 0.1, color * 0.8)


def _disc(layer: Canvas, x: float, y: float, radius: float, color: np.ndarray) -> None:
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    layer.fill(np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], -1), color)
