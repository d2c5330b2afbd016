"""What the notebooks share: commands that run in the project's root, and images side by side."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "notebooks"
plt.rcParams["figure.dpi"] = 50  # the executed copies are committed


def run(*words: str | Path) -> None:
    """Run `python WORDS` in the project's root and print what it says; raises `RuntimeError` where it fails."""
    plain = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "CLICOLOR_FORCE")}
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=ROOT, env=plain | {"COLUMNS": "160"}, text=True, capture_output=True
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    print(done.stdout.rstrip().replace(f"{ROOT}/", ""))


def show(**images: np.ndarray) -> None:
    """Show (H, W, 3) uint8 RGB images and (H, W) masks in [0, 1] side by side, titled by their keywords."""
    _, axes = plt.subplots(1, len(images), figsize=(4 * len(images), 3.4), squeeze=False)
    for axis, (title, image) in zip(axes[0], images.items(), strict=True):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title.replace("_", " "))
        axis.axis("off")
    plt.tight_layout()
    plt.show()
