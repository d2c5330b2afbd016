"""The rows of a benchmark as plain text: `python -m edge_runtime.benchmark.table results.json`.

It takes what `edge_runtime.benchmark` and `skyedge bench` write; `skyedge bench --model DIR | python -m
edge_runtime.benchmark.table -` reads a pipe. `skyedge.report` makes the page.
"""

from __future__ import annotations
from edge_runtime.cli import run_command

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from edge_runtime.benchmark.results import Results, parse_results, read_results
from edge_runtime.escape import plain


@dataclass(frozen=True)
class TableConfig:
    """Print the rows of a result file as text, fastest first."""

    results: Annotated[Path, tyro.conf.Positional]
    """Result file of edge_runtime.benchmark or skyedge bench; - reads standard input."""


def format_table(results: Results) -> str:
    """Return the rows as plain text, fastest first."""
    facts = {fact.key: fact for fact in results.artifacts}
    name = results.data.iou_name if results.data else "no data"
    lines = [
        f"{'artifact':34} {'runtime':46} {'threads':>7} {'infer p50/p90/p95 ms':>24} {'end_to_end p50':>14} "
        f"{'MiB':>6} {'IoU ' + name:>12}"
    ]
    for row in sorted(results.rows, key=lambda row: row.infer.p50_ms):
        fact = facts[row.artifact]
        iou = fact.accuracy.pooled.iou if fact.accuracy else None
        times = f"{row.infer.p50_ms:.2f} / {row.infer.p90_ms:.2f} / {row.infer.p95_ms:.2f}"
        memory = "-" if fact.memory is None else f"{fact.memory.peak_bytes / 2**20:.0f}"
        lines.append(
            f"{row.artifact:34} {row.label:46} {row.threads:>7} {times:>24} {row.end_to_end.p50_ms:>14.2f} "
            f"{memory:>6} {'-' if iou is None else format(iou, '.4f'):>12}"
        )
    for row in results.rows:
        if row.file_to_file is not None:
            steps = {name: float(np.median(samples)) / 1000 for name, samples in row.file_to_file.items()}
            shown = ", ".join(f"{name} {ms:.2f}" for name, ms in steps.items())
            lines.append(
                f"{row.artifact}, {row.label}, {row.threads} threads, from file to file: {sum(steps.values()):.2f} ms ({shown})"
            )
    if results.quick:
        lines.append("quick: at least 20 runs each, less than the full rule (100 runs and 10 s)")
    return "\n".join(map(plain, [*lines, *(f"warning: {warning}" for warning in results.warnings)]))


def main(config: TableConfig) -> None:
    """Print the table."""
    from_pipe = str(config.results) == "-"
    print(format_table(parse_results(sys.stdin.read()) if from_pipe else read_results(config.results)))


if __name__ == "__main__":
    run_command(main, TableConfig)
