"""What decides whether an int8 network is good enough: agreement with float32, and IoU where there are labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.backends import Backend
from edge_runtime.errors import GateError, InputError
from edge_runtime.images.dataset import find_pairs
from export.network import Network
from export.parity import UNTRAINED, built_in_scenes, pooled_agreement, require_both, run_backend, run_torch, sky_share
from quantize.calibration.labeled import LabeledSet


@dataclass(frozen=True, eq=False)
class Comparison:
    """Images, (H, W, 3) uint8 RGB at the input size, and what the float32 network predicts on them, (N, H, W) float32."""

    images: list[np.ndarray]
    expected: np.ndarray


@dataclass(frozen=True, eq=False)
class Checks:
    """What every int8 network is compared with; float32 results are computed once for all formats.

    Attributes
    ----------
    held_out, scenes
        Images of --calib that calibration does not use, and the built-in scenes; both hold sky and ground.
    labeled
        Images of --eval; None without it.
    iou
        Pooled IoU of the float32 network on `labeled`, 0 to 1; 0 without it.
    """

    held_out: Comparison
    scenes: Comparison
    labeled: LabeledSet | None
    iou: float


def prepare(network: Network, held_out: list[np.ndarray], labeled: Path | None, split: str | None) -> Checks:
    """Run the float32 network on all that int8 is compared on.

    Raises `InputError` where it finds only sky or only ground in `held_out`, and `GateError` for the built-in scenes.
    """
    images = built_in_scenes(network.size)
    scenes = Comparison(images, run_torch(network.reference, images))
    require_both(sky_share(scenes.expected), "the built-in scenes", UNTRAINED)
    compared = Comparison(held_out, run_torch(network.reference, held_out))
    kept_back = f"the {len(held_out)} images of --calib that are kept back for the check"
    require_both(sky_share(compared.expected), kept_back, "add images of the other kind to --calib", InputError)
    if labeled is None:
        return Checks(compared, scenes, None, 0.0)
    found = LabeledSet(find_pairs(labeled, split), network.size)
    return Checks(compared, scenes, found, found.iou(run_torch(network.reference, found.images)))


def measure(backend: Backend, checks: Checks) -> dict[str, Any]:
    """Return `metrics` of model.json: agreement with fp32, and with --eval the IoU of both."""
    held_out, scenes = (
        pooled_agreement(each.expected, run_backend(backend, each.images)) for each in (checks.held_out, checks.scenes)
    )
    metrics: dict[str, Any] = {
        "agreement": {
            "to": "torch fp32", "value": held_out, "images": len(checks.held_out.images),
            "on_scenes": scenes, "scenes": len(checks.scenes.images),
        }
    }  # fmt: skip
    if checks.labeled is not None:
        iou = checks.labeled.iou(run_backend(backend, checks.labeled.images))
        drop = 100.0 * (checks.iou - iou)
        metrics["eval"] = {"images": len(checks.labeled.images), "iou_fp32": checks.iou, "iou": iou, "drop_points": drop}
    return metrics


def gate(metrics: dict[str, Any], min_agreement: float, max_drop: float) -> GateError | None:
    """Return why an int8 network is not good enough, or None; NaN never is."""
    advice = "nothing was written. Calibrate on more, and more varied, images of the kind that the network will see"
    for key, where in (("value", "images kept back"), ("on_scenes", "built-in scenes")):
        value = metrics["agreement"][key]
        if not value >= min_agreement:
            return GateError(f"agreement with fp32 is {value:.4f} on {where}, expected at least {min_agreement}; {advice}")
    if "eval" in metrics and not metrics["eval"]["drop_points"] <= max_drop:
        drop = metrics["eval"]["drop_points"]
        return GateError(
            f"int8 loses {drop:.2f} points of pooled IoU, expected at most {max_drop}; {advice}, or try --keep-float AUTO"
        )
    return None
