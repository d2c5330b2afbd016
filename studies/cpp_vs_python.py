"""Latency of the C++ program beside Python's ncnn backend: `python studies/cpp_vs_python.py --models DIR...`.

Both run the same artifacts on the same machine in turns of a few frames, so that a machine that gets warm or busy slows both
alike. Per turn the ratio of the two medians is taken; the row's ratio is the median of those, with the least and the largest
beside it. Writes results/cpp_vs_python/cpp_vs_python.json and .md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import cv2

from edge_runtime.benchmark.machine import busy_seconds, describe_machine, usable_cores
from edge_runtime.benchmark.memory import camera_frame
from edge_runtime.cli import run_command
from edge_runtime.errors import InputError
from edge_runtime.files import write_json, write_text
from edge_runtime.images.ops import resize_rgb, to_mask8
from edge_runtime.segmenter import Segmenter

PROJECT = Path(__file__).resolve().parent.parent
INFER_LIMIT, END_TO_END_LIMIT = 1.05, 1.3  # of Python's infer; of C++'s own infer
WHAT = (
    "p50 of `infer` (picture of the input size to probabilities) and `end_to_end` (decoded 640 x 480 frame to 8-bit mask), "
    "C++ and Python in turns. C++ / Python is the median of the turns' ratios, least to largest in brackets."
)


@dataclass(frozen=True)
class Config:
    """Compare C++ with Python."""

    models: tuple[Path, ...] = tuple(sorted(path.parent for path in PROJECT.glob("models/*/ncnn-*/model.json")))
    """Artifact folders of format ncnn."""
    threads: tuple[int, ...] = (1, 2)
    turns: int = 8
    """Turns of each; an even number gives both the first place equally often."""
    runs: int = 20
    """Timed frames a turn, of each kind."""
    program: Path = PROJECT / "cpp_demo" / "build" / "skyedge"
    """The C++ program, as `make cpp` builds it."""
    out: Path = PROJECT / "results" / "cpp_vs_python"

    def __post_init__(self) -> None:
        """Raise `InputError` where a number makes no sense, or a file is missing."""
        if min(self.turns, self.runs, *self.threads) < 1 or not self.models:
            raise InputError("expected one artifact at least, and --turns, --runs and --threads of 1 or more")
        if not self.program.is_file():
            raise InputError(f"got no {self.program}, expected the C++ program; run `make cpp`")


def time_cpp(config: Config, model: Path, threads: int) -> dict[str, list[float]]:
    """Return the samples of one turn of the C++ program, in ms."""
    command = [
        config.program,
        "bench",
        "--model",
        model,
        "--threads",
        threads,
        "--runs",
        config.runs,
        "--seconds",
        0,
        "--json",
        "-",
    ]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
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


def compare(config: Config, model: Path, threads: int) -> dict[str, Any]:
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


def to_markdown(result: dict[str, Any]) -> str:
    """Return the rows as a table."""
    head = (
        "artifact",
        "threads",
        "infer ms C++",
        "Python",
        "C++ / Python",
        "end_to_end ms C++",
        "Python",
        "end_to_end / infer, C++",
    )
    lines = [f"{result['what']} On {result['machine']['name']}, {result['created_utc'][:10]}.", ""]
    if result["other_cores_busy"] is not None:
        lines += [f"Other processes kept {result['other_cores_busy']} of {result['machine']['cores']} cores busy meanwhile.", ""]
    lines += [" | ".join(("", *head, "")).strip(), "|---|" + "---:|" * (len(head) - 1)]
    for row in result["rows"]:
        ratio = row["infer_cpp_by_python"]
        cells = (
            row["artifact"], row["threads"], f"{row['cpp_infer_p50_ms']:.2f}", f"{row['python_infer_p50_ms']:.2f}",
            f"{ratio['median']:.2f} ({ratio['least']:.2f}-{ratio['largest']:.2f})", f"{row['cpp_end_to_end_p50_ms']:.2f}",
            f"{row['python_end_to_end_p50_ms']:.2f}", f"{row['cpp_end_to_end_by_infer']:.2f}",
        )  # fmt: skip
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    met = sum(row["within_limits"] for row in result["rows"])
    limits = f"C++ / Python <= {INFER_LIMIT} and end_to_end / infer <= {END_TO_END_LIMIT}"
    lines += ["", f"{met} of {len(result['rows'])} rows are within {limits}."]
    return "\n".join(lines) + "\n"


def main(config: Config) -> None:
    """Measure, write both files, print the table."""
    busy, own, start = busy_seconds(), _own_seconds(), time.monotonic()
    rows = []
    for model in config.models:
        for threads in config.threads:
            rows.append(compare(config, model, threads))
            print(f"{rows[-1]['artifact']}, {threads} threads: done", file=sys.stderr, flush=True)
    busy_after, other = busy_seconds(), None
    if busy is not None and busy_after is not None:
        other = round(max(0.0, busy_after - busy - (_own_seconds() - own)) / (time.monotonic() - start), 2)
    machine = describe_machine()
    result = {
        "what": WHAT,
        "created_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": {"name": machine.name, "cpu": machine.cpu, "cores": usable_cores(), "tools": machine.tools},
        "other_cores_busy": other,
        "rule": {"turns": config.turns, "runs": config.runs},
        "limits": {"infer_cpp_by_python": INFER_LIMIT, "cpp_end_to_end_by_infer": END_TO_END_LIMIT},
        "rows": rows,
    }
    config.out.mkdir(parents=True, exist_ok=True)
    write_json(config.out / "cpp_vs_python.json", result)
    write_text(config.out / "cpp_vs_python.md", to_markdown(result))
    print(to_markdown(result), end="")


def _own_seconds() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


if __name__ == "__main__":
    run_command(main, Config)
