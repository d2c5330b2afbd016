"""What a batch run leaves behind as JSON: one manifest for each shard, and one summary of bounded size for the report."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SCHEMA_VERSION = 1
SUMMARY_FILE = "summary.json"
LABEL_FOLDER = "label_next"
BINS = 20  # of the distribution of the sky share
MOST_LOWEST = 48  # images of lowest confidence that the summary names
LOWEST_OF_SHARD = 8  # that a manifest names: few, so that one foggy night does not fill the list
TIMELINE_STEPS = 120
STAGES = ("read", "decode", "infer", "encode", "write")


@dataclass(frozen=True)
class Low:
    """An image whose mask is worth a look: `row` counts in its shard; for `container`, `start` and `size` see `sources.Item`."""

    uri: str
    shard: str
    row: int
    confidence: float
    sky_share: float
    container: str = ""
    start: int = 0
    size: int = 0


@dataclass(frozen=True)
class Manifest:
    """A finished shard: the file that holds its records, and what is in it.

    Attributes
    ----------
    id
        SHA-256, 16 digits, of all that decides the records: model, options, and every image's URI, identity and columns.
    file, sha256, bytes
        The file with its records, by its name in shards/.
    images, failed, errors
        Rows; rows with an error; these by kind.
    retried
        Images that ended a process or its time, and were given a process of their own.
    started, seconds
        Unix time; duration of the shard.
    stage_seconds
        Seconds by stage; reading runs beside the others.
    sky_shares
        Images by sky share, in `BINS` equal bins from 0 to 1.
    lowest
        The images of lowest confidence, lowest first.
    """

    schema_version: int
    id: str
    file: str
    sha256: str
    bytes: int
    images: int
    failed: int
    errors: dict[str, int]
    retried: int
    started: float
    seconds: float
    worker: str
    stage_seconds: dict[str, float]
    sky_shares: tuple[int, ...]
    lowest: tuple[Low, ...]


@dataclass(frozen=True)
class Step:
    """A step of the timeline: images per second from `start` on, in seconds since the run began."""

    start: float
    rate: float


@dataclass(frozen=True)
class Summary:
    """The whole archive as it lies there after a run; `seconds`, `timeline` and `new_images` are those of the last run."""

    schema_version: int
    source: str
    model: str
    model_sha256: str
    workers: int
    shards: int
    images: int
    failed: int
    errors: dict[str, int]
    retried: int
    new_images: int
    seconds: float
    stage_seconds: dict[str, float]
    sky_shares: tuple[int, ...]
    timeline: tuple[Step, ...]
    lowest: tuple[Low, ...]


def total(manifests: Iterable[Manifest]) -> dict[str, Any]:
    """Add up manifests; returns fields of a `Summary`."""
    shards = images = failed = retried = 0
    errors: dict[str, int] = {}
    stages = dict.fromkeys(STAGES, 0.0)
    shares = [0] * BINS
    lowest: list[Low] = []
    for each in manifests:
        shards, images, failed, retried = shards + 1, images + each.images, failed + each.failed, retried + each.retried
        for kind, count in each.errors.items():
            errors[kind] = errors.get(kind, 0) + count
        for stage, seconds in each.stage_seconds.items():
            stages[stage] = round(stages[stage] + seconds, 3)
        shares = [mine + its for mine, its in zip(shares, each.sky_shares, strict=True)]
        lowest = heapq.nsmallest(MOST_LOWEST, (*lowest, *each.lowest), key=lambda low: (low.confidence, low.uri))
    return {
        "shards": shards,
        "images": images,
        "failed": failed,
        "errors": errors,
        "retried": retried,
        "stage_seconds": stages,
        "sky_shares": tuple(shares),
        "lowest": tuple(lowest),
    }


def timeline(done: Iterable[tuple[float, Manifest]], seconds: float) -> tuple[Step, ...]:
    """Return the rate over a run of `seconds` from (end in seconds since its start, manifest) of every shard done in it.

    The images of a shard count evenly over the time that the shard took.
    """
    step = max(seconds / TIMELINE_STEPS, 1.0)
    counts = [0.0] * max(1, math.ceil(seconds / step))
    for end, manifest in done:
        start = max(0.0, end - manifest.seconds)
        for index in range(int(start // step), min(int(end // step), len(counts) - 1) + 1):
            inside = min(end, (index + 1) * step) - max(start, index * step)
            counts[index] += manifest.images * max(inside, 0.0) / max(end - start, 1e-9)
    return tuple(Step(round(index * step, 1), round(count / step, 2)) for index, count in enumerate(counts))
