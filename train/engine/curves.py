"""Training curves as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def plot_curves(log: list[dict[str, Any]], path: Path, title: str) -> None:
    """Draw loss and validation IoU over the steps of `log` (rows with step, loss and sometimes val_iou) as PNG."""
    from matplotlib.figure import Figure  # the object interface: no global state, no window system

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.array([row["step"] for row in log])
    loss = np.array([row["loss"] for row in log])
    window = max(1, len(loss) // 100)
    smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
    left.plot(steps, loss, alpha=0.25, linewidth=0.5, label="each step")
    left.plot(steps[window - 1 :], smooth, label=f"mean of {window}")
    left.set(xlabel="step", ylabel="loss", yscale="log", title=title)
    left.legend()
    points = [row for row in log if "val_iou" in row]
    right.plot([row["step"] for row in points], [row["val_iou"] for row in points], marker="o")
    right.set(xlabel="step", ylabel="pooled IoU", title="validation, averaged weights")
    right.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
