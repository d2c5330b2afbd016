"""Raw samples of a latency, and the percentiles that follow from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from edge_runtime.errors import InputError
from edge_runtime.records import Amount, Count, Positive, build

Milliseconds = Annotated[float, Meta(ge=1e-4, lt=1e9, description="0.0001 to 1e9 ms")]
Samples = Annotated[tuple[Count, ...], Meta(min_length=1, description="one sample or more")]


@dataclass(frozen=True)
class Timing:
    """Latency of one kind, batch 1.

    Attributes
    ----------
    p50_ms, p90_ms, p95_ms
        Percentiles of `samples_us`.
    runs, seconds
        Number of timed runs and their sum.
    cores_used
        CPU seconds of this process per second of the timed runs. On the CPU, less than 1 means that other work had the core.
        None in a browser.
    samples_us
        All timed runs, in the order of measurement.
    """

    p50_ms: Milliseconds
    p90_ms: Milliseconds
    p95_ms: Milliseconds
    runs: Positive
    seconds: Amount
    cores_used: Amount | None
    samples_us: Samples


def summarize(samples_ns: list[int], cpu_seconds: float) -> Timing:
    """Round raw samples to microseconds and take their percentiles (linear interpolation)."""
    samples_us = tuple(round(ns / 1000) for ns in samples_ns)
    p50, p90, p95 = (round(float(value) / 1000, 4) for value in np.percentile(samples_us, (50, 90, 95)))
    seconds = sum(samples_ns) / 1e9
    return Timing(p50, p90, p95, len(samples_us), round(seconds, 3), round(cpu_seconds / seconds, 2), samples_us)


@dataclass(frozen=True)
class RawTiming:
    """Latency as the C++ program writes it: CPU seconds of all runs together, and every run in the order of measurement."""

    cpu_seconds: Amount
    samples_us: Samples


def complete_timing(value: Any, key: str) -> dict[str, Any]:
    """Return the fields of a `Timing` for the JSON value of a `RawTiming`; raises `InputError` that names the key."""
    raw = build(RawTiming, value, key)
    if not sum(raw.samples_us):
        raise InputError(f"{key}.samples_us: got {list(raw.samples_us)!r:.80}, expected one sample or more, not all 0")
    completed = summarize([sample * 1000 for sample in raw.samples_us], raw.cpu_seconds)
    return dataclasses.asdict(completed) | {"samples_us": list(raw.samples_us)}
