"""Kinds of scene: what paints them, how often they are drawn, and whether they show sky."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scenes.kinds import built, indoor, nature, nosky
from scenes.parts.canvas import Canvas
from scenes.parts.noise import Rng


@dataclass(frozen=True)
class Kind:
    """A painter, its weight among the kinds that are drawn, and whether there is sky behind what it paints."""

    paint: Callable[[Canvas, Rng], None]
    weight: float
    has_sky: bool = True


# A seed draws by this order and these weights: a new kind goes to the end and has weight 0, or every scene changes.
KINDS = {
    "mountain": Kind(nature.mountain, 1.1),
    "forest": Kind(nature.forest, 0.8),
    "trees": Kind(nature.trees, 1.5),
    "towers": Kind(built.towers, 0.9),
    "city": Kind(built.city, 1.1),
    "street": Kind(built.street, 2.2),
    "field": Kind(built.field, 1.2),
    "water": Kind(nature.water, 1.0),
    "lookup": Kind(built.lookup, 0.8),
    "allsky": Kind(nature.allsky, 0.3),
    "wall": Kind(nosky.wall, 1.0, has_sky=False),
    "indoor": Kind(indoor.indoor, 1.4, has_sky=False),
    "closeup": Kind(nosky.closeup, 0.8, has_sky=False),
    "flat": Kind(nosky.flat, 0.0, has_sky=False),  # on request alone: nobody calibrates on it
}
