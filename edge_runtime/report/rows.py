"""From result files to what a report shows: lines of the table, the Pareto front, what lower precision does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError

SAME_WITHIN = 0.03  # latencies that differ by less are called equal
FULL_PRECISION = "fp32"


@dataclass(frozen=True)
class Line:
    """A row of the table: one artifact on one device at one thread count; None: not measured.

    Attributes
    ----------
    network
        Architecture, with input size or parameters where those tell networks of one report apart.
    nosky_fpr
        Share of pixels called sky in the pictures without any, 0 to 1.
    speed_up
        Latency (`infer`, p50) of the reference at the same thread count, divided by this one's.
    """

    file: str
    device: str
    key: str
    network: str
    format: str
    precision: str
    runtime: str
    label: str
    threads: int
    size_bytes: int
    input_height: int
    input_width: int
    macs: int | None
    parameters: int | None
    infer_p50_ms: float
    infer_p90_ms: float
    infer_p95_ms: float
    end_to_end_p50_ms: float
    end_to_end_p95_ms: float
    runs: int
    iou: float | None
    iou_low: float | None
    iou_high: float | None
    boundary_iou: float | None
    nosky_fpr: float | None
    peak_bytes: int
    baseline_bytes: int
    speed_up: float | None
    is_reference: bool

    @property
    def where(self) -> str:
        """Runtime and device, e.g. `onnxruntime, cpu`: the label without the precision."""
        return self.label.replace(f" {self.precision}, ", ", ")

    @property
    def short(self) -> str:
        """Network, format and precision for labels in plots, with `cuda` where it ran there."""
        return f"{self.network} {self.format} {self.precision}{' cuda' if 'cuda' in self.label else ''}"


@dataclass(frozen=True)
class PrecisionEffect:
    """A lower precision against fp32 of the same network in the same runtime, at the same thread count.

    Attributes
    ----------
    time_factor
        Its `infer` p50 divided by that of fp32: above 1 it is slower.
    size_factor
        Its size divided by that of fp32.
    iou_change
        Its IoU minus that of fp32.
    """

    line: Line
    full: Line
    time_factor: float
    size_factor: float
    iou_change: float | None

    @property
    def verdict(self) -> str:
        """`slower`, `faster` or `as fast`."""
        if abs(self.time_factor - 1.0) <= SAME_WITHIN:
            return "as fast"
        return "slower" if self.time_factor > 1.0 else "faster"


def read_results(path: Path) -> dict[str, Any]:
    """Read a result file and check it against the schema and for rows without an artifact; raises `InputError`."""
    import jsonschema

    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; expected a result file of edge_runtime.benchmark") from error
    try:
        jsonschema.validate(results, results_schema(), cls=jsonschema.Draft202012Validator)
    except jsonschema.ValidationError as error:
        raise InputError(
            f"{path}: {error.json_path}: {error.message[:300]}; expected a file of edge_runtime.benchmark"
        ) from error
    keys = [artifact["key"] for artifact in results["artifacts"]]
    unknown = sorted({row["artifact"] for row in results["rows"]} | {results["reference"]} - {None} - set(keys))
    if len(set(keys)) != len(keys) or not set(unknown) <= set(keys):
        raise InputError(f"{path}: rows or reference name {unknown}, expected artifacts of the file: {keys}; measure again")
    return results


@cache
def results_schema() -> dict[str, Any]:
    """Return the JSON schema of result files."""
    schema: dict[str, Any] = json.loads(
        files("edge_runtime.benchmark").joinpath("results.schema.json").read_text(encoding="utf-8")
    )
    return schema


def make_lines(loaded: dict[str, dict[str, Any]]) -> list[Line]:
    """Return the lines of all result files (name -> content), fastest first."""
    names = _network_names([artifact for results in loaded.values() for artifact in results["artifacts"]])
    lines = []
    for file, results in loaded.items():
        artifacts = {artifact["key"]: artifact for artifact in results["artifacts"]}
        reference = {row["threads"]: row["infer"]["p50_ms"] for row in results["rows"] if row["artifact"] == results["reference"]}
        for row in results["rows"]:
            artifact = artifacts[row["artifact"]]
            lines.append(_line(file, results, artifact, row, names[_variant(artifact)], reference.get(row["threads"])))
    return sorted(lines, key=lambda line: (line.device, line.infer_p50_ms))


def _line(
    file: str,
    results: dict[str, Any],
    artifact: dict[str, Any],
    row: dict[str, Any],
    name: str,
    reference_ms: float | None,
) -> Line:
    accuracy = artifact["accuracy"]
    low, high = (accuracy and accuracy["iou_interval"]) or (None, None)
    infer, whole = row["infer"], row["end_to_end"]
    return Line(
        file=file,
        device=results["machine"]["name"],
        key=artifact["key"],
        network=name,
        format=artifact["format"],
        precision=artifact["precision"],
        runtime=row["runtime"],
        label=row["label"],
        threads=row["threads"],
        size_bytes=artifact["size_bytes"],
        input_height=artifact["input_height"],
        input_width=artifact["input_width"],
        macs=artifact["macs"],
        parameters=artifact["parameters"],
        infer_p50_ms=infer["p50_ms"],
        infer_p90_ms=infer["p90_ms"],
        infer_p95_ms=infer["p95_ms"],
        end_to_end_p50_ms=whole["p50_ms"],
        end_to_end_p95_ms=whole["p95_ms"],
        runs=infer["runs"],
        iou=accuracy and accuracy["pooled"]["iou"],
        iou_low=low,
        iou_high=high,
        boundary_iou=accuracy and accuracy["pooled"]["boundary_iou"],
        nosky_fpr=accuracy and accuracy["pooled"]["nosky_fpr"],
        peak_bytes=artifact["memory"]["peak_bytes"],
        baseline_bytes=artifact["memory"]["baseline_bytes"],
        speed_up=reference_ms / infer["p50_ms"] if reference_ms and infer["p50_ms"] else None,
        is_reference=artifact["key"] == results["reference"],
    )


Variant = tuple[str, int, int, int | None]


def _variant(artifact: dict[str, Any]) -> Variant:
    return artifact["arch"], artifact["input_height"], artifact["input_width"], artifact["parameters"]


def _network_names(artifacts: list[dict[str, Any]]) -> dict[Variant, str]:
    """Name every variant by its architecture, and by size and parameters where an architecture comes in several."""
    variants = sorted({_variant(artifact) for artifact in artifacts}, key=str)
    names = {}
    for arch, height, width, parameters in variants:
        same = [variant for variant in variants if variant[0] == arch]
        name = arch
        if len({variant[1:3] for variant in same}) > 1:
            name += f" {width}" if height == width else f" {width}x{height}"
        if len({variant[3] for variant in same}) > 1:
            name += " ? M" if parameters is None else f" {parameters / 1e6:.2f} M"
        names[arch, height, width, parameters] = name
    return names


def pareto_front(lines: Sequence[Line]) -> list[Line]:
    """Return those that no other line beats in both end_to_end latency and IoU, fastest first; all need an IoU."""
    front: list[Line] = []
    for line in sorted(lines, key=lambda line: (line.end_to_end_p50_ms, -(line.iou or 0.0))):
        if line.iou is not None and (not front or line.iou > (front[-1].iou or 0.0)):
            front.append(line)
    return front


def precision_effects(lines: Sequence[Line]) -> list[PrecisionEffect]:
    """Compare every lower precision with fp32 of the same network, runtime and thread count in the same file."""
    full = {_conditions(line): line for line in lines if line.precision == FULL_PRECISION}
    effects = []
    for line in lines:
        base = full.get(_conditions(line))
        if line.precision != FULL_PRECISION and base is not None:
            change = None if line.iou is None or base.iou is None else line.iou - base.iou
            effects.append(
                PrecisionEffect(line, base, line.infer_p50_ms / base.infer_p50_ms, line.size_bytes / base.size_bytes, change)
            )
    return sorted(
        effects,
        key=lambda effect: (effect.line.network, effect.line.runtime, effect.line.precision, effect.line.threads),
    )


def _conditions(line: Line) -> tuple[str, str, str, str, int]:
    return line.file, line.network, line.format, line.where, line.threads


def int8_sentences(effects: Sequence[PrecisionEffect]) -> list[str]:
    """Say plainly where int8 is slower than fp32, and in how many cases it is faster."""
    int8 = [effect for effect in effects if effect.line.precision == "int8"]
    slower = [effect for effect in int8 if effect.verdict == "slower"]
    sentences = [
        f"int8 is slower than fp32 here: {effect.line.network} in {effect.line.runtime}, {effect.line.threads} "
        f"thread{'s' * (effect.line.threads > 1)}, takes {effect.line.infer_p50_ms:.2f} ms instead of "
        f"{effect.full.infer_p50_ms:.2f} ms ({effect.time_factor:.2f} times as long). "
        "Use fp32 there, unless the file's size decides."
        for effect in slower
    ]
    faster = sum(effect.verdict == "faster" for effect in int8)
    if int8:
        sentences.append(f"int8 is faster than fp32 in {faster} of {len(int8)} pairs of the same network, runtime and threads.")
    return sentences
