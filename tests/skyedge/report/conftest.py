"""A small result file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.benchmark.results import QUICK, DataFacts, read_results, write_results

KEYS = ("unet_lite_s-192-fp32-tflite", "unet_lite_s-192-fp32-torch")


@pytest.fixture(scope="module")
def measured(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a quick result of two artifacts, the second of them the reference, cut from a committed file."""
    (committed,) = project_root.glob("results/*torch*.json")
    full = read_results(committed)
    rows = [row for row in full.rows if row.artifact in KEYS and row.threads == 1]
    few = [dataclasses.replace(row.infer, samples_us=row.infer.samples_us[:5]) for row in rows]
    results = dataclasses.replace(
        full,
        quick=True,
        rule=QUICK,
        machine=dataclasses.replace(full.machine, name="Board <1> & $x$"),
        warnings=(),
        data=DataFacts("scenes", "test", 3, 12),
        reference=KEYS[1],
        artifacts=tuple(artifact for artifact in full.artifacts if artifact.key in KEYS),
        rows=tuple(dataclasses.replace(row, infer=timing) for row, timing in zip(rows, few, strict=True)),
    )
    path = tmp_path_factory.mktemp("report") / "r.json"
    write_results(results, path)
    return path


@pytest.fixture
def changed(measured: Path, tmp_path: Path) -> Callable[[str, Callable[[dict[str, Any]], None]], Path]:
    """Return what writes the result file to a name with a change."""

    def write(name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        results = json.loads(measured.read_text())
        change(results)
        (tmp_path / name).write_text(json.dumps(results))
        return tmp_path / name

    return write
