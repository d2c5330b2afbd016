"""Which artifact to take on a machine that was measured, and how to measure the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.report.rows import Line, precision_effects

SAME_IOU = 0.001  # masks whose IoU differs by less are called equally good
GOOD_ENOUGH = 0.02  # IoU that speed or size may cost
REFERENCE_FORMAT = "torch"  # the full-precision reference, not for devices

MEASURE = "python -m edge_runtime.benchmark --models models/*/ --threads 1 2"
# Kind of machine -> whether a result file is of it, and the command that measures it there.
ELSEWHERE: tuple[tuple[str, Callable[[dict[str, Any]], bool], str], ...] = (
    (
        "Android phone",
        lambda results: (results.get("device_run") or {}).get("link", "").startswith("adb") and not _emulated(results),
        "python -m edge_runtime.benchmark --device adb://SERIAL --models models/*/ncnn-* --threads 1 4 --minutes 10",
    ),
    (
        "64-bit Arm board",
        lambda results: results["machine"]["architecture"] == "aarch64" and not _emulated(results),
        "python -m edge_runtime.benchmark --device ssh://user@board:22 --models models/*/ncnn-* --threads 1 4 --minutes 10",
    ),
    (
        "NVIDIA GPU (torch, full precision)",
        lambda results: results["machine"]["gpu"] is not None,
        "python export/to_torch.py --checkpoint models/u2netp/checkpoint.pt --out build/u2netp-torch && "
        "python -m edge_runtime.benchmark --models build/u2netp-torch --torch-device cuda",
    ),
    ("another computer", lambda results: False, f"{MEASURE} --data DIR"),
)


@dataclass(frozen=True)
class Choice:
    """What to take for a wish, on one machine at one thread count."""

    wish: str
    line: Line


def choose(lines: Sequence[Line]) -> list[Choice]:
    """Return what to take for each wish among the lines of one machine at its lowest thread count; none without an IoU.

    Left out are torch, which is the reference, and whatever is slower than float32 of the same network in the same runtime.
    """
    slower = {effect.line for effect in precision_effects(lines) if effect.verdict == "slower"}
    fewest = min((line.threads for line in lines), default=0)
    usable = [
        (line, line.iou)
        for line in lines
        if line.threads == fewest and line.iou is not None and line.format != REFERENCE_FORMAT and line not in slower
    ]
    if not usable:
        return []
    best = max(iou for _, iou in usable)
    equal = [line for line, iou in usable if iou >= best - SAME_IOU]
    good = [line for line, iou in usable if iou >= best - GOOD_ENOUGH]
    ncnn = [line for line in good if line.format == "ncnn"]
    choices = [
        Choice("the best masks", min(equal, key=_latency)),
        Choice(f"speed, for at most {100 * GOOD_ENOUGH:g} points of IoU", min(good, key=_latency)),
        Choice(f"a small file, for at most {100 * GOOD_ENOUGH:g} points of IoU", min(good, key=lambda line: line.size_bytes)),
    ]
    return choices + ([Choice("the C++ class (ncnn)", min(ncnn, key=_latency))] if ncnn else [])


def not_measured(loaded: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the kinds of machine that no result file (name -> content) is of, each with the command that measures it."""
    return [(kind, command) for kind, is_of, command in ELSEWHERE if not any(map(is_of, loaded.values()))]


def _emulated(results: dict[str, Any]) -> bool:
    return bool((results.get("device_run") or {}).get("emulator"))


def _latency(line: Line) -> float:
    return line.end_to_end_p50_ms
