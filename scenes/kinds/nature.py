"""Kinds of scene with sky in which people built little: each paints over a canvas whose sky and light are set."""

from __future__ import annotations

from scenes.parts.canvas import Canvas
from scenes.parts.land import boat, flat_line, ground, plane, ridge, sea
from scenes.parts.light import pick
from scenes.parts.noise import Rng
from scenes.parts.structures import birds
from scenes.parts.trees import branches, fir, tree, treeline


def mountain(canvas: Canvas, rng: Rng) -> None:
    """Ranges behind each other, perhaps with snow, firs in front."""
    h, w = canvas.height, canvas.width
    layers, cold = int(rng.integers(2, 5)), rng.random() < 0.5
    rock = pick(rng, ((120, 112, 104), (150, 120, 96), (96, 98, 104), (140, 90, 70)))
    for k in range(layers):
        far = rng.uniform(0.35, 0.8) * (1 - (k + 0.3) / layers)
        rise = rng.uniform(0.15, 0.4) * (1 - 0.5 * k / layers)
        base = canvas.horizon + 0.12 * (k - layers + 1) / layers + 0.05
        near = k == layers - 1
        color = pick(rng, ((86, 104, 60), (110, 104, 70), (70, 90, 56), (130, 110, 84))) if near else rock
        snow = rng.uniform(0.2, 0.8) if cold and not near else None
        cells, ridged = rng.uniform(2, 5), not near or rng.random() < 0.5
        ridge(canvas, rng, base, rise, cells, color, max(far, 0), snow, ridged)
    if rng.random() < 0.6:
        treeline(canvas, rng, canvas.horizon + 0.12, rng.uniform(0.04, 0.12), 0.1, rng.random() < 0.7)
    ground(canvas, rng, canvas.horizon + 0.1)
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 7))):
            fir(canvas, rng, rng.uniform(0, 1) * w, rng.uniform(0.85, 1.1) * h, rng.uniform(0.15, 0.6) * h)


def forest(canvas: Canvas, rng: Rng) -> None:
    """Woods in three lines, and trees in front of them."""
    conifer, h, w = rng.random() < 0.5, canvas.height, canvas.width
    if rng.random() < 0.5:
        ridge(canvas, rng, canvas.horizon, rng.uniform(0.08, 0.25), 2.5, pick(rng, ((80, 96, 70),)), 0.5, ridged=False)
    for k, tall in enumerate(rng.uniform(0.08, 0.3, 3)):
        sort = conifer if rng.random() < 0.8 else not conifer
        treeline(canvas, rng, canvas.horizon + 0.03 + 0.05 * k, float(tall) * (0.6 + 0.3 * k), 0.4 - 0.2 * k, sort)
    ground(canvas, rng, canvas.horizon + 0.12)
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0, 1) * w, rng.uniform(0.82, 1.1) * h
        if conifer:
            fir(canvas, rng, x, y, rng.uniform(0.3, 0.95) * h)
        else:
            tree(canvas, rng, x, y, rng.uniform(0.35, 0.8) * h, rng.uniform(0.3, 1))


def trees(canvas: Canvas, rng: Rng) -> None:
    """Single trees in the open, with or without leaves."""
    h, w = canvas.height, canvas.width
    if rng.random() < 0.5:
        treeline(canvas, rng, canvas.horizon + 0.04, rng.uniform(0.05, 0.15), 0.25, rng.random() < 0.3)
    ground(canvas, rng, canvas.horizon + 0.02)
    bare = rng.random() < 0.45
    for _ in range(int(rng.integers(1, 5))):
        leafy = 0.0 if bare else rng.uniform(0.15, 1)
        y = rng.uniform(canvas.horizon + 0.08, 1.25) * h
        tall = rng.uniform(0.6, 1.1) * (y - canvas.horizon * h * 0.35)
        tree(canvas, rng, rng.uniform(-0.05, 1.05) * w, y, tall, leafy, rng.normal(0, 0.08))
    if rng.random() < 0.3:
        branches(canvas, rng, 2)


def water(canvas: Canvas, rng: Rng) -> None:
    """A lake or the sea, with far shores and boats, perhaps seen from a beach."""
    h, w, horizon = canvas.height, canvas.width, canvas.horizon
    if rng.random() < 0.45:
        for far in (0.7, 0.4)[: int(rng.integers(1, 3))]:
            rise, color = rng.uniform(0.04, 0.25), pick(rng, ((90, 100, 84), (120, 108, 96)))
            ridge(canvas, rng, horizon + 0.005, rise, 3, color, far)
    if rng.random() < 0.35:
        treeline(canvas, rng, horizon + 0.01, rng.uniform(0.02, 0.1), 0.2, rng.random() < 0.5)
    sea(canvas, rng, horizon)
    for _ in range(int(rng.integers(0, 4))):
        y = (horizon + rng.uniform(0.005, 0.2)) * h
        boat(canvas, rng, rng.uniform(0.05, 0.95) * w, y, (y - horizon * h + 6 * canvas.unit) * rng.uniform(1, 2.2))
    if rng.random() < 0.4:
        shore = plane(canvas, rng, horizon, pick(rng, ((200, 180, 140), (120, 112, 100), (90, 96, 60))), 0.2, 1)
        canvas.below(flat_line(canvas, rng, rng.uniform(0.85, 0.97), 0.05), shore)
        if rng.random() < 0.5:
            x, tall, leafy = float(rng.choice([0.05, 0.95])) * w, h * rng.uniform(0.6, 1), float(rng.choice([0, 0.6]))
            tree(canvas, rng, x, h * 1.05, tall, leafy)


def allsky(canvas: Canvas, rng: Rng) -> None:
    """Nothing but sky, now and then with birds."""
    if rng.random() < 0.25:
        birds(canvas, rng)
