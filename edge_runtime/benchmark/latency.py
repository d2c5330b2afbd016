"""Latency of artifacts that take turns.

Batch 1. `infer` starts from an image of the input size (normalize, quantize, run) and ends with its probabilities. `end_to_end`
starts from a decoded 640x480 RGB frame (resize, infer, back to 640x480) and ends with its 8-bit mask. All artifacts
stay open and are timed in short slices in rotating order, so that a machine that gets warm or busy slows all of them alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.artifact.golden import replay
from edge_runtime.benchmark.file_to_file import time_steps
from edge_runtime.benchmark.machine import Gpu, busy_seconds, load_average
from edge_runtime.benchmark.memory import camera_frame
from edge_runtime.benchmark.results import Load, Row, Rule, judge
from edge_runtime.benchmark.timing import summarize
from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.images.resize import resize_rgb
from edge_runtime.segmenter import Segmenter

MOST_SLICE_RUNS = 200_000  # a slice that goes on has a clock that stands still
PAUSE_SECONDS = 0.02  # the thread pool of the previous runtime stops spinning in this time


class Runner:
    """One artifact at one thread count, held open, and its samples."""

    def __init__(self, key: str, artifact: Artifact, threads: int, device: str) -> None:
        self.key, self.artifact, self.threads, self.device = key, artifact, threads, device
        with naming(key, "being opened"):
            self.segmenter = Segmenter.load(artifact.folder, threads=threads, device=device)
            self.frame = camera_frame(artifact)
            self.small = resize_rgb(self.frame, *artifact.size)
            self.golden = replay(artifact, self.segmenter.backend.run)
        self.calls: dict[str, Callable[[], object]] = {
            "infer": lambda: self.segmenter.backend.run(self.small),
            "end_to_end": lambda: self.segmenter.mask8(self.frame),
        }
        self.samples_ns: dict[str, list[int]] = {kind: [] for kind in self.calls}
        self.cpu_seconds = dict.fromkeys(self.calls, 0.0)

    def time_slice(self, kind: str, rule: Rule) -> None:
        """Time a slice of `kind`, after an untimed run that fills the caches and sets torch's threads."""
        limit_threads(self.threads)  # OpenCV prepares the input and enlarges the output, by default on all cores
        samples, clock, call = self.samples_ns[kind], time.perf_counter_ns, self.calls[kind]
        with naming(self.key, f"timing {kind}"):
            call()
            runs, spent_ns, cpu = 0, 0, time.process_time()
            while runs < rule.slice_runs or spent_ns < rule.slice_seconds * 1e9:
                before = clock()
                call()
                took_ns = clock() - before
                if took_ns < 0 or runs == MOST_SLICE_RUNS:
                    raise InputError(
                        f"got a run of {took_ns / 1e9:g} s after {runs} runs, expected a clock that goes on; measure "
                        "again without suspending the machine or changing its clock"
                    )
                samples.append(took_ns)
                runs, spent_ns = runs + 1, spent_ns + took_ns
            self.cpu_seconds[kind] += time.process_time() - cpu

    def row(self, gpu: Gpu | None, photo: Path | None = None, runs: int = 0) -> Row:
        """Return the row of the result, labeled with where it ran; of a photo also the steps from file to file."""
        device = "cpu" if self.device == "cpu" else f"{self.device}: {gpu.name if gpu else 'GPU'}"
        timings: Any = {kind: summarize(self.samples_ns[kind], self.cpu_seconds[kind]) for kind in self.calls}
        name = self.segmenter.backend.name
        with naming(self.key, f"from {photo} to its mask's file"):
            steps = None if photo is None else time_steps(photo, self.segmenter, runs)
        return Row(
            self.key, f"{name} {self.artifact.precision}, {device}", name, device, self.threads, file_to_file=steps, **timings
        )


def take_turns(runners: list[Runner], rule: Rule, log: Callable[[str], None]) -> Load:
    """Time all `runners` in `rule.turns` rounds, each of which starts with another runner; return the machine's load.

    Raises `InputError` that names an artifact that fails.
    """
    before, busy, own, start = load_average(), busy_seconds(), time.process_time(), time.monotonic()
    for turn in range(rule.turns):
        shift = turn * len(runners) // rule.turns
        for runner in runners[shift:] + runners[:shift]:
            time.sleep(PAUSE_SECONDS)
            for kind in runner.calls if turn % 2 == 0 else reversed(runner.calls):
                runner.time_slice(kind, rule)
        left = (time.monotonic() - start) / (turn + 1) * (rule.turns - turn - 1)
        log(f"latency: turn {turn + 1} of {rule.turns} done, about {left:.0f} s left")
    elapsed, busy_after, other = time.monotonic() - start, busy_seconds(), None
    if busy is not None and busy_after is not None:
        other = round(max(0.0, busy_after - busy - (time.process_time() - own)) / elapsed, 2)
    return Load(before, load_average(), other)


def find_warnings(runners: Sequence[Runner], rows: Sequence[Row], load: Load, cores: int) -> tuple[str, ...]:
    """Return, in words, the reasons not to trust the figures of this run."""
    found = [
        f"{runner.key} with {runner.threads} threads differs from its golden mask by {runner.golden.max_abs:.3g}, "
        f"more than {runner.golden.atol:.3g}: its masks are not those of the export."
        for runner in runners
        if not runner.golden.ok
    ]
    return (*found, *judge(rows, load, cores))


@contextmanager
def naming(key: str, doing: str) -> Iterator[None]:
    """Turn any error of an interpreter into an `InputError` that names the artifact."""
    try:
        yield
    except InputError as error:
        raise InputError(f"artifact {key}, {doing}: {error}") from error
    except Exception as error:  # interpreters raise their own types, which this module must not import
        raise InputError(
            f"artifact {key}, {doing}: got {type(error).__name__}: {error}; expected a mask; run edge_runtime.verify on it"
        ) from error
