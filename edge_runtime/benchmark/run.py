"""Measure artifacts on this machine: latency, memory, size and accuracy go to one result file.

`python -m edge_runtime.benchmark --models DIR... --data DIR --threads 1 2 --out results.json`

Each artifact first runs in its own process, which gives its peak RSS. A broken artifact stops the benchmark there, before
anything is timed. `edge_runtime.benchmark.latency` tells what is timed and how.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import DEVICES
from edge_runtime.benchmark.accuracy import measure_accuracies
from edge_runtime.benchmark.artifacts import choose_reference, find_artifacts, measure_facts, shown_path
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
    read_results,
    write_results,
)
from edge_runtime.benchmark.table import format_table
from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair, find_pairs, spread

GENERATED = "scenes"  # the source that generated scenes have in their manifest
MAX_THREADS = 256
MAX_MINUTES = 600


@dataclass(frozen=True)
class BenchmarkConfig:
    """Measure latency, memory, size and accuracy of artifacts, on this machine or with --device."""

    models: tuple[Path, ...]
    """Artifact folders, or folders that hold some; also classical:contour, classical:color, smooth:DIR."""
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
    accelerator: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    """Where artifacts run whose format can use a GPU: torch on cuda, onnx on cuda and tensorrt; others stay on the CPU. auto
    takes cuda for torch if there is a GPU. Not --device, which names another machine."""
    reference: str = ""
    """Name of the artifact that ratios refer to. Default: the fp32 torch artifact with the most MACs."""
    device_name: str = ""
    """Name of the device in the result, such as "Raspberry Pi 5". Default: its own name."""
    device: str = ""
    """Run the C++ program on ncnn artifacts there: host (this machine), ssh://user@host:port or adb://SERIAL."""
    minutes: float = 0.0
    """With --device: repeat short runs for this long, to measure how latency drifts while the device warms up."""
    binary: Path | None = None
    """With --device: the program to run. Default: the one that `make cpp` or `make cpp-arm` built for its architecture."""
    device_cache: str = ""
    """With --device: folder on the device. Default: ~/.cache/skyedge; with adb /data/local/tmp/skyedge."""
    keep_cache: bool = True
    """With --device: leave the program and the artifacts on the device for the next run."""
    device_prefix: str = ""
    """With --device: words before the program, such as "taskset f0"."""
    ssh_config: Path | None = None
    """With --device ssh://: configuration for ssh instead of your own (host keys, keys, names)."""
    out: Path | None = None
    """Result file to write. Default: results/DEVICE_RUNTIMES_THREADS_DATE.json, with _quick for a quick one. Until every accuracy
    is measured, what there is lies in FILE.part."""
    resume: Path | None = None
    """The .part file of a run that was stopped, or a result without accuracies: measures the missing accuracies only."""


def benchmark(config: BenchmarkConfig, save: Callable[[Results], None] = lambda _: None) -> Results:
    """Return the result of measuring as `config` says. Raises `InputError` that names a broken artifact or a bad flag.

    `save` gets the latencies as soon as they are measured, and what there is after each accuracy.
    """
    _check(config)
    artifacts = find_artifacts(config.models)
    if config.reference and config.reference not in artifacts:
        raise InputError(f"got --reference {config.reference!r}, expected one of {', '.join(artifacts)}")
    if config.device:
        return _benchmark_device(config, artifacts)
    pairs = _choose_pairs(config)
    gpu = _gpu(config, artifacts)
    data = _data_facts(config, pairs)
    results = _resume(config, artifacts, gpu, data) if config.resume else _measure_latencies(config, artifacts, gpu, data)
    missing = [fact.key for fact in results.artifacts if pairs and fact.accuracy is None]
    folders = {key: artifacts[key].folder for key in missing}
    devices = {key: _device(config, artifacts[key], gpu) for key in missing}
    if missing:
        save(results)
    for key, accuracy in measure_accuracies(folders, devices, pairs, log) if missing else ():
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
        "--accelerator": {key: _device(config, artifact, gpu) for key, artifact in artifacts.items()},
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
        "--accelerator": {row.artifact: row.device.partition(":")[0] for row in results.rows},
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
        log(f"memory: {key}")
        facts[key] = measure_facts(key, artifact, config.threads[0], _device(config, artifact, gpu))
    reference = choose_reference(facts, config.reference)
    runners = [
        Runner(key, artifact, threads, _device(config, artifact, gpu))
        for key, artifact in artifacts.items()
        for threads in config.threads
    ]
    rule = QUICK if config.quick else FULL
    log(f"{len(runners)} rows: {len(artifacts)} artifacts, threads {', '.join(map(str, config.threads))}")
    load = take_turns(runners, rule, log)
    rows = tuple(runner.row(gpu) for runner in runners)
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


def _benchmark_device(config: BenchmarkConfig, artifacts: dict[str, Artifact]) -> Results:
    from skyedge.devices.measure import DeviceJob, measure_device  # a host tool, not needed on a device

    job = DeviceJob(
        device=config.device,
        artifacts=artifacts,
        shown={key: shown_path(artifact.folder) for key, artifact in artifacts.items()},
        threads=config.threads,
        rule=QUICK if config.quick else FULL,
        minutes=config.minutes,
        name=config.device_name,
        binary=config.binary,
        cache=config.device_cache,
        keep_cache=config.keep_cache,
        prefix=config.device_prefix,
        ssh_config=config.ssh_config,
    )
    return dataclasses.replace(measure_device(job, log), reference=config.reference or None)


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
    if config.accelerator == "cpu" or (config.accelerator == "auto" and "torch" not in formats):
        return None
    if config.accelerator != "auto" and all(config.accelerator not in DEVICES[name] for name in formats):
        able = " or ".join(name for name, devices in DEVICES.items() if config.accelerator in devices)
        raise InputError(f"got --accelerator {config.accelerator}, expected artifacts of format {able} with it")
    try:
        import torch
    except ImportError:
        return None  # opening the artifact says what is missing and how to get it
    if not torch.cuda.is_available():
        if config.accelerator == "cuda" and "torch" in formats:
            raise InputError(
                "got --accelerator cuda, expected a CUDA device that torch can use; leave the flag out to use the CPU"
            )
        return None
    return Gpu(torch.cuda.get_device_name(0), torch.cuda.get_device_properties(0).total_memory, str(torch.version.cuda))


def _device(config: BenchmarkConfig, artifact: Artifact, gpu: Gpu | None) -> str:
    if config.accelerator == "auto":
        return "cuda" if gpu is not None and artifact.spec.format == "torch" else "cpu"
    return config.accelerator if config.accelerator in DEVICES[artifact.spec.format] else "cpu"


def _check(config: BenchmarkConfig) -> None:
    if not config.threads or any(not 1 <= threads <= MAX_THREADS for threads in config.threads):
        raise InputError(f"got --threads {config.threads}, expected counts of 1 to {MAX_THREADS}")
    if len(set(config.threads)) != len(config.threads):
        raise InputError(f"got --threads {config.threads}, expected each count once")
    if config.eval_count is not None and config.eval_count < 1:
        raise InputError(f"got --eval-count {config.eval_count}, expected 1 or more")
    if not config.device and any((config.minutes, config.binary, config.device_cache, config.device_prefix, config.ssh_config)):
        raise InputError("got flags for a device, expected --device host, ssh://user@host:port or adb://SERIAL with them")
    if config.device and config.data is not None:
        raise InputError("got --data with --device, which measures latency alone; measure accuracy here, without --device")
    if config.device and config.resume:
        raise InputError("got --resume with --device, which measures no accuracy that could be missing; leave one of them out")
    if not 0.0 <= config.minutes <= MAX_MINUTES:
        raise InputError(f"got --minutes {config.minutes:g}, expected 0 to {MAX_MINUTES}")
    out = config.out or Path("results", "result.json")
    for path in (out, _part(out)):
        _try_to_write(path)


def _try_to_write(out: Path) -> None:
    """Refuse a place where the result cannot be written, before anything is measured."""
    missing: list[Path] = []
    try:
        if out.exists() and not out.is_file():
            raise InputError(f"got {out} as --out, which is no file; expected a file such as results.json")
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


def log(text: str) -> None:
    """Write progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def default_out(results: Results) -> Path:
    """Return results/DEVICE_RUNTIMES_THREADS_DATE.json, with _quick for a quick result, so that it replaces no full one.

    Results with --device go to results/devices/, since they measure the C++ program.
    """
    device = re.sub(r"[^a-z0-9]+", "-", results.machine.name.lower()).strip("-")
    runtimes = "-".join(sorted({fact.format for fact in results.artifacts}))
    threads = "-".join(f"t{count}" for count in sorted({row.threads for row in results.rows}))
    quick = "_quick" * results.quick
    folder = Path("results", "devices") if results.device_run else Path("results")
    return folder / f"{device}_{runtimes}_{threads}_{results.created_utc[:10]}{quick}.json"


def _part(out: Path) -> Path:
    return out.with_name(f"{out.name}.part")


def main(config: BenchmarkConfig) -> None:
    """Measure, write the result file, print the table and the file's path."""

    def save(results: Results) -> None:
        write_results(results, _part(config.out or default_out(results)))

    results = benchmark(config, save)
    out = config.out or default_out(results)
    write_results(results, out)
    _part(out).unlink(missing_ok=True)
    print(format_table(results))
    if results.device_run is not None:
        from skyedge.devices.measure import format_run

        print(format_run(results.device_run))
    print(out)
