"""Many images at once: each worker process reads, segments and writes whole images, so only paths pass between them."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import set_threads
from edge_runtime.progress import tell_unending
from edge_runtime.segment.jobs import Job, Options, Outcome, attempt
from edge_runtime.segmenter import load_models

AHEAD = 4  # images per worker that may be finished before the oldest one is: bounds what waits to be told in order
LIMIT_S = 600.0  # for one image, and for a worker to open the model
POLL_S = 1.0
ENDING_S = 5.0  # that a worker gets to remove its partial files, and to end when it was killed
IDLE_S = 3600.0  # that a worker waits for a job; it then ends, and the next job starts another


@dataclass(frozen=True)
class Work:
    """What all workers do alike."""

    models: tuple[Path, ...]
    threads: int
    device: str
    options: Options
    resume: bool


@dataclass
class _Worker:
    """A process, the pipe to it, and the number of the job that it has; None where it is idle."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection
    number: int | None = None
    since: float = 0.0


def run_jobs(jobs: Sequence[Job], work: Work, count: int) -> Generator[Outcome]:
    """Yield the outcomes of `jobs`, in their order, made by `count` processes.

    An image whose worker dies or hangs is a failure of that image; another worker takes the place.
    """
    workers = [_start(work) for _ in range(min(count, len(jobs)))]
    done: dict[int, Outcome] = {}
    given, told = 0, 0
    try:
        while told < len(jobs):
            for place, worker in enumerate(workers):
                if worker.number is None and given < min(len(jobs), told + AHEAD * count):
                    workers[place] = worker = worker if worker.process.is_alive() else _start(work)
                    worker.pipe.send(jobs[given])
                    worker.number, worker.since, given = given, time.monotonic(), given + 1
            wait([worker.pipe for worker in workers if worker.number is not None], POLL_S)
            for worker in workers:
                if worker.number is not None and (outcome := _outcome(worker, jobs[worker.number])):
                    done[worker.number], worker.number = outcome, None
            while told in done:
                yield done.pop(told)
                told += 1
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            _end(worker)


def _start(work: Work) -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork would copy the locks of other threads
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, work), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _outcome(worker: _Worker, job: Job) -> Outcome | None:
    """Return what a busy worker says of its job; None while it works. A worker that ended or hangs says a failure."""
    if worker.pipe.poll():
        timer = threading.Timer(LIMIT_S, worker.process.kill)  # it may hang in the middle of its answer
        timer.start()
        try:
            found = worker.pipe.recv()
        except (EOFError, OSError):
            _end(worker)
            return Outcome(error=f"{job.image}: its worker process died (code {worker.process.exitcode}); segment it by itself")
        finally:
            timer.cancel()
        if isinstance(found, InputError):
            raise found
        return found
    if time.monotonic() - worker.since > LIMIT_S:
        worker.process.kill()
        _end(worker)
        return Outcome(error=f"{job.image}: not done after {LIMIT_S:.0f} s; segment it by itself")
    return None


def _end(worker: _Worker) -> None:
    """Wait for a process that was told to end, or closed its pipe."""
    worker.process.join(ENDING_S)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join(ENDING_S)
        if worker.process.is_alive():
            tell_unending(worker.process.pid or 0)
    worker.pipe.close()


def _serve(pipe: Connection, work: Work) -> None:
    """Take jobs from a pipe until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends its workers
    set_threads(work.threads)
    segmenter = load_models(work.models, work.threads, work.device)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # from here on there are partial files to remove
    while True:
        try:
            if not pipe.poll(IDLE_S):
                return
            job = pipe.recv()
        except EOFError:
            return
        try:
            outcome: Outcome | InputError = attempt(job, segmenter, work.options, work.resume)
        except InputError as error:  # no room on the disk: the run ends
            outcome = error
        pipe.send(outcome)
