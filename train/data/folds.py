"""Folds for cross-validation that never part images of one group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edge_runtime.images.dataset import Pair


def part_by_group(pairs: Sequence[Pair], folds: int, seed: int) -> list[list[Pair]]:
    """Divide images into `folds` lists of nearly equal length per source; a group is in one of them as a whole.

    Groups of a source are dealt largest first (ties in a seeded order) to the fold that has the fewest of that source.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[Pair]] = [[] for _ in range(folds)]
    for source in sorted({pair.source for pair in pairs}):
        groups: dict[str, list[Pair]] = {}
        for pair in pairs:
            if pair.source == source:
                groups.setdefault(pair.group, []).append(pair)
        names = sorted(groups)
        rng.shuffle(names)
        held = [0] * folds
        start = int(rng.integers(folds))  # small sources must not all fill the first fold
        for name in sorted(names, key=lambda name: -len(groups[name])):
            fold = min(range(folds), key=lambda number: (held[number], (number - start) % folds))
            parts[fold] += groups[name]
            held[fold] += len(groups[name])
    return parts
