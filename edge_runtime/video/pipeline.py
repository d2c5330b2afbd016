"""From video to video: decoding, the work on each frame and encoding in a thread of their own.

The queues between the threads are short, so memory does not grow with the length of the video. A file waits for the slowest
thread and loses no frame. A camera does not wait: its newest frame replaces one that was not fetched yet.
"""

from __future__ import annotations
from edge_runtime.cli import left_behind

import itertools
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.presence import is_blank
from edge_runtime.masks.refine import RefineConfig, refine
from edge_runtime.masks.stabilize import Stabilizer
from edge_runtime.segmenter import Ensemble, Segmenter
from edge_runtime.video.read import TimedFrame, VideoSource
from edge_runtime.video.threads import Pipe, Worker
from edge_runtime.video.write import VideoSink, check_alpha, check_target

LONGEST_GAP_S = 10.0  # between frames of a live source; a longer one is cut out
ENDING_S = 1.0  # that a live source is waited for when all is written
CLOSING_S = 60.0  # that a thread gets for the frame it is at
LINE_S = 10.0  # between lines of progress

Part = Literal["sky", "ground"]
Work = Callable[[Iterator[TimedFrame]], Iterator[TimedFrame]]  # frames to frames, one for each; what it raises ends the run


@dataclass(frozen=True)
class VideoOptions:
    """How to segment a video: what the flags of `edge_runtime.video.run.Video` say; `refinement` None upsamples bilinearly."""

    out: Path
    overlay: bool = False
    remove: Part | None = None
    stabilize: bool = True
    refinement: RefineConfig | None = None
    seconds: float = 0.0
    overwrite: bool = False
    reconnect: float = 30.0


@dataclass(frozen=True)
class VideoResult:
    """What a run did; `video_s` is the length of the file, `interrupted` that the user ended it.

    `size` and `written_size` are (height, width) of the input and the file, `notes` says what became of sound and colors.
    """

    frames: int
    dropped: int
    size: tuple[int, int]
    video_s: float
    wall_s: float
    interrupted: bool = False
    written_size: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the run in one line."""
        height, width = self.size
        speed = self.video_s / self.wall_s  # 1 or more keeps up with a camera
        what = f"{self.frames} frames of {width} x {height} ({self.video_s:.2f} s) in {self.wall_s:.2f} s"
        notes = (f"{speed:.2f} x real time", f"{self.dropped} dropped", *self.notes)
        return f"{what}: {', '.join(notes)}"


class FrameSegmenter:
    """Segments the frames of one video, in order."""

    def __init__(self, segmenter: Segmenter | Ensemble, stabilize: bool, refinement: RefineConfig | None = None) -> None:
        self.segmenter, self.refinement = segmenter, refinement
        self.stabilizer = Stabilizer() if stabilize else None
        self.last: np.ndarray | None = None
        self.cuts = 0  # how many were found

    def low_res(self, image: np.ndarray) -> np.ndarray:
        """Return the probability (h, w) float32 of the next frame (H, W, 3) uint8 RGB at the network's own size.

        The map is stabilized unless that is switched off. A blank frame (`is_blank`) has the map of the frame before it.
        """
        probability = self.segmenter.low_res(image)
        if is_blank(image):
            return np.zeros_like(probability) if self.last is None else self.last
        if self.stabilizer is not None:
            small = cv2.resize(image, probability.shape[::-1], interpolation=cv2.INTER_AREA)
            probability, self.cuts = self.stabilizer(small, probability), self.stabilizer.cuts
        self.last = probability
        return probability

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the probability (H, W) float32 of a frame (H, W, 3) uint8 RGB."""
        probability = self.low_res(image)
        if self.refinement is None:
            return resize_probability(probability, *image.shape[:2])
        return refine(image, np.clip(probability, 0, 1), self.refinement)


def segment_video(source: str | Path, segmenter: Segmenter | Ensemble, options: VideoOptions) -> VideoResult:
    """Segment a video file, a camera (its number) or a stream (its URL) into a file, print a summary, and return it.

    Raises what `run_video` raises.
    """
    if options.remove is not None:
        if options.overlay:
            raise InputError("got --remove with --overlay, expected one of them; leave one out")
        check_alpha(options.out)
    frames = FrameSegmenter(segmenter, options.stabilize, options.refinement)

    def work(incoming: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        for frame in incoming:
            probability = frames(frame.image)
            yield TimedFrame(draw(frame.image, probability), frame.time_s, frame.duration_s)

    def draw(image: np.ndarray, probability: np.ndarray) -> np.ndarray:
        if options.overlay:
            return draw_overlay(image, probability, segmenter.threshold)
        mask = to_mask8(probability)
        return mask if options.remove is None else np.dstack([image, mask if options.remove == "ground" else 255 - mask])

    def note() -> str:
        return f"{frames.cuts} cut{'' if frames.cuts == 1 else 's'}" if options.stabilize else ""

    return run_video(source, options.out, work, note, options.seconds, options.overwrite, options.reconnect)


def run_video(
    source: str | Path,
    out: Path,
    work: Work,
    note: Callable[[], str] = str,
    seconds: float = 0.0,
    overwrite: bool = False,
    reconnect: float = 0.0,
    strip_metadata: bool = False,
) -> VideoResult:
    """Make a video of another, and print a summary that ends with the words of `note`; see `VideoOptions` for the others.

    `strip_metadata` leaves title, date and place of the source out.

    Raises `InputError` where the source cannot be opened or holds no frame. It also does where the source ended too early;
    the frames up to there are in the file then.
    """
    if not 0 <= seconds < math.inf:
        raise InputError(f"got --seconds {seconds:g}, expected 0 (to the end) or more")
    if Path(str(source)).exists() and out.exists() and out.samefile(source):
        raise InputError(f"{source} is the input and would be overwritten; choose another --out")
    check_target(out, overwrite)
    reader = VideoSource(source, reconnect)
    if strip_metadata:
        reader.format.metadata.clear()
    result = _run(reader, out, work, note, seconds)
    print(f"{result}: {out}", flush=True)
    missing = None if seconds or result.interrupted else reader.shortfall()
    if missing:
        raise InputError(f"{missing}: what could be read is in {out}")
    return result


def _run(reader: VideoSource, out: Path, work: Work, note: Callable[[], str], seconds: float) -> VideoResult:
    """Let the three threads run; the work is done in this one, for signals come to the main thread."""
    start, stop, ended = time.monotonic(), threading.Event(), reader.stopped
    decoded, done = Pipe(stop, ended, drop=reader.live), Pipe(stop)
    decoder = Worker(lambda: _read(reader, decoded, seconds, ended), stop)
    decoder.start()
    try:
        results = work(iter(decoded))
        first = next(results, None)
        if first is None:
            decoder.finish()
            raise InputError(f"{reader.name} holds no frame that can be decoded, expected a video; record it again")
        with VideoSink(out, reader.format, None if reader.live else Path(reader.name)) as sink:
            encoder = Worker(lambda: _write(done, sink), stop)
            encoder.start()
            try:
                count, interrupted = _work_all(reader, itertools.chain([first], results), done)
                ended.set()
                done.put(None)
                encoder.finish()
                if not reader.live:
                    decoder.finish()
                if seconds or interrupted:
                    sink.sound_end_s = 0
            finally:
                stop.set()
                encoder.join(CLOSING_S)  # before the sink closes
                sink.abandoned = encoder.is_alive()
        if not decoder.is_alive() and decoder.error is not None:  # a camera that broke: its recording is kept
            raise decoder.error
    finally:
        ended.set()
        stop.set()
        decoder.join(ENDING_S if reader.live else CLOSING_S)  # a stalled stream may hold it; it ends with the process
        if decoder.is_alive():
            left_behind.append(decoder)
        else:
            reader.close()
    height, width = sink.written_size
    written = "" if sink.written_size == reader.size else f"written as {width} x {height}"
    notes = tuple(filter(None, (written, *reader.notes(), note(), sink.sound)))
    wall_s = time.monotonic() - start
    return VideoResult(count, decoded.dropped, reader.size, sink.end_s, wall_s, interrupted, sink.written_size, notes)


def _read(reader: VideoSource, decoded: Pipe, seconds: float, ended: threading.Event) -> None:
    """Decode into a pipe, to the end or until `ended` is set: a camera has no end of its own."""
    start, cut_out, last_s, first_s = time.monotonic(), 0.0, 0.0, None
    while not ended.is_set() and (frame := reader.read()) is not None:
        if reader.live:
            now = time.monotonic() - start - cut_out
            if now - last_s > LONGEST_GAP_S:
                cut_out, now = cut_out + now - last_s, last_s
            frame, last_s = TimedFrame(frame.image, now), now
        time_s = (reader.frames - 1) / float(reader.format.rate) if frame.time_s is None else frame.time_s
        first_s = time_s if first_s is None else first_s
        if (seconds and time_s - first_s >= seconds) or not decoded.put(frame):
            break
    decoded.put(None)


def _write(done: Pipe, sink: VideoSink) -> None:
    for frame in done:
        sink.write(frame.image, frame.time_s, frame.duration_s)


def _work_all(reader: VideoSource, results: Iterator[TimedFrame], done: Pipe) -> tuple[int, bool]:
    """Hand on frame after frame; return how many, and whether the user ended it: a live source, by a signal."""
    count, shown = 0, time.monotonic()
    try:
        for result in results:
            if not done.put(result):
                break
            count += 1
            if time.monotonic() - shown >= LINE_S:
                shown = time.monotonic()
                print(f"{reader.name}: {count} frames", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        if not reader.live:
            raise
        return count, True
    return count, False
