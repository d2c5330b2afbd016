"""Accuracy of several artifacts on the same images, as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from edge_runtime.benchmark.results import Accuracy
from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair
from edge_runtime.metrics.iou import bootstrap, evaluate_pairs, group_by_source, pool
from edge_runtime.segmenter import Segmenter

START_SECONDS, IMAGE_SECONDS = 900.0, 60.0  # an artifact that takes longer hangs


def measure_accuracies(
    artifacts: Mapping[str, Path], devices: Mapping[str, str], pairs: Sequence[Pair], log: Callable[[str], None]
) -> dict[str, Accuracy]:
    """Measure every artifact (key -> folder) on `pairs`, each in its own process with one thread, each image at its own size.

    Raises `InputError` with the key of an artifact that fails. `devices` is key -> `cpu`, `cuda` or `tensorrt`.
    """
    # spawn: the interpreters' thread pools, which this process has started, do not survive a fork
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(usable_cores(), len(artifacts)), mp_context=context) as workers:
        jobs = {workers.submit(_measure, folder, devices[key], pairs): key for key, folder in artifacts.items()}
        measured: dict[str, Accuracy] = {}
        limit_seconds = START_SECONDS + IMAGE_SECONDS * len(pairs) * len(artifacts)
        try:
            for job in as_completed(jobs, timeout=limit_seconds):
                key = jobs[job]
                try:
                    measured[key] = job.result()
                except (InputError, BrokenProcessPool) as error:
                    workers.shutdown(cancel_futures=True)
                    raise InputError(f"artifact {key}, measuring accuracy: {error}") from error
                log(f"accuracy: {key} on {len(pairs)} images, {len(measured)} of {len(jobs)} artifacts done")
        except TimeoutError as error:
            for process in multiprocessing.active_children():
                process.kill()  # else the pool waits for them
            late = ", ".join(key for key in artifacts if key not in measured)
            raise InputError(f"got no accuracy of {late} in {limit_seconds:.0f} s; leave them out of --models") from error
    return measured


def _measure(folder: Path, device: str, pairs: Sequence[Pair]) -> Accuracy:
    images = evaluate_pairs(Segmenter.load(folder, threads=1, device=device), pairs)
    interval = bootstrap(images)["iou"]
    return Accuracy(
        count=len(images),
        pooled=pool(images),
        iou_interval=(interval.low, interval.high) if interval else None,
        per_source={name: pool(group) for name, group in group_by_source(pairs, images).items()},
    )
