"""Latency of the C++ program beside Python's ncnn backend: `python studies/cpp_vs_python.py --models DIR...`.

Both run the same artifacts on the same machine in turns of a few frames, so that other work on the machine slows both alike. Each
turn gives the ratio of the two medians. A row has the median, the least and the largest of these ratios.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import cv2

from edge_runtime.benchmark.machine import busy_seconds, describe_machine
from edge_runtime.benchmark.memory import camera_frame
from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.escape import markdown
from edge_runtime.images.resize import resize_rgb, to_mask8
from edge_runtime.segmenter import Segmenter
from studies.harness import RESULTS, Figures, Study, StudyConfig, require, table

LIMIT_SECONDS = 1800  # for one turn of the C++ program
INFER_LIMIT, END_TO_END_LIMIT = 1.05, 1.3  # of Python's infer; of C++'s own infer


@dataclass(frozen=True, kw_only=True)
class CppVsPythonConfig(StudyConfig):
    """Compare the latency of the C++ program with Python."""

    models: tuple[Path, ...] = ()
    """Artifact folders of format ncnn. Default: the released ones."""
    threads: tuple[int, ...] = (1, 2)
    """Thread counts, each a row."""
    turns: int = 8
    """Turns of each side; with an even number both come first equally often."""
    runs: int = 20
    """Timed frames a turn, of each kind."""
    program: Path = Path("cpp_demo/build/skyedge")
    """The C++ program, as `make cpp` builds it."""
    out: Path = RESULTS / "cpp_vs_python"


def time_cpp(config: CppVsPythonConfig, model: Path, threads: int) -> dict[str, list[float]]:
    """Return the samples of one turn of the C++ program, in ms."""
    words = ["bench", "--model", model, "--threads", threads, "--runs", config.runs, "--seconds", 0, "--json", "-"]
    command = [str(word) for word in (config.program, *words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    if done.returncode != 0:
        raise InputError(f"{config.program} bench: {done.stderr.strip()}")
    row = json.loads(done.stdout)["rows"][0]
    return {kind: [sample / 1000 for sample in row[kind]["samples_us"]] for kind in ("infer", "end_to_end")}


class PythonTurn:
    """Python's side of a row, held open."""

    def __init__(self, model: Path, threads: int) -> None:
        self.segmenter, self.threads = Segmenter.load(model, threads=threads), threads
        self.frame = camera_frame(self.segmenter.artifact)
        self.small = resize_rgb(self.frame, *self.segmenter.artifact.size)

    def time(self, runs: int) -> dict[str, list[float]]:
        """Return the samples of one turn, in ms."""
        cv2.setNumThreads(self.threads)
        kinds = {
            "infer": lambda: self.segmenter.backend.run(self.small),
            "end_to_end": lambda: to_mask8(self.segmenter(self.frame)),
        }
        samples: dict[str, list[float]] = {}
        for kind, run in kinds.items():
            run()  # fills the caches again
            samples[kind] = []
            for _ in range(runs):
                start = time.perf_counter_ns()
                run()
                samples[kind].append((time.perf_counter_ns() - start) / 1e6)
        return samples


def compare(config: CppVsPythonConfig, model: Path, threads: int) -> dict[str, Any]:
    """Return a row: medians over all turns, and the turns' ratios."""
    python = PythonTurn(model, threads)
    sides = {"cpp": lambda: time_cpp(config, model, threads), "python": lambda: python.time(config.runs)}
    turns: dict[str, list[dict[str, list[float]]]] = {"cpp": [], "python": []}
    for turn in range(config.turns):
        for side in ("cpp", "python") if turn % 2 == 0 else ("python", "cpp"):
            turns[side].append(sides[side]())
    spec = python.segmenter.artifact.spec
    row: dict[str, Any] = {"artifact": spec.name, "sha256": python.segmenter.artifact.sha256, "threads": threads}
    for kind in ("infer", "end_to_end"):
        for side in ("cpp", "python"):
            row[f"{side}_{kind}_p50_ms"] = round(median([sample for turn in turns[side] for sample in turn[kind]]), 4)
        ratios = [median(c[kind]) / median(p[kind]) for c, p in zip(turns["cpp"], turns["python"], strict=True)]
        row[f"{kind}_cpp_by_python"] = {
            "median": round(median(ratios), 4), "least": round(min(ratios), 4), "largest": round(max(ratios), 4),
        }  # fmt: skip
    row["cpp_end_to_end_by_infer"] = round(median([median(t["end_to_end"]) / median(t["infer"]) for t in turns["cpp"]]), 4)
    row["within_limits"] = (
        row["infer_cpp_by_python"]["median"] <= INFER_LIMIT and row["cpp_end_to_end_by_infer"] <= END_TO_END_LIMIT
    )
    return row


def measure(config: CppVsPythonConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the rows of all artifacts and thread counts."""
    require(config, 1, "threads", "turns", "runs")
    models = config.models or tuple(sorted(path.parent for path in Path("models").glob("*/ncnn-*/model.json")))
    if not config.program.is_file() or not models:
        raise InputError(f"got program {config.program} and {len(models)} models, expected both; run `make cpp`")
    busy, own, start = busy_seconds(), _own_seconds(), time.monotonic()
    rows = []
    for model in models:
        for threads in config.threads:
            rows.append(compare(config, model, threads))
            print(f"{rows[-1]['artifact']}, {threads} threads: done", file=sys.stderr, flush=True)
    busy_after, other = busy_seconds(), None
    if busy is not None and busy_after is not None:
        other = round(max(0.0, busy_after - busy - (_own_seconds() - own)) / (time.monotonic() - start), 2)
    machine = describe_machine()
    yield (
        "cpp_vs_python",
        {
            "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "machine": {"name": machine.name, "cpu": machine.cpu, "cores": usable_cores(), "tools": machine.tools},
            "other_cores_busy": other,
            "rule": {"turns": config.turns, "runs": config.runs},
            "limits": {"infer_cpp_by_python": INFER_LIMIT, "cpp_end_to_end_by_infer": END_TO_END_LIMIT},
            "rows": rows,
        },
    )


def page(figures: Figures) -> list[str]:
    """Return the rows as a table."""
    machine = figures["machine"]
    lines = [
        f"On {markdown(machine['name'])}, {figures['created_utc'][:10]}, p50 in ms. `infer`: image of the input size to "
        "probabilities. `end_to_end`: decoded 640 x 480 frame to 8-bit mask. C++ / Python: median of the turns' ratios, least to "
        "largest in brackets."
    ]
    if figures["other_cores_busy"] is not None:
        lines[0] += f" Other processes kept {figures['other_cores_busy']} of {machine['cores']} cores busy meanwhile."
    head = [
        "artifact", "threads", "infer C++", "infer Python", "C++ / Python", "end_to_end C++", "end_to_end Python",
        "end_to_end / infer, C++",
    ]  # fmt: skip
    rows = []
    for row in figures["rows"]:
        ratio = row["infer_cpp_by_python"]
        rows.append(
            [
                row["artifact"],
                row["threads"],
                f"{row['cpp_infer_p50_ms']:.2f}",
                f"{row['python_infer_p50_ms']:.2f}",
                f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['largest']:.2f})",
                f"{row['cpp_end_to_end_p50_ms']:.2f}",
                f"{row['python_end_to_end_p50_ms']:.2f}",
                f"{row['cpp_end_to_end_by_infer']:.2f}",
            ]
        )
    met = sum(row["within_limits"] for row in figures["rows"])
    limits = f"C++ / Python <= {INFER_LIMIT} and end_to_end / infer <= {END_TO_END_LIMIT}"
    return [*lines, "", *table(head, "lrrrrrrr", rows), "", f"{met} of {len(rows)} rows are within {limits}."]


def _own_seconds() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


STUDY = Study("cpp_vs_python", "The C++ program beside Python", CppVsPythonConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
