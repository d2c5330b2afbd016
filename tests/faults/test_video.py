"""Videos on full disks, under signals, from streams that stall, and onto files of somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from count_frames import count_frames

from edge_runtime import Segmenter
from edge_runtime.errors import InputError
from edge_runtime.video import pipeline
from edge_runtime.video import read as reading
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.pipeline import VideoOptions, segment_video
from edge_runtime.video.write import CODECS, VideoSink

MODEL = Path(__file__).parents[2] / "models" / "unet_lite_s" / "onnx-int8"
SIZE, COUNT = (72, 128), 75


def noise(count: int = COUNT) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(count)]


def write(path: Path, frames: list[np.ndarray]) -> Path:
    with VideoSink(path, VideoFormat()) as sink:
        for frame in frames:
            sink.write(frame)
    return path


def start(source: str | Path, out: Path) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "edge_runtime.video", source, "--model", MODEL, "--out", out, "--overlay"]
    listen = {} if os.name != "posix" else {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    # A test run in the background of a shell ignores Ctrl-C, and its children would too.
    return subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **listen)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter.load(MODEL)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_a_full_disk_is_no_success(suffix: str, share: float, tmp_path: Path) -> None:
    """A limit on the file's size stands in for the disk: both make the write fail."""
    import resource

    whole = write(tmp_path / f"whole{suffix}", noise()).stat().st_size
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(whole * share), limits[1]))
        with pytest.raises(InputError, match="could not be written"):
            write(tmp_path / f"out{suffix}", noise())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [path.name for path in tmp_path.iterdir()] == [f"whole{suffix}"]


@pytest.mark.parametrize("suffix", CODECS)
def test_a_file_that_exists_is_not_overwritten(suffix: str, segmenter: Segmenter, tmp_path: Path) -> None:
    clip, out = write(tmp_path / "clip.avi", noise(5)), tmp_path / f"out{suffix}"
    out.write_bytes(b"somebody's holidays")
    with pytest.raises(InputError, match=r"exists already, .*--overwrite"):
        segment_video(clip, segmenter, VideoOptions(out))
    assert out.read_bytes() == b"somebody's holidays"
    segment_video(clip, segmenter, VideoOptions(out, overwrite=True))
    assert count_frames(out) == 5
    with pytest.raises(InputError, match=r"exists already, .*--overwrite"):
        segment_video(clip, segmenter, VideoOptions(out))


@contextmanager
def stream(content: bytes, pause: Callable[[], None], at: float = 0.7) -> Iterator[str]:
    """Serve `content` over HTTP, with a pause after a share of it; yields the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            cut = int(len(content) * at)
            try:
                self.wfile.write(content[:cut])
                pause()
                self.wfile.write(content[cut:])
            except OSError:
                return  # the reader has gone

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/clip.mkv"
        server.shutdown()


def test_a_stall_is_not_counted_as_video(segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "LONGEST_GAP_S", 0.5)
    content, out = write(tmp_path / "clip.mkv", noise(40)).read_bytes(), tmp_path / "out.mkv"
    with stream(content, lambda: time.sleep(2.0)) as url:
        result = segment_video(url, segmenter, VideoOptions(out))
    assert result.wall_s > 2 and result.video_s < 1.9
    assert count_frames(out) == result.frames


def test_a_stream_that_stays_silent_is_named_and_kept(
    segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "TIMEOUT_S", 1.0)
    content, out, over = write(tmp_path / "clip.mkv", noise(40)).read_bytes(), tmp_path / "out.mkv", threading.Event()
    stalled = "ends after .* it stalled or broke off: what could"
    with stream(content, lambda: over.wait(60) and None) as url, pytest.raises(InputError, match=stalled):
        segment_video(url, segmenter, VideoOptions(out))
    over.set()
    assert count_frames(out) > 0


def test_a_stream_that_breaks_off_is_named_and_kept(segmenter: Segmenter, tmp_path: Path) -> None:
    content, out = write(tmp_path / "clip.mkv", noise(40)).read_bytes(), tmp_path / "out.mkv"
    with (
        stream(content[: len(content) // 2], lambda: None) as url,
        pytest.raises(InputError, match="it stalled or broke off: what could"),
    ):
        segment_video(url, segmenter, VideoOptions(out))
    assert count_frames(out) > 0


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_recording_is_closed_and_kept(signum: signal.Signals, tmp_path: Path) -> None:
    content, out, over = write(tmp_path / "clip.mkv", noise()).read_bytes(), tmp_path / "out" / "rec.mp4", threading.Event()
    with stream(content, lambda: over.wait(60) and None) as url:
        run = start(url, out)
        deadline = time.monotonic() + 60
        while not (out.parent.is_dir() and any(out.parent.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(1.0)
        sent = time.monotonic()
        run.send_signal(signum)
        stdout, stderr = run.communicate(timeout=60)
        over.set()
    assert run.returncode == 0 and "Traceback" not in stderr, stderr
    assert time.monotonic() - sent < 9  # `docker stop` kills after ten seconds
    assert "frames of 128 x 72" in stdout and count_frames(out) > 0
    assert [path.name for path in out.parent.iterdir()] == ["rec.mp4"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_file_that_is_not_done_leaves_nothing(tmp_path: Path) -> None:
    clip, out = write(tmp_path / "clip.mkv", noise(25) * 40), tmp_path / "out" / "a.mkv"
    run = start(clip, out)
    deadline = time.monotonic() + 60
    while not (out.parent.is_dir() and any(out.parent.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    _, stderr = run.communicate(timeout=60)
    assert run.returncode == 143 and "Traceback" not in stderr, stderr
    assert not list(out.parent.iterdir())


def test_the_partial_file_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    """SIGKILL, as after `docker stop` waited in vain, leaves a hidden file; the next run into that folder removes it."""
    clip, out = write(tmp_path / "clip.mkv", noise(25) * 40), tmp_path / "out" / "a.mkv"
    run = start(clip, out)
    deadline = time.monotonic() + 60
    while not (out.parent.is_dir() and any(out.parent.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.kill()
    run.communicate(timeout=60)
    assert [path.name[0] for path in out.parent.iterdir()] == ["."]
    write(out, noise(2))
    assert [path.name for path in out.parent.iterdir()] == ["a.mkv"]


@pytest.mark.parametrize("number", [2**31, 2**32 + 1, 10**30])
def test_camera_numbers_out_of_range(number: int, segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"cannot open {number} .*, expected a camera"):
        segment_video(str(number), segmenter, VideoOptions(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (os.mkfifo, "a FIFO"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
        (lambda path: path.symlink_to(path.name), "Too many levels"),
    ],
)
def test_what_is_no_video_file(make: Callable[[Path], None], message: str, segmenter: Segmenter, tmp_path: Path) -> None:
    make(tmp_path / "a.mp4")
    with pytest.raises(InputError, match=message):
        segment_video(tmp_path / "a.mp4", segmenter, VideoOptions(tmp_path / "out.mp4"))


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_seconds_that_never_end(seconds: float, segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got --seconds .*, expected 0"):
        segment_video("0", segmenter, VideoOptions(tmp_path / "a.mp4", seconds=seconds))
