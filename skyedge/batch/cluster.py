"""The planned shards on Ray Data: a pool of actors, streamed, with progress on stderr."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from edge_runtime.errors import InputError
from edge_runtime.progress import LINE_SECONDS
from edge_runtime.records import build, parse_json
from skyedge.batch.results import Manifest
from skyedge.batch.shards import Planned
from skyedge.batch.worker import Task, Worker

ROOT = Path(__file__).resolve().parents[2]
MOST_BLOCKS = 20_000  # a block is one task of Ray; above that a task has several shards
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
IN_FLIGHT = 2  # tasks of an actor: one that it does, one that waits
STORE_BYTES = 256 << 20  # of a cluster of our own: only plans and manifests pass through it


def run_shards(
    planned: list[Planned], task: Task, workers: int, address: str | None, device: str
) -> tuple[list[tuple[float, Manifest]], int]:
    """Do the shards on a cluster; returns (seconds since the actors began, manifest) of each, and the number of actors.

    Raises `InputError` where there is no cluster, and for what every shard would meet: a full disk, a model that a machine
    lacks.
    """
    _connect(address, workers)
    try:
        resource = "GPU" if device == "cuda" else "CPU"
        found = int(ray.cluster_resources().get(resource, 0))
        if found == 0:
            raise InputError(f"got --device {device} on a cluster without a {resource}, expected one; take another device")
        count = min(workers or found, len(planned))
        return _stream(planned, task, count, device), count
    finally:
        ray.shutdown()


def _connect(address: str | None, workers: int) -> None:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    options: dict[str, Any] = {
        "address": address or os.environ.get("RAY_ADDRESS") or "local",
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}},
    }
    if options["address"] == "local":
        cpus = max(workers, len(os.sched_getaffinity(0))) if workers else None
        options |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        ray.init(**options)
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():  # Ray's own handler of SIGTERM aborts
                signal.signal(number, handler)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise InputError(f"got no Ray cluster at {options['address']}: {error}; start one with `ray start --head`") from error


def _stream(planned: list[Planned], task: Task, count: int, device: str) -> list[tuple[float, Manifest]]:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    size = -(-len(planned) // MOST_BLOCKS)
    rows = pa.Table.from_pylist([vars(each) for each in planned])
    # Not a fixed size: the pool goes on with fewer when a machine is lost.
    pool = ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count, max_tasks_in_flight_per_actor=IN_FLIGHT)
    done = ray.data.from_arrow([rows.slice(start, size) for start in range(0, len(planned), size)]).map_batches(
        Worker,
        fn_constructor_kwargs={"task": task},
        batch_size=1,
        compute=pool,
        num_cpus=1,
        num_gpus=1 if device == "cuda" else None,
    )
    start = time.monotonic()
    progress = _Progress(sum(each.images for each in planned), start)
    made: list[tuple[float, Manifest]] = []
    for row in done.iter_rows():
        if row["fatal"]:
            raise InputError(row["fatal"])
        manifest = build(Manifest, parse_json(row["manifest"], "a manifest"))
        made.append((time.monotonic() - start, manifest))
        progress.add(manifest)
    return made


class _Progress:
    """A line every 10 s: images done, rate, failures, time left."""

    def __init__(self, images: int, start: float) -> None:
        self._images, self._start, self._shown = images, start, start
        self._done = self._failed = 0

    def add(self, manifest: Manifest) -> None:
        """Count a shard."""
        self._done += manifest.images
        self._failed += manifest.failed
        now = time.monotonic()
        if now - self._shown >= LINE_SECONDS and self._done < self._images:
            self._shown = now
            rate = self._done / (now - self._start)
            left = (self._images - self._done) / rate
            failed = f", {self._failed} failed" if self._failed else ""
            text = f"{self._done} of {self._images} images{failed}, {rate:.1f} a second, about {left:.0f} s left"
            print(text, file=sys.stderr, flush=True)
