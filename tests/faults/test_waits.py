"""Every wait has an end: processes that the system holds, threads that hang, downloads that stall."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from child_openers import open_half, open_sleeper

from edge_runtime import child
from edge_runtime.child import Child, EndedError
from edge_runtime.errors import InputError
from edge_runtime.video import threads
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.read import TimedFrame
from edge_runtime.video.threads import Pipe, Worker
from edge_runtime.video.write import VideoSink
from export.consumers import environments

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


def test_a_child_that_does_not_end(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(child, "ENDING_S", 0.5, raising=False)
    sleeper = Child(open_sleeper)
    sleeper.ask(0.0, 60)
    assert sleeper._process is not None
    with held(sleeper._process.pid):
        sleeper.close()
    assert "does not end although it was killed" in capsys.readouterr().err
    assert sleeper.ask(0.01, 60) == 0.01, "another process takes its place"
    sleeper.close()


def test_a_child_that_hangs() -> None:
    for opener, request in ((open_sleeper, 600.0), (open_half, b"3")):  # 3: where `serve` keeps its answers
        hanging = Child(opener)
        with pytest.raises(EndedError) as found:
            hanging.ask(request, 3.0)
        assert found.value.late


@pytest.mark.parametrize("busy", [False, True])
def test_a_child_ends_with_its_parent(busy: bool) -> None:
    """Also one in the middle of a request, which hears nothing of its parent."""
    code = (
        "import sys, threading, time; sys.path.insert(0, sys.argv[1]); from child_openers import open_sleeper\n"
        "from edge_runtime.child import Child; sleeper = Child(open_sleeper); sleeper.ask(0.0, 60)\n"
        "print(sleeper._process.pid, flush=True); sleeper.ask(600.0, 600) if len(sys.argv) > 2 else time.sleep(600)"
    )
    words = [sys.executable, "-c", code, str(Path(__file__).parent), *["busy"] * busy]
    parent = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    command_line = Path(f"/proc/{int(parent.stdout.readline())}/cmdline")
    assert command_line.read_bytes()
    parent.kill()
    parent.wait()
    until(lambda: not command_line.exists() or not command_line.read_bytes())


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
