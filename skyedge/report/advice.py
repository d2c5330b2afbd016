"""Which artifact to take on a measured machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from skyedge.report.rows import Line, count_threads, precision_effects

SAME_IOU = 0.001  # masks whose IoU differs by less are equally good
GOOD_ENOUGH = 0.02  # the IoU that speed or size may cost
REFERENCE_FORMAT = "torch"  # the full-precision reference, not for devices


@dataclass(frozen=True)
class Choice:
    """The line to take for a wish, on one machine at one thread count."""

    wish: str
    line: Line


def choose(lines: Sequence[Line]) -> list[Choice]:
    """Return a choice for each wish among the lines of one machine at its lowest thread count; none without an IoU.

    Torch, which is the reference, and lines that are slower than fp32 of the same network and runtime are left out.
    """
    slower = {effect.line for effect in precision_effects(lines) if effect.verdict == "slower"}
    fewest = min((line.threads for line in lines), default=0)
    usable = [
        (line, line.iou)
        for line in lines
        if line.threads == fewest and line.iou is not None and line.artifact.format != REFERENCE_FORMAT and line not in slower
    ]
    if not usable:
        return []
    best = max(iou for _, iou in usable)
    equal = [line for line, iou in usable if iou >= best - SAME_IOU]
    good = [line for line, iou in usable if iou >= best - GOOD_ENOUGH]
    ncnn = [line for line in good if line.artifact.format == "ncnn"]
    cost = f"for at most {100 * GOOD_ENOUGH:g} points of IoU"
    choices = [
        Choice("the best masks", min(equal, key=_latency)),
        Choice(f"speed, {cost}", min(good, key=_latency)),
        Choice(f"a small file, {cost}", min(good, key=lambda line: line.artifact.size_bytes)),
    ]
    return choices + ([Choice("the C++ class (ncnn)", min(ncnn, key=_latency))] if ncnn else [])


def ask_which(choices: Sequence[Choice]) -> str:
    """Return the question that the choices of one machine answer, with what the answer holds for."""
    line = choices[0].line
    machine = line.results.machine
    return f"Which one should I take on {machine.name} with {machine.instruction_set} ({count_threads(line.threads)})?"


def _latency(line: Line) -> float:
    return line.end_to_end_ms
