"""Every wait has an end: processes that the system holds, threads that hang, downloads that stall."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images import isolated
from edge_runtime.segment import workers
from edge_runtime.segment.jobs import Job, Options
from edge_runtime.video import threads
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.read import TimedFrame
from edge_runtime.video.threads import Pipe, Worker
from edge_runtime.video.write import VideoSink
from export.consumers import environments

ROOT = Path(__file__).resolve().parents[2]
FRAME = TimedFrame(np.zeros((8, 8, 3), np.uint8), None)
pytestmark = [pytest.mark.timeout(60), pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def held(process: int) -> Iterator[None]:
    """Let a process not end although it is killed: its tracer is stopped, and Linux waits for the tracer first."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    tracer = subprocess.Popen(["strace", "-f", "-p", str(process)], stderr=subprocess.PIPE)
    try:
        assert tracer.stderr is not None and b"attached" in tracer.stderr.readline()
        tracer.send_signal(signal.SIGSTOP)
        until(lambda: " T " in Path(f"/proc/{tracer.pid}/stat").read_text())
        yield
    finally:
        tracer.kill()
        tracer.wait()


def test_a_decoder_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(isolated, "ENDING_S", 0.5, raising=False)
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(tmp_path / "a.tif")
    decoder = isolated.Decoder()
    decoder.read(tmp_path / "a.tif")
    assert decoder._process is not None
    with held(decoder._process.pid):
        decoder.close()
    assert "does not end although it was killed" in capsys.readouterr().err
    assert decoder.read(tmp_path / "a.tif").shape == (8, 9, 3), "another process takes its place"
    decoder.close()


def answer_by_half(pipe: Connection) -> None:
    os.write(pipe.fileno(), (1000).to_bytes(4, "big") + b"half")
    time.sleep(600)


@pytest.fixture
def start() -> Iterator[Callable[..., workers._Worker]]:
    """Return a function that starts a worker process with the other end of its pipe."""
    started = []
    context = multiprocessing.get_context("fork")

    def begin(target: Callable[..., None], *words: object) -> workers._Worker:
        ours, theirs = context.Pipe()
        process = context.Process(target=target, args=(theirs, *words), daemon=True)
        process.start()
        theirs.close()
        started.append(process)
        return workers._Worker(process, ours, 0, time.monotonic())

    yield begin
    for process in started:
        process.kill()
        process.join()


def test_a_worker_that_hangs_in_its_answer(start: Callable[..., workers._Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "LIMIT_S", 0.5)
    worker = start(answer_by_half)
    assert worker.pipe.poll(30)
    outcome = workers._outcome(worker, Job(Path("a.png"), Path("b.png"), Path("c.jpg")))
    assert outcome is not None and outcome.error is not None and "a.png: its worker process died" in outcome.error


def test_a_worker_that_does_not_end(
    start: Callable[..., workers._Worker], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(workers, "ENDING_S", 0.5)
    worker = start(answer_by_half)
    assert worker.process.pid is not None
    with held(worker.process.pid):
        workers._end(worker)
    assert "does not end although it was killed" in capsys.readouterr().err


def test_a_worker_without_a_job_ends(start: Callable[..., workers._Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE_S", 0.5, raising=False)
    model = ROOT / "models" / "unet_lite_s" / "onnx-int8"
    worker = start(workers._serve, workers.Work((model,), 1, "cpu", Options(False, None, None, False), False))
    worker.process.join(50)
    assert worker.process.exitcode == 0


def test_threads_of_the_video_wait_for_one_that_hangs_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "LIMIT_S", 0.5, raising=False)
    pipe = Pipe(threading.Event())
    with pytest.raises(InputError, match="got no frame for 0 s, expected one; look whether disk"):
        next(iter(pipe))
    for _ in range(threads.QUEUE):
        assert pipe.put(FRAME)
    with pytest.raises(InputError, match="got no room for the next frame"):
        pipe.put(FRAME)
    hanging = threading.Event()
    worker = Worker(lambda: hanging.wait() and None, threading.Event())
    worker.start()
    with pytest.raises(InputError, match="got no end of a thread"):
        worker.finish()
    hanging.set()
    worker.finish()


def test_a_video_whose_encoder_hangs_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="it hangs"), VideoSink(tmp_path / "a.mp4", VideoFormat()) as sink:
        sink.write(np.zeros((32, 32, 3), np.uint8))
        sink.abandoned = True
        raise InputError("it hangs")
    assert not list(tmp_path.iterdir())


def test_an_environment_that_takes_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path)
    monkeypatch.setattr(environments, "LIMIT_S", 0.01, raising=False)
    name = next(iter(environments.PACKAGES))
    with pytest.raises(InputError, match=f"cannot make the environment {name}: not done after"):
        environments.make(name)
    assert environments.python_of(name) is None
