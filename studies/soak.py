"""Memory and descriptors over a long run: `python studies/soak.py --minutes 60` (after `make cpp`).

Four programs run side by side: `edge_runtime.video` and the C++ `video` on an endless stream of frames, and one `Segmenter` for
each of two formats that four threads share. A server in this process sends the frames by HTTP, so many a second. From outside,
memory is sampled until the end; the slope counts after a warm-up. Videos keep an index in memory until they are closed: its size
for each kind of file is measured apart.
"""

from __future__ import annotations

import itertools
import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge_runtime.benchmark.machine import describe_machine
from edge_runtime.errors import GateError, InputError
from edge_runtime.segmenter import Segmenter
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.read import count_frames
from edge_runtime.video.write import VideoSink
from scenes.render import generate
from studies.harness import PROJECT_ROOT, RESULTS, Figures, Study, StudyConfig, require, table

BINARY = PROJECT_ROOT / "cpp_demo" / "build" / "skyedge"
FRAMES = 100  # of the loop
SIZE = (240, 320)  # height, width
THREADS = 4
WARM_UP = 0.1  # share of the time
MOST_MB_PER_HOUR = 1.0
INDEXED = (".mp4", ".avi", ".mkv")
INDEX_FRAMES = (4_000, 60_000)  # written before the first and before the second look at memory


@dataclass(frozen=True, kw_only=True)
class SoakConfig(StudyConfig):
    """Watch the memory of programs that run for long. Exit code 1 where it grows."""

    minutes: float = 60.0
    """How long."""
    frames_per_second: int = 8
    """Of the stream; each thread of a shared Segmenter takes a fourth of that."""
    sample_seconds: float = 5.0
    """Between two samples."""
    out: Path = RESULTS / "soak"
    """Folder for soak.json and soak.md."""


class Frames(BaseHTTPRequestHandler):
    """Sends the loop as motion JPEG, until the other side has enough."""

    loop: tuple[bytes, ...]
    rate: int

    def do_GET(self) -> None:
        """Send frame after frame."""
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        start = time.monotonic()
        try:
            for number in itertools.count():
                time.sleep(max(0.0, start + number / self.rate - time.monotonic()))
                jpeg = self.loop[number % len(self.loop)]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
        except OSError:
            self.close_connection = True  # the program is done

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def make_loop() -> tuple[bytes, ...]:
    """Return JPEGs of a scene that the camera pans over and back."""
    wide = generate(5, (SIZE[0], SIZE[1] + FRAMES)).image
    steps = [*range(0, FRAMES, 2), *range(FRAMES, 0, -2)]
    views = (np.ascontiguousarray(wide[:, step : step + SIZE[1], ::-1]) for step in steps)
    return tuple(cv2.imencode(".jpg", view)[1].tobytes() for view in views)


def share_segmenter(model: str, rate: float, seconds: float, done: Any) -> None:
    """Segment images of changing size in four threads that share a Segmenter; count what was done."""
    segmenter = Segmenter.load(model)
    images = [generate(seed, (180 + 20 * seed, 320)).image for seed in range(4)]
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        for turn in itertools.count(number):
            if time.monotonic() >= end:
                return
            segmenter(images[turn % len(images)])
            with done.get_lock():
                done.value += 1
            time.sleep(1 / rate)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@dataclass(frozen=True)
class Subject:
    """A program that is watched: its name, its process, and what counts its images: a shared number, or the video it writes."""

    name: str
    process: Any  # subprocess.Popen or multiprocessing.Process
    done: Any

    def is_alive(self) -> bool:
        """Return whether it still runs."""
        return self.process.poll() is None if isinstance(self.process, subprocess.Popen) else self.process.is_alive()

    def end(self) -> None:
        """End it as a user would, and wait: videos are closed then."""
        self.process.terminate()
        self.process.wait() if isinstance(self.process, subprocess.Popen) else self.process.join()

    def images(self) -> int:
        """Return how many images it did."""
        return count_frames(self.done) if isinstance(self.done, Path) else self.done.value


def measure(config: SoakConfig) -> Iterator[tuple[str, Figures]]:
    """Yield the samples and slopes; raise `GateError` where a program ended early or took more and more memory."""
    require(config, 1, "frames_per_second")
    if not BINARY.exists():
        raise InputError(f"got no {BINARY.relative_to(PROJECT_ROOT)}, expected the C++ program; run: make cpp")
    Frames.loop, Frames.rate = make_loop(), config.frames_per_second
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as apart:  # freed memory is reused
        index = dict(zip(INDEXED, apart.map(index_bytes, INDEXED), strict=True))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Frames)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        subjects = list(start(config, f"http://127.0.0.1:{server.server_port}/sky.mjpeg", Path(folder)))
        try:
            samples = watch(config, subjects)
        finally:
            for subject in subjects:
                subject.end()
            server.shutdown()
        judged = {subject.name: judge(samples[subject.name], subject.images()) for subject in subjects}
    figures: Figures = {
        "machine": describe_machine().cpu,
        "minutes": config.minutes,
        "frames_per_second": config.frames_per_second,
        "subjects": judged,
        "index_bytes_per_frame": index,
    }
    yield "soak", figures
    failed = [f"{name} ({found['mb_per_hour']:+.2f} MB an hour)" for name, found in judged.items() if not found["steady"]]
    if failed:
        raise GateError(f"memory or descriptors grow, or the program ended early: {', '.join(failed)}")


def start(config: SoakConfig, url: str, folder: Path) -> Iterator[Subject]:
    """Start the programs."""
    seconds = 60 * config.minutes + 30  # the watch ends first
    words: dict[str, list[Any]] = {
        "python.mkv": [sys.executable, "-m", "edge_runtime.video", url, "--model", "unet_lite_s/tflite-int8", "--out"],
        "cpp.avi": [BINARY, "video", "--model", "models/unet_lite_s/ncnn-fp16", "--input", url, "--output"],
    }
    for (out, command), name in zip(words.items(), ("video, a stream", "C++ video, a stream"), strict=True):
        with (folder / f"{out}.log").open("w") as log:
            program = subprocess.Popen([*map(str, command), folder / out], stdout=log, stderr=log, cwd=PROJECT_ROOT)
        yield Subject(name, program, folder / out)
    spawn = multiprocessing.get_context("spawn")
    for model in ("unet_lite_s/tflite-int8", "unet_lite_s/onnx-int8"):
        done = spawn.Value("l", 0)
        process = spawn.Process(
            target=share_segmenter, args=(model, config.frames_per_second / THREADS, seconds, done), daemon=True
        )
        process.start()
        yield Subject(f"Segmenter {model}, {THREADS} threads", process, done)


def watch(config: SoakConfig, subjects: list[Subject]) -> dict[str, list[dict[str, float]]]:
    """Return samples of each program: seconds, resident memory in MB, descriptors, threads."""
    import psutil

    samples: dict[str, list[dict[str, float]]] = {subject.name: [] for subject in subjects}
    processes = {subject.name: psutil.Process(subject.process.pid) for subject in subjects}
    begin = time.monotonic()
    while (now := time.monotonic() - begin) < 60 * config.minutes:
        for subject in subjects:
            if subject.is_alive():
                process = processes[subject.name]
                with process.oneshot():
                    values = (process.memory_info().rss / 1e6, process.num_fds(), process.num_threads())
                samples[subject.name].append(dict(zip(("s", "mb", "fds", "threads"), (round(now, 1), *values), strict=True)))
        time.sleep(config.sample_seconds)
    for subject in subjects:
        samples[subject.name].append({"alive": float(subject.is_alive())})
    return samples


def index_bytes(suffix: str) -> float:
    """Return what a frame adds to the memory of a writer of this kind of file, which grows until the file is closed."""
    import psutil

    sizes = []
    with tempfile.TemporaryDirectory() as folder, VideoSink(Path(folder, f"x{suffix}"), VideoFormat()) as sink:
        for count in INDEX_FRAMES:
            for _ in range(count):
                sink.write(np.zeros((32, 32), np.uint8))
            sizes.append(psutil.Process().memory_full_info().uss)
    return round((sizes[1] - sizes[0]) / INDEX_FRAMES[1], 1)


def judge(samples: list[dict[str, float]], images: int) -> dict[str, Any]:
    """Return the slope of memory after the warm-up (Theil-Sen: the median of the slopes of all pairs), and the verdict."""
    *rows, last = samples
    late = [row for row in rows if row["s"] >= WARM_UP * rows[-1]["s"]]
    if len(late) < 3:
        raise GateError(f"a program ended after {len(rows)} samples")
    s, mb = (np.array([row[key] for row in late]) for key in ("s", "mb"))
    first, second = np.triu_indices(len(s), 1)
    slope = 3600 * float(np.median((mb[second] - mb[first]) / (s[second] - s[first])))
    more = late[-1]["fds"] - late[0]["fds"]
    return {
        "mb_start": round(late[0]["mb"], 2),
        "mb_end": round(late[-1]["mb"], 2),
        "mb_per_hour": round(slope, 3),
        "descriptors": late[0]["fds"],
        "descriptors_more": more,
        "threads": late[-1]["threads"],
        "images": images,
        "steady": bool(last["alive"] and slope < MOST_MB_PER_HOUR and more <= 0),
        "samples": rows[:: max(1, len(rows) // 120)],
    }


def page(figures: Figures) -> list[str]:
    """Return the table."""
    rows = []
    for name, found in figures["subjects"].items():
        memory = (f"{found['mb_start']:.1f}", f"{found['mb_end']:.1f}", f"{found['mb_per_hour']:+.2f}")
        others = (f"{found['descriptors']:.0f}", f"{found['descriptors_more']:+.0f}", f"{found['threads']:.0f}", found["images"])
        rows.append((name, *memory, *others, "yes" if found["steady"] else "no"))
    head = ["program", "MB after warm-up", "MB at the end", "MB an hour", "descriptors", "more", "threads", "images", "steady"]
    return [
        f"{figures['minutes']:g} minutes side by side on {figures['machine']}, {figures['frames_per_second']} frames a second "
        f"each. The first {100 * WARM_UP:.0f} % are warm-up. MB is resident memory; the slope is the median of the slopes of all "
        f"pairs of samples. Steady: still running at the end, less than {MOST_MB_PER_HOUR:g} MB an hour, no more descriptors.",
        "",
        *table(head, "lrrrrrrrl", rows),
        "",
        "Bytes that a frame adds to the index of a video, which stays in memory until the file is closed: "
        + ", ".join(f"{suffix} {size:g}" for suffix, size in figures["index_bytes_per_frame"].items())
        + ". `edge_runtime.video` writes .mkv here, and the C++ program .avi.",
    ]


STUDY = Study("soak", "Soak", SoakConfig, measure, page)

if __name__ == "__main__":
    STUDY.run()
