"""Where the horizon is, as far as the sky tells: the lowest edge of the sky over the columns of a map."""

from __future__ import annotations

import numpy as np

LEAST_SHARE = 0.02  # of the image that must be sky
LEAST_COLUMNS = 0.2  # of the columns that must hold sky
QUANTILE = 0.9  # of the columns' edges: things that stand on the ground hide the horizon and lift the edge


def estimate_horizon(probability: np.ndarray, threshold: float) -> float | None:
    """Return the height of the horizon in a map (h, w) float32: 0 at the image's upper edge, 1 at its lower.

    A column's edge is the row that best parts sky above from other things below, so a branch or a reflection does not move
    it. The estimate is a high quantile of the edges, for buildings and trees only lift them. It is None where there is too
    little sky, and where the sky reaches the lower edge: a camera that looks up shows no horizon.
    """
    sky = probability >= threshold
    height = sky.shape[0]
    columns = sky[:, sky.any(axis=0)]
    if sky.mean() < LEAST_SHARE or columns.shape[1] < LEAST_COLUMNS * sky.shape[1]:
        return None
    balance = np.cumsum(np.where(columns, 1, -1), axis=0)
    edges = height - np.argmax(balance[::-1], axis=0)
    horizon = float(np.quantile(edges / height, QUANTILE))
    return round(horizon, 4) if horizon < 1 else None
