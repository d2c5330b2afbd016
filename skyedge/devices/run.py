"""Measure ncnn artifacts on another device: `python -m skyedge.devices --device ssh://pi@board --models DIR...`."""

from __future__ import annotations

from pathlib import Path

from edge_runtime.benchmark.artifacts import check_threads, find_artifacts
from edge_runtime.benchmark.results import FULL, QUICK, default_out, try_to_write, write_results
from edge_runtime.benchmark.table import format_table
from edge_runtime.progress import say
from skyedge.devices.measure import Devices, format_run, measure_device


def main(config: Devices) -> None:
    """Measure, write the result file, print the table and the file's path."""
    check_threads(config.threads)
    try_to_write(config.out or Path("results", "result.json"), config.overwrite or config.out is None)
    artifacts = find_artifacts(config.models, config.reference)
    results = measure_device(config, artifacts, QUICK if config.quick else FULL, say)
    out = config.out or default_out(results)
    write_results(results, out, config.overwrite)
    print(format_table(results))
    assert results.device_run is not None
    print(format_run(results.device_run))
    print(out)
