"""`skyedge video`: every frame becomes the mask that Python makes of it."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from fractions import Fraction
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import to_mask8
from edge_runtime.segmenter import Segmenter

pytestmark = pytest.mark.slow
FRAMES = 5


@pytest.fixture(scope="module")
def clip(scene_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a video that moves over a scene."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    image = read_rgb(sorted((scene_dir / "test" / "images").iterdir())[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (256, 192))
    assert writer.isOpened()
    for number in range(FRAMES):
        writer.write(np.ascontiguousarray(image[number : number + 192, 8 * number : 8 * number + 256, ::-1]))
    writer.release()
    return path


def frames(path: Path) -> list[np.ndarray]:
    """Return the frames of a video as (H, W, 3) uint8 RGB."""
    capture, found = cv2.VideoCapture(str(path)), []
    while True:
        read, frame = capture.read()
        if not read:
            return found
        found.append(frame[:, :, ::-1])


def run(skyedge: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `skyedge video`."""
    return subprocess.run([skyedge, "video", *words], capture_output=True, text=True)


@pytest.mark.parametrize("suffix", ["avi", "mp4"])
def test_masks_are_pythons(skyedge: Path, artifacts: dict[str, Path], clip: Path, tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"masks.{suffix}"
    done = run(skyedge, "--model", artifacts["ncnn-fp32"], "--input", clip, "--output", output)
    assert done.returncode == 0, done.stderr
    assert f"{FRAMES} frames of 256 x 192 pixels" in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["decode", "network", "mask", "draw", "encode"]
    assert [path.name for path in tmp_path.iterdir()] == [output.name]
    segmenter, masks = Segmenter.load(artifacts["ncnn-fp32"]), frames(output)
    assert len(masks) == FRAMES
    for mask, frame in zip(masks, frames(clip), strict=True):
        wanted = to_mask8(segmenter(np.ascontiguousarray(frame))).astype(int)
        # Both codecs lose some; a frame that is not this one's differs by far more.
        assert np.abs(mask.astype(int).mean(axis=2) - wanted).mean() < 4


def test_a_stream_is_read_like_the_file(skyedge: Path, artifacts: dict[str, Path], clip: Path, tmp_path: Path) -> None:
    words = ("--model", artifacts["ncnn-fp32"], "--output")
    assert run(skyedge, *words, tmp_path / "file.avi", "--input", clip).returncode == 0
    handler = partial(SimpleHTTPRequestHandler, directory=str(clip.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        done = run(skyedge, *words, tmp_path / "stream.avi", "--input", f"{address}/{clip.name}")
        absent = run(skyedge, *words, tmp_path / "absent.avi", "--input", f"{address}/absent.avi")
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "stream.avi").read_bytes() == (tmp_path / "file.avi").read_bytes()
    assert absent.returncode == 2 and "cannot read http://" in absent.stderr, absent.stderr


def test_overlay_and_limit(skyedge: Path, artifacts: dict[str, Path], clip: Path, tmp_path: Path) -> None:
    words = ("--model", artifacts["ncnn-fp32"], "--input", clip, "--output", tmp_path / "overlay.avi")
    done = run(skyedge, *words, "--overlay", "--frames", "2")
    assert done.returncode == 0 and "2 frames of" in done.stdout, done.stderr
    segmenter = Segmenter.load(artifacts["ncnn-fp32"])
    for shown, frame in zip(frames(tmp_path / "overlay.avi"), frames(clip), strict=False):
        sky = segmenter(np.ascontiguousarray(frame))[:, :, None]
        wanted = frame * (1 - 0.5 * sky) + 0.5 * sky * np.array([0, 120, 255])
        assert np.abs(shown - wanted).mean() < 6


def test_without_an_output_only_times_are_shown(skyedge: Path, artifacts: dict[str, Path], clip: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [skyedge, "video", "--model", artifacts["ncnn-fp32"], "--input", clip], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "nothing written: 5 frames" in done.stdout
    assert not list(tmp_path.iterdir())


def test_nothing_half_written(skyedge: Path, artifacts: dict[str, Path], clip: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.avi").write_bytes(b"RIFF" + bytes(5000))
    for words, said in (
        (("--input", tmp_path / "broken.avi", "--output", tmp_path / "out.avi"), "broken.avi"),
        (("--input", clip, "--output", tmp_path / "none" / "out.avi"), "cannot write"),
    ):
        done = run(skyedge, "--model", artifacts["ncnn-fp32"], *words)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["broken.avi"]


def test_a_camera_clip(skyedge: Path, artifacts: dict[str, Path], tmp_path: Path) -> None:
    """Pixels of 4:3, sound that is longer than the picture, and a name with a time."""
    path = tmp_path / "2026-11-29T12:30:05.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        video, sound = out.add_stream("mpeg4", rate=25), out.add_stream("aac", rate=48000)
        video.width, video.height, video.pix_fmt, video.sample_aspect_ratio = 192, 128, "yuv420p", Fraction(4, 3)
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((128, 192, 3), 12 * number, np.uint8), format="rgb24")
            out.mux(video.encode(frame))
        for number in range(150):  # 3.2 s of sound over 0.8 s of picture
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 1024 * number
            out.mux(sound.encode(frame))
        out.mux(video.encode(None))
        out.mux(sound.encode(None))
    words = ("--model", artifacts["ncnn-fp32"], "--input", path.name, "--output", "12:30.avi")
    done = subprocess.run([skyedge, "video", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "12:30.avi (no sound): 20 frames of 256 x 128 pixels" in done.stdout, done.stderr
    assert "has pixels of 1.333 : 1; they are made square, 256 x 128" in done.stderr


def test_a_stream_that_drops_out_is_opened_again(skyedge: Path, artifacts: dict[str, Path], tmp_path: Path) -> None:
    _, jpeg = cv2.imencode(".jpg", np.full((128, 192, 3), 90, np.uint8))
    calls: list[int] = []

    class Camera(BaseHTTPRequestHandler):
        """Sends four frames and hangs up, twice; then it is gone."""

        def do_GET(self) -> None:
            calls.append(1)
            if len(calls) > 2:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for _ in range(4):
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        words = ("--model", artifacts["ncnn-fp32"], "--reconnect", "2", "--output", tmp_path / "out.avi")
        done = run(skyedge, *words, "--input", f"http://127.0.0.1:{server.server_port}/live.mjpg")
        server.shutdown()
    assert done.returncode == 2 and "did not come back in 2 s" in done.stderr, done.stderr
    assert "dropped out and is back after" in done.stderr and len(calls) > 3
    assert len(frames(tmp_path / "out.avi")) == int(done.stderr.split("got ")[1].split()[0]) > 4


def test_a_full_disk_is_told(skyedge: Path, artifacts: dict[str, Path], clip: Path, tmp_path: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "limited", skyedge]  # files end at 8 kB, as on a full disk
    words = ("video", "--model", artifacts["ncnn-fp32"], "--input", clip, "--output", tmp_path / "out.avi")
    done = subprocess.run([*limited, *words], capture_output=True, text=True)
    assert done.returncode == 2 and "frames back, expected 5; free some room" in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_and_keeps_the_recording(
    skyedge: Path, artifacts: dict[str, Path], scene_dir: Path, tmp_path: Path, number: signal.Signals
) -> None:
    image = read_rgb(sorted((scene_dir / "test" / "images").iterdir())[0])
    writer = cv2.VideoWriter(str(tmp_path / "long.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (320, 240))
    for _ in range(3000):
        writer.write(np.ascontiguousarray(image[:, :, ::-1]))
    writer.release()
    out = tmp_path / "out"
    out.mkdir()
    (out / "masks.partial.avi").write_bytes(b"of a program that was killed")
    words = ("video", "--model", artifacts["ncnn-fp32"], "--input", tmp_path / "long.avi", "--output", out / "masks.avi")
    program = subprocess.Popen([skyedge, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not any(path.stat().st_size > 40000 for path in out.iterdir()):
        assert program.poll() is None and time.monotonic() < end
        time.sleep(0.05)
    program.send_signal(number)
    said, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors
    count = int(said.split("(no sound): ")[1].split()[0])
    assert 0 < count < 3000 and len(frames(out / "masks.avi")) == count
    assert [path.name for path in out.iterdir()] == ["masks.avi"]
