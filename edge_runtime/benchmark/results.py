"""The result file of a benchmark: what `benchmark` writes and `report` reads (`results.schema.json` says the same)."""

from __future__ import annotations

import dataclasses
import json
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.benchmark.device_record import DeviceRun
from edge_runtime.benchmark.machine import Machine
from edge_runtime.files import write_text

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Rule:
    """How long each row is measured: `turns` slices, each with at least these runs and seconds.

    Over all turns that makes `min_runs` and `min_seconds`, for `infer` and for `end_to_end` each.
    """

    turns: int
    min_runs: int
    min_seconds: float

    @property
    def slice_runs(self) -> int:
        """Runs of one slice, at the least."""
        return -(-self.min_runs // self.turns)

    @property
    def slice_seconds(self) -> float:
        """Seconds of one slice, at the least."""
        return self.min_seconds / self.turns


FULL = Rule(turns=10, min_runs=100, min_seconds=10.0)
QUICK = Rule(turns=4, min_runs=20, min_seconds=0.4)


@dataclass(frozen=True)
class Timing:
    """Latency of one kind, batch 1.

    Attributes
    ----------
    p50_ms, p90_ms, p95_ms
        Percentiles of `samples_us`, milliseconds.
    runs, seconds
        How many runs were timed and how long they took together.
    cores_used
        CPU seconds of this process per second of the timed runs. Well below 1 on the CPU means that something else
        had the core.
    samples_us
        Every timed run in the order of measurement, microseconds.
    """

    p50_ms: float
    p90_ms: float
    p95_ms: float
    runs: int
    seconds: float
    cores_used: float
    samples_us: tuple[int, ...]


def summarize(samples_ns: list[int], cpu_seconds: float) -> Timing:
    """Round raw samples to microseconds and take the percentiles (linear interpolation) of what is kept."""
    samples_us = tuple(round(ns / 1000) for ns in samples_ns)
    p50, p90, p95 = (round(float(value) / 1000, 4) for value in np.percentile(samples_us, (50, 90, 95)))
    seconds = sum(samples_ns) / 1e9
    return Timing(p50, p90, p95, len(samples_us), round(seconds, 3), round(cpu_seconds / seconds, 2), samples_us)


@dataclass(frozen=True)
class Row:
    """One artifact at one thread count; `label` names runtime, precision and device as they were."""

    artifact: str
    label: str
    runtime: str
    device: str
    threads: int
    infer: Timing
    end_to_end: Timing


@dataclass(frozen=True)
class Memory:
    """Peak RSS of a process that does nothing but run one artifact.

    Attributes
    ----------
    method
        "VmHWM" (Linux) or "ru_maxrss" (elsewhere; it may include what the parent process had).
    baseline_bytes
        Resident once numpy, OpenCV and the interpreter are imported, before the artifact is opened.
    peak_bytes
        The highest value up to the end of `frames` end-to-end runs.
    """

    method: str
    baseline_bytes: int
    peak_bytes: int
    frames: int
    threads: int


@dataclass(frozen=True)
class Accuracy:
    """Metrics over the pictures of the data set, pooled and per source, named as in `metrics.PooledMetrics`.

    `iou_interval` is the 95 % bootstrap interval of the pooled IoU.
    """

    count: int
    pooled: dict[str, Any]
    iou_interval: tuple[float, float] | None
    per_source: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class ArtifactFacts:
    """What does not depend on threads. `key` is unique in the file; `folder` is relative where the command was run."""

    key: str
    name: str
    arch: str
    format: str
    precision: str
    folder: str
    sha256: str
    size_bytes: int
    input_height: int
    input_width: int
    macs: int | None
    parameters: int | None
    weights_license: str
    memory: Memory
    accuracy: Accuracy | None


@dataclass(frozen=True)
class DataFacts:
    """The labeled pictures: `iou_name` heads the IoU column, `count` of `total` pictures were used."""

    iou_name: str
    split: str
    count: int
    total: int


@dataclass(frozen=True)
class Load:
    """Load averages before and after, and how many cores other processes kept busy meanwhile (None: unknown)."""

    before: tuple[float, float, float] | None
    after: tuple[float, float, float] | None
    other_cores_busy: float | None


@dataclass(frozen=True)
class Frame:
    """The decoded picture that end_to_end starts from."""

    height: int
    width: int
    content: str


@dataclass(frozen=True)
class Results:
    """One result file: one machine, one moment, artifacts and their rows. `reference` is the key that ratios go to.

    `device_run` tells how another device was measured from here; None, or missing in the file, where nothing did so.
    """

    schema_version: int
    created_utc: str
    quick: bool
    rule: Rule
    machine: Machine
    load: Load
    warnings: tuple[str, ...]
    data: DataFacts | None
    frame: Frame
    reference: str | None
    artifacts: tuple[ArtifactFacts, ...]
    rows: tuple[Row, ...]
    device_run: DeviceRun | None = None


def decode(kind: Any, value: Any) -> Any:
    """Return what the JSON `value`, which obeys the schema, stands for: the reverse of `dataclasses.asdict`.

    Parameters
    ----------
    kind
        A dataclass, or the type of a field of one.
    """
    inner = typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return kind(**{name: decode(hint, value[name]) for name, hint in typing.get_type_hints(kind).items() if name in value})  # type: ignore[operator]
    if value is not None and type(None) in inner:
        return decode(inner[0], value)
    if typing.get_origin(kind) is tuple:
        kinds = inner[:1] * len(value) if inner[-1] is ... else inner
        return tuple(decode(each, item) for each, item in zip(kinds, value, strict=True))
    if typing.get_origin(kind) is dict:
        return {key: decode(inner[1], item) for key, item in value.items()}
    return value


def write_results(results: Results, path: Path) -> None:
    """Write `results` as JSON, atomically: readers see the old file or the whole new one."""
    write_text(path, _encode(dataclasses.asdict(results)) + "\n")


def _encode(value: Any, indent: str = "\n") -> str:
    """Return JSON with a line for each key, but an array of numbers on one line: thousands of samples stay readable."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        fields = (f"{json.dumps(key)}: {_encode(item, inner)}" for key, item in value.items())
        return "{" + inner + f",{inner}".join(fields) + indent + "}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        return "[" + inner + f",{inner}".join(_encode(item, inner) for item in value) + indent + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
