"""The result file of a benchmark, which `benchmark` writes and `report` reads. `results.schema.json` describes it too.

`skyedge bench`, the C++ program, writes raw samples and facts alone: the same file without percentiles, warnings and what else
follows from them. The readers here add these, so that both programs are judged by one rule.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from edge_runtime.artifact.spec import FILE_NAMES
from edge_runtime.benchmark.device_record import DeviceRun
from edge_runtime.benchmark.machine import Machine, name_instruction_set
from edge_runtime.benchmark.timing import Timing, complete_timing
from edge_runtime.errors import InputError
from edge_runtime.files import check_free, write_text
from edge_runtime.metrics.iou import PooledMetrics
from edge_runtime.records import Amount, Count, Positive, Sha256, Share, Text, build, choice, parse_json, read_text, schema

SCHEMA_VERSION = 2
RAW_VERSION = 1  # of what the C++ program writes
SCHEMA_PATH = Path(__file__).with_name("results.schema.json")
UTC_TIME = "%Y-%m-%dT%H:%M:%SZ"
# Cores that other processes may keep busy without a warning. The load average before the start is recorded but causes no warning,
# since the memory measurement before it raises it.
BUSY_CORES = 0.1
STARVED_CORES = 0.95  # a row that got less of a core was interrupted


@dataclass(frozen=True)
class Rule:
    """How long each row is measured: at least `min_runs` and `min_seconds` in `turns` slices, for each kind of latency."""

    turns: Positive
    min_runs: Positive
    min_seconds: Amount

    @property
    def slice_runs(self) -> int:
        """Least runs of one slice."""
        return -(-self.min_runs // self.turns)

    @property
    def slice_seconds(self) -> float:
        """Least seconds of one slice."""
        return self.min_seconds / self.turns


FULL = Rule(turns=10, min_runs=100, min_seconds=10.0)
QUICK = Rule(turns=4, min_runs=20, min_seconds=0.4)


@dataclass(frozen=True)
class Row:
    """One artifact at one thread count; `label` names runtime, precision and device of the measurement.

    `file_to_file`: step -> microseconds of every run, from a photo's file to a mask's (`--file-to-file`).
    """

    artifact: Text
    label: Text
    runtime: Text
    device: Annotated[str, Meta(pattern="^(cpu|browser|(cuda|tensorrt): .+)$", description="cpu, browser or cuda: NAME")]
    threads: Positive
    infer: Timing
    end_to_end: Timing
    file_to_file: dict[Text, tuple[int, ...]] | None = None


@dataclass(frozen=True)
class Memory:
    """Peak RSS of a process that only runs one artifact.

    Attributes
    ----------
    method
        "VmHWM" (Linux) or "ru_maxrss" (elsewhere; it may include memory of the parent process).
    baseline_bytes
        RSS after numpy, OpenCV and the interpreter are imported, before the artifact is opened.
    peak_bytes
        Peak up to the end of `frames` end-to-end runs.
    """

    method: Annotated[str, choice("VmHWM", "ru_maxrss")]
    baseline_bytes: Count
    peak_bytes: Count
    frames: Positive
    threads: Positive


@dataclass(frozen=True)
class Accuracy:
    """Metrics over the images of the data set, pooled and per source; `iou_interval` is the 95 % bootstrap interval of IoU."""

    count: Positive
    pooled: PooledMetrics
    iou_interval: tuple[Share, Share] | None
    per_source: dict[str, PooledMetrics]


@dataclass(frozen=True)
class ArtifactFacts:
    """Facts of an artifact at any thread count. `key` is unique in the file; `folder` is relative to where the command ran.

    `memory` is None in a browser, which does not tell.
    """

    key: Text
    name: Text
    arch: Text
    format: Annotated[str, choice(*FILE_NAMES, "classical")]
    precision: Annotated[str, choice("fp32", "fp16", "int8", "uint8")]  # uint8: classical methods
    folder: Text
    sha256: Sha256
    size_bytes: Positive
    input_height: Positive
    input_width: Positive
    macs: Count | None
    parameters: Count | None
    weights_license: str
    memory: Memory | None
    accuracy: Accuracy | None


@dataclass(frozen=True)
class DataFacts:
    """The labeled images: `iou_name` heads the IoU column, `count` of `total` images were used."""

    iou_name: Text
    split: str
    count: Positive
    total: Positive


@dataclass(frozen=True)
class Load:
    """Load averages before and after, and the cores that other processes kept busy meanwhile; None: unknown."""

    before: tuple[Amount, Amount, Amount] | None
    after: tuple[Amount, Amount, Amount] | None
    other_cores_busy: Amount | None


@dataclass(frozen=True)
class Frame:
    """The decoded image that end_to_end starts from."""

    height: Positive
    width: Positive
    content: Text


@dataclass(frozen=True)
class Results:
    """One result file: one machine, one moment, artifacts and their rows. `reference` is the key that ratios refer to.

    `device_run` tells how another device was measured; None, or missing in the file, if the machine measured itself.
    """

    schema_version: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION, description=f"{SCHEMA_VERSION}; update skyedge")]
    created_utc: Text
    quick: bool
    rule: Rule
    machine: Machine
    load: Load
    warnings: tuple[Text, ...]
    data: DataFacts | None
    frame: Frame
    reference: str | None
    artifacts: Annotated[tuple[ArtifactFacts, ...], Meta(min_length=1, description="a list of one or more")]
    rows: Annotated[tuple[Row, ...], Meta(min_length=1, description="a list of one or more")]
    device_run: DeviceRun | None = None


def results_schema() -> dict[str, Any]:
    """Return the JSON schema of a result file."""
    return schema(Results, "skyedge benchmark results")


def read_results(path: Path) -> Results:
    """Read a result file; raises `InputError` that names the file and the key."""
    text = read_text(path, "a result file of edge_runtime.benchmark")
    try:
        return parse_results(text)
    except InputError as error:
        raise InputError(f"{path}: {error}; measure again with edge_runtime.benchmark") from error


def parse_results(text: str) -> Results:
    """Return the results that a JSON text holds; raises `InputError` that names the key."""
    values = parse_json(text, "a result file of edge_runtime.benchmark")
    is_raw = isinstance(values, dict) and "raw_version" in values
    results = build(Results, _complete_raw(values) if is_raw else values)
    for key, got, good, expected in _rules(results):
        if not good:
            raise InputError(f"{key}: got {got!r:.80}, expected {expected}")
    if not is_raw:
        return results
    quick = results.rule.min_runs < FULL.min_runs or results.rule.min_seconds < FULL.min_seconds
    return dataclasses.replace(results, quick=quick, warnings=judge(results.rows, results.load, results.machine.cores))


def judge(rows: Sequence[Row], load: Load, cores: int) -> tuple[str, ...]:
    """Return, in words, the reasons not to trust latencies that were measured on a machine with `cores` cores."""
    found = []
    if load.other_cores_busy is not None and load.other_cores_busy > BUSY_CORES:
        found.append(
            f"Other processes kept {load.other_cores_busy:.2f} of {cores} cores busy during the measurement, "
            "so latencies may be too high."
        )
    on_cpu = [row for row in rows if row.device == "cpu"]
    starved = [
        row
        for row in on_cpu
        if any(timing.cores_used is not None and timing.cores_used < STARVED_CORES for timing in (row.infer, row.end_to_end))
    ]
    if starved:
        found.append(
            f"{len(starved)} of {len(on_cpu)} rows on the CPU had less than {STARVED_CORES} of a core while they were "
            "timed: other work interrupted them."
        )
    over = sorted({row.threads for row in rows if row.threads > cores})
    if over:
        found.append(f"The rows with {', '.join(map(str, over))} threads ran on {cores} cores.")
    return tuple(found)


def _complete_raw(values: dict[str, Any]) -> dict[str, Any]:
    """Return a raw file of the C++ program with the keys of a result file; `quick` and `warnings` are filled in later."""
    if values["raw_version"] != RAW_VERSION:
        raise InputError(f"raw_version: got {values['raw_version']!r:.80}, expected {RAW_VERSION}; update skyedge")
    known = {key: value for key, value in values.items() if key != "raw_version"}
    rows = values.get("rows")
    for index, row in enumerate(rows if isinstance(rows, list) else ()):
        for kind in ("infer", "end_to_end"):
            if isinstance(row, dict) and kind in row:
                row[kind] = complete_timing(row[kind], f"rows[{index}].{kind}")
    added = {"schema_version": SCHEMA_VERSION, "quick": False, "warnings": [], "data": None, "reference": None}
    if isinstance(machine := values.get("machine"), dict):
        flags = machine.get("cpu_flags")
        strings = [flag for flag in flags if isinstance(flag, str)] if isinstance(flags, list) else []
        known["machine"] = machine | {"instruction_set": name_instruction_set(str(machine.get("architecture")), strings)}
    return known | added


def _rules(results: Results) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield (key, value, whether it is good, what is expected) for every rule beyond the types."""
    keys = [artifact.key for artifact in results.artifacts]
    yield "created_utc", results.created_utc, _is_time(results.created_utc), "a time such as 2026-01-31T12:00:00Z"
    yield "artifacts", keys, len(set(keys)) == len(keys), "each with a key of its own"
    yield "reference", results.reference, results.reference in (None, *keys), f"null or one of {', '.join(keys)}"
    for index, row in enumerate(results.rows):
        yield f"rows[{index}].artifact", row.artifact, row.artifact in keys, f"one of the file's artifacts: {', '.join(keys)}"


def _is_time(text: str) -> bool:
    try:
        return datetime.strptime(text, UTC_TIME).strftime(UTC_TIME) == text
    except ValueError:
        return False


def default_out(results: Results) -> Path:
    """Return results/DEVICE_RUNTIMES_THREADS_DATE.json, with _quick for a quick result, and a number where it exists already.

    Results of another device go to results/devices/, since they measure the C++ program.
    """
    device = re.sub(r"[^a-z0-9]+", "-", results.machine.name.lower()).strip("-")
    runtimes = "-".join(sorted({fact.format for fact in results.artifacts}))
    threads = "-".join(f"t{count}" for count in sorted({row.threads for row in results.rows}))
    quick = "_quick" * results.quick
    folder = Path("results", "devices") if results.device_run else Path("results")
    stem = f"{device}_{runtimes}_{threads}_{results.created_utc[:10]}{quick}"
    names = (folder / f"{stem}{f'_{number}' * (number > 1)}.json" for number in itertools.count(1))
    return next(path for path in names if not path.exists())


def try_to_write(out: Path, overwrite: bool) -> None:
    """Raise `InputError` for a place where no result can be written, or where there is a file, before anything is measured."""
    missing: list[Path] = []
    try:
        if out.exists() and not out.is_file():
            raise InputError(f"got {out} as --out, which is no file; expected a file such as results.json")
        if not overwrite:
            check_free([out])
        missing = [folder for folder in out.absolute().parents if not folder.exists()]
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=out.parent):
            out.exists()  # fails where the name is too long
    except OSError as error:
        raise InputError(f"got --out {out}, where nothing can be written ({error}); choose another file") from error
    finally:
        for folder in missing:
            with contextlib.suppress(OSError):
                folder.rmdir()


def write_results(results: Results, path: Path, replace: bool = True) -> None:
    """Write `results` as JSON, atomically: readers see the old file or the whole new one. See `partial_file` for `replace`."""
    write_text(path, _encode(dataclasses.asdict(results)) + "\n", replace)


def _encode(value: Any, indent: str = "\n") -> str:
    """Return JSON with a line for each key and each array of numbers: thousands of samples take one line."""
    inner = indent + " "
    if isinstance(value, dict) and value:
        fields = (f"{json.dumps(key)}: {_encode(item, inner)}" for key, item in value.items())
        return "{" + inner + f",{inner}".join(fields) + indent + "}"
    if isinstance(value, (list, tuple)) and any(isinstance(item, dict) for item in value):
        return "[" + inner + f",{inner}".join(_encode(item, inner) for item in value) + indent + "]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
