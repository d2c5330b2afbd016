"""Measure artifacts on this machine: latency, memory, size and accuracy go to one result file.

`python -m edge_runtime.benchmark --models DIR... --data DIR --threads 1 2 --out results.json`

Each artifact first runs in its own process, which gives its peak RSS. A broken artifact stops the benchmark there, before
anything is timed. `edge_runtime.benchmark.latency` tells what is timed and how.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import FORMATS
from edge_runtime.benchmark.accuracy import measure_accuracies
from edge_runtime.benchmark.artifacts import check_threads, choose_reference, find_artifacts, measure_facts
from edge_runtime.benchmark.latency import Runner, find_warnings, take_turns
from edge_runtime.benchmark.machine import Gpu, describe_machine
from edge_runtime.benchmark.memory import FRAME_HEIGHT, FRAME_WIDTH
from edge_runtime.benchmark.results import (
    FULL,
    QUICK,
    SCHEMA_VERSION,
    UTC_TIME,
    DataFacts,
    Frame,
    Results,
    default_out,
    read_results,
    try_to_write,
    write_results,
)
from edge_runtime.benchmark.table import format_table
from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, find_pairs, spread
from edge_runtime.images.formats import read_rgb
from edge_runtime.progress import say

GENERATED = "scenes"  # the source that generated scenes have in their manifest


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure latency, memory, size and accuracy of artifacts on this machine."""

    models: tuple[Path, ...]
    """Artifact folders, or folders that hold some; also classical:contour, classical:color."""
    data: Path | None = None
    """Labeled images (images/, masks/) for accuracy. Without them only latency, memory and size are measured."""
    split: str = "test"
    """Split of the data; "" for data without splits."""
    threads: tuple[int, ...] = (1,)
    """Thread counts of interpreter and OpenCV. Each gives a row for every artifact."""
    quick: bool = False
    """At least 20 runs instead of 100 runs and 10 s. The result is marked as quick."""
    eval_count: int | None = None
    """Number of images for accuracy, spread evenly over the data. Default: all."""
    device: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """Where artifacts run whose format can use a GPU: torch on cuda, onnx on cuda and tensorrt; others stay on the CPU. auto
    takes cuda for torch if there is a GPU. `skyedge devices` measures other machines."""
    reference: str = ""
    """Name of the artifact that ratios refer to. Default: the fp32 torch artifact with the most MACs."""
    file_to_file: Path | None = None
    """Photo: time the way from its file to its mask's too, step by step."""
    device_name: str = ""
    """Name of the device in the result, such as "Raspberry Pi 5". Default: its own name."""
    out: Path | None = None
    """Result file to write. Default: results/DEVICE_RUNTIMES_THREADS_DATE.json, with _quick for a quick one. Until every accuracy
    is measured, what there is lies in FILE.part."""
    overwrite: bool = False
    """Replace a file that is in the place of --out."""
    resume: Path | None = None
    """The .part file of a run that was stopped, or a result without accuracies: measures the missing accuracies only."""


def benchmark(config: BenchmarkConfig, save: Callable[[Results], None] = lambda _: None) -> Results:
    """Return the result of measuring as `config` says. Raises `InputError` that names a broken artifact or a bad flag.

    `save` gets the latencies as soon as they are measured, and what there is after each accuracy.
    """
    _check(config)
    artifacts = find_artifacts(config.models, config.reference)
    pairs = _choose_pairs(config)
    gpu = _gpu(config, artifacts)
    data = _data_facts(config, pairs)
    results = _resume(config, artifacts, gpu, data) if config.resume else _measure_latencies(config, artifacts, gpu, data)
    missing = [fact.key for fact in results.artifacts if pairs and fact.accuracy is None]
    folders = {key: artifacts[key].folder for key in missing}
    devices = {key: _device(config, artifacts[key], gpu) for key in missing}
    if missing:
        save(results)
    for key, accuracy in measure_accuracies(folders, devices, pairs, say) if missing else ():
        known = (dataclasses.replace(fact, accuracy=accuracy) if fact.key == key else fact for fact in results.artifacts)
        results = dataclasses.replace(results, artifacts=tuple(known))
        save(results)
    return results


def _resume(config: BenchmarkConfig, artifacts: dict[str, Artifact], gpu: Gpu | None, data: DataFacts | None) -> Results:
    """Return the results of `config.resume`. Raises `InputError` that names the flags that are not those of its run."""
    assert config.resume is not None
    results = read_results(config.resume)
    asked = {
        "--models": {key: artifact.sha256 for key, artifact in artifacts.items()},
        "--threads": {key: set(config.threads) for key in artifacts},
        "--device": {key: _device(config, artifact, gpu) for key, artifact in artifacts.items()},
        "--quick": config.quick,
        "--reference": config.reference or results.reference,
        "--device-name": config.device_name or results.machine.name,
        "--data, --split or --eval-count": data,
    }
    threads: dict[str, set[int]] = {}
    for row in results.rows:
        threads.setdefault(row.artifact, set()).add(row.threads)
    measured = {
        "--models": {fact.key: fact.sha256 for fact in results.artifacts},
        "--threads": threads,
        "--device": {row.artifact: row.device.partition(":")[0] for row in results.rows},
        "--quick": results.quick,
        "--reference": results.reference,
        "--device-name": results.machine.name,
        "--data, --split or --eval-count": results.data or data,
    }
    if changed := [flag for flag, value in asked.items() if measured[flag] != value]:
        flags = ", ".join(changed)
        raise InputError(f"got --resume {config.resume} with other {flags}, expected the flags of the run that wrote it")
    return dataclasses.replace(results, data=data)


def _measure_latencies(
    config: BenchmarkConfig, artifacts: dict[str, Artifact], gpu: Gpu | None, data: DataFacts | None
) -> Results:
    """Return the results without accuracy."""
    facts = {}
    for key, artifact in artifacts.items():
        say(f"memory: {key}")
        facts[key] = measure_facts(key, artifact, config.threads[0], _device(config, artifact, gpu))
    reference = choose_reference(facts, config.reference)
    runners = [
        Runner(key, artifact, threads, _device(config, artifact, gpu))
        for key, artifact in artifacts.items()
        for threads in config.threads
    ]
    rule = QUICK if config.quick else FULL
    say(f"{len(runners)} rows: {len(artifacts)} artifacts, threads {', '.join(map(str, config.threads))}")
    load = take_turns(runners, rule, say)
    rows = tuple(runner.row(gpu, config.file_to_file, rule.min_runs) for runner in runners)
    return Results(
        schema_version=SCHEMA_VERSION,
        created_utc=datetime.now(UTC).strftime(UTC_TIME),
        quick=config.quick,
        rule=rule,
        machine=describe_machine(config.device_name, gpu),
        load=load,
        warnings=find_warnings(runners, rows, load, usable_cores()),
        data=data,
        frame=Frame(FRAME_HEIGHT, FRAME_WIDTH, "the artifact's golden scene, resized"),
        reference=reference,
        artifacts=tuple(facts.values()),
        rows=rows,
    )


def _choose_pairs(config: BenchmarkConfig) -> list[Pair]:
    if config.data is None:
        return []
    pairs = find_pairs(config.data, config.split or None)
    return spread(pairs, len(pairs) if config.eval_count is None else config.eval_count)


def _data_facts(config: BenchmarkConfig, pairs: list[Pair]) -> DataFacts | None:
    if config.data is None:
        return None
    generated = all(pair.source == GENERATED for pair in pairs)
    total = len(find_pairs(config.data, config.split or None))
    return DataFacts(GENERATED if generated else config.data.resolve().name, config.split, len(pairs), total)


def _gpu(config: BenchmarkConfig, artifacts: dict[str, Artifact]) -> Gpu | None:
    """Return the GPU as torch sees it, or None. torch is imported only if an artifact may run there."""
    formats = {artifact.spec.format for artifact in artifacts.values()}
    if config.device == "cpu" or (config.device == "auto" and "torch" not in formats):
        return None
    if config.device != "auto" and all(config.device not in FORMATS[name].devices for name in formats):
        able = " or ".join(name for name, entry in FORMATS.items() if config.device in entry.devices)
        raise InputError(f"got --device {config.device}, expected artifacts of format {able} with it")
    try:
        import torch
    except ImportError:
        return None  # opening the artifact says what is missing and how to get it
    if not torch.cuda.is_available():
        if config.device == "cuda" and "torch" in formats:
            raise InputError("got --device cuda, expected a CUDA device that torch can use; leave the flag out to use the CPU")
        return None
    return Gpu(torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0).total_memory, str(torch.version.cuda))


def _device(config: BenchmarkConfig, artifact: Artifact, gpu: Gpu | None) -> str:
    if config.device == "auto":
        return "cuda" if gpu is not None and artifact.spec.format == "torch" else "cpu"
    return config.device if config.device in FORMATS[artifact.spec.format].devices else "cpu"


def _check(config: BenchmarkConfig) -> None:
    check_threads(config.threads)
    if config.eval_count is not None and config.eval_count < 1:
        raise InputError(f"got --eval-count {config.eval_count}, expected 1 or more")
    if config.file_to_file is not None:
        read_rgb(config.file_to_file)  # raises what the measurement would
    if config.out is None:
        return try_to_write(Path("results", "result.json"), overwrite=True)
    resumed = config.resume and config.resume.resolve()
    for path in (config.out, _part(config.out)):
        try_to_write(path, config.overwrite or path.resolve() == resumed)


def _part(out: Path) -> Path:
    return out.with_name(f"{out.name}.part")


def main(config: BenchmarkConfig) -> None:
    """Measure, write the result file, print the table and the file's path."""

    out = config.out

    def save(results: Results) -> None:
        nonlocal out
        out = out or default_out(results)
        write_results(results, _part(out))

    results = benchmark(config, save)
    out = out or default_out(results)
    write_results(results, out, config.overwrite or (config.resume is not None and config.resume.resolve() == out.resolve()))
    _part(out).unlink(missing_ok=True)
    print(format_table(results))
    print(out)
