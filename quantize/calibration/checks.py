"""What decides whether an int8 network is good enough: agreement with float32, and IoU where there are labels. A library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import GateError
from edge_runtime.images.dataset import find_pairs
from export.network import Network
from export.parity import pooled_agreement, run_torch
from quantize.calibration.labeled import LabeledSet


@dataclass(frozen=True, eq=False)
class Checks:
    """What every int8 network is compared with; float32 results are computed once for all formats.

    Attributes
    ----------
    held_out
        Pictures at the input size, (H, W, 3) uint8 RGB.
    masks
        (N, H, W) float32 probabilities of the float32 network on `held_out`.
    labeled
        Pictures of --eval; None without it.
    iou, by_source
        IoU of the float32 network on `labeled`, pooled over all and over each source, 0 to 1; 0 and empty without it.
    """

    held_out: list[np.ndarray]
    masks: np.ndarray
    labeled: LabeledSet | None
    iou: float
    by_source: dict[str, float]


def prepare(network: Network, held_out: list[np.ndarray], labeled: Path | None, split: str | None) -> Checks:
    """Run the float32 network on all that it is compared on."""
    masks = run_torch(network.reference, held_out)
    if labeled is None:
        return Checks(held_out, masks, None, 0.0, {})
    found = LabeledSet(find_pairs(labeled, split), network.size)
    expected = run_torch(network.reference, found.images)
    return Checks(held_out, masks, found, found.iou(expected), found.iou_by_source(expected))


def measure(run: Callable[[np.ndarray], np.ndarray], checks: Checks, got: np.ndarray) -> dict[str, Any]:
    """Return `metrics` of model.json: agreement with fp32, and with --eval the IoU of both and the source that loses most."""
    metrics: dict[str, Any] = {
        "agreement": {"to": "torch fp32", "value": pooled_agreement(checks.masks, got), "pictures": len(got)}
    }
    if checks.labeled is not None:
        masks = checks.labeled.masks(run)
        worst, lost = worst_source(checks.by_source, checks.labeled.iou_by_source(masks))
        iou = checks.labeled.iou(masks)
        metrics["eval"] = {
            "pictures": len(checks.labeled.images), "iou_fp32": checks.iou, "iou": iou,
            "drop_points": 100.0 * (checks.iou - iou), "worst_source": worst, "worst_source_drop_points": lost,
        }  # fmt: skip
    return metrics


def worst_source(before: dict[str, float], after: dict[str, float]) -> tuple[str, float]:
    """Return the source whose IoU fell most, and by how many points."""
    drops = {source: 100.0 * (iou - after.get(source, 0.0)) for source, iou in before.items()}
    worst = max(drops, key=lambda source: drops[source])
    return worst, drops[worst]


def gate(metrics: dict[str, Any], min_agreement: float, max_drop: float) -> GateError | None:
    """Return why an int8 network is not good enough, or None; NaN never is."""
    advice = "nothing was written. Calibrate on more, and more varied, pictures of the kind that the network will see"
    value = metrics["agreement"]["value"]
    if not value >= min_agreement:
        return GateError(f"agreement with fp32 is {value:.4f}, expected at least {min_agreement}; {advice}")
    if "eval" in metrics and not metrics["eval"]["drop_points"] <= max_drop:
        drop = metrics["eval"]["drop_points"]
        return GateError(
            f"int8 loses {drop:.2f} points of pooled IoU, expected at most {max_drop}; {advice}, or try --keep-float AUTO"
        )
    return None
