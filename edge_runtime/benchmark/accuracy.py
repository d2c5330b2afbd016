"""Accuracy of several artifacts on the same images, as many at a time as there are cores."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
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
) -> Iterator[tuple[str, Accuracy]]:
    """Measure every artifact (key -> folder) on `pairs`, each in its own process with one thread, each image at its own size.

    Yields the key of each artifact that is done, with its accuracy. Raises `InputError` with the key of an artifact that fails.
    `devices` is key -> `cpu`, `cuda` or `tensorrt`.
    """
    # spawn: the interpreters' thread pools, which this process has started, do not survive a fork
    context = multiprocessing.get_context("spawn")
    count = min(usable_cores(), len(artifacts))
    with ProcessPoolExecutor(count, mp_context=context, initializer=_watch_parent) as workers:
        jobs = {workers.submit(_measure, folder, devices[key], pairs): key for key, folder in artifacts.items()}
        measured: set[str] = set()
        limit_seconds = START_SECONDS + IMAGE_SECONDS * len(pairs) * len(artifacts)
        try:
            for job in as_completed(jobs, timeout=limit_seconds):
                key = jobs[job]
                try:
                    accuracy = job.result()
                except (InputError, BrokenProcessPool) as error:
                    workers.shutdown(cancel_futures=True)
                    raise InputError(f"artifact {key}, measuring accuracy: {error}") from error
                measured.add(key)
                log(f"accuracy: {key} on {len(pairs)} images, {len(measured)} of {len(jobs)} artifacts done")
                yield key, accuracy
        except TimeoutError as error:
            for process in multiprocessing.active_children():
                process.kill()  # else the pool waits for them
            late = ", ".join(key for key in artifacts if key not in measured)
            raise InputError(f"got no accuracy of {late} in {limit_seconds:.0f} s; leave them out of --models") from error


def _watch_parent() -> None:
    """Let this worker process end when its parent does: a killed one cannot end its workers, which wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _measure(folder: Path, device: str, pairs: Sequence[Pair]) -> Accuracy:
    images = evaluate_pairs(Segmenter.load(folder, threads=1, device=device), pairs)
    interval = bootstrap(images)["iou"]
    return Accuracy(
        count=len(images),
        pooled=pool(images),
        iou_interval=(interval.low, interval.high) if interval else None,
        per_source={name: pool(group) for name, group in group_by_source(pairs, images).items()},
    )
