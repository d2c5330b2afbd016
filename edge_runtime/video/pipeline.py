"""Segment a video, a camera or a stream: decoding, the network and encoding each in a thread of its own.

The queues between the threads are short, so memory does not grow with the length of the video. A file waits for the slowest
thread and loses no frame. A camera does not wait: its newest frame replaces one that was not fetched yet.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.refine import RefineConfig, refine
from edge_runtime.masks.stabilize import Stabilizer
from edge_runtime.segmenter import Ensemble, Segmenter
from edge_runtime.video.io import Pacing, TimedFrame, VideoSource
from edge_runtime.video.sink import VideoSink, check_free, check_target
from edge_runtime.video.threads import Pipe, Reading, Worker, Writing

ENDING_S = 1.0  # that a live source is waited for when all is written
CLOSING_S = 60.0  # that a thread gets for the frame it is at
LINE_S = 10.0  # between lines of progress
WINDOW = "skyedge"  # a key q in it ends the run


@dataclass(frozen=True)
class VideoOptions:
    """How to segment a video.

    Attributes
    ----------
    out
        File of the result; its suffix decides the codec (`video.encode.CODECS`).
    overlay
        Write the image with its sky tinted, not the gray mask.
    stabilize
        Remove flicker (`edge_runtime.masks.stabilize`), before refinement.
    refinement
        How to refine each frame; None upsamples bilinearly.
    show
        Show the result in a window.
    seconds
        Stop after so many seconds of video; 0 = at its end, or when the user ends it.
    overwrite
        Also replace a file that this program did not write.
    """

    out: Path
    overlay: bool = False
    stabilize: bool = True
    refinement: RefineConfig | None = None
    show: bool = False
    seconds: float = 0.0
    overwrite: bool = False


@dataclass(frozen=True)
class VideoResult:
    """What a run did; `video_s` is the length of the file, `interrupted` that the user ended it.

    `size` and `written_size` are (height, width) of the input and the file, `sound` says what became of the sound.
    """

    frames: int
    dropped: int
    repeated: int
    cuts: int
    size: tuple[int, int]
    video_s: float
    wall_s: float
    interrupted: bool = False
    written_size: tuple[int, int] | None = None
    sound: str = ""

    @property
    def real_time_factor(self) -> float:
        """Seconds of video a second; 1 or more keeps up with a camera."""
        return self.video_s / self.wall_s


class FrameSegmenter:
    """Segments the frames of one video, in order."""

    def __init__(self, segmenter: Segmenter | Ensemble, stabilize: bool, refinement: RefineConfig | None = None) -> None:
        self.segmenter, self.refinement = segmenter, refinement
        self.stabilizer = Stabilizer() if stabilize else None

    def low_res(self, image: np.ndarray) -> np.ndarray:
        """Return the probability (h, w) float32 of a frame (H, W, 3) uint8 RGB at the network's own size."""
        return self.steady(image, self.segmenter.low_res(image))

    def steady(self, image: np.ndarray, probability: np.ndarray) -> np.ndarray:
        """Return the probability (h, w) float32 of the next frame, stabilized unless that is switched off."""
        if self.stabilizer is None:
            return probability
        small = cv2.resize(image, probability.shape[::-1], interpolation=cv2.INTER_AREA)
        return self.stabilizer(small, probability)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return the probability (H, W) float32 of a frame (H, W, 3) uint8 RGB."""
        probability = self.low_res(image)
        if self.refinement is None:
            return resize_probability(probability, *image.shape[:2])
        return refine(image, np.clip(probability, 0, 1), self.refinement)

    @property
    def cuts(self) -> int:
        """How many cuts were found."""
        return 0 if self.stabilizer is None else self.stabilizer.cuts


def segment_video(source: str | Path, segmenter: Segmenter | Ensemble, options: VideoOptions) -> VideoResult:
    """Segment a video file, a camera (its number) or a stream (its URL) into a file, and print a summary.

    Raises `InputError` where the source cannot be opened or holds no frame. It also does where the source ended too early;
    the frames up to there are in the file then.
    """
    check_target(options.out)
    if not 0 <= options.seconds < math.inf:
        raise InputError(f"got --seconds {options.seconds:g}, expected 0 (to the end) or more")
    if Path(str(source)).exists() and options.out.exists() and options.out.samefile(source):
        raise InputError(f"{source} is the input and would be overwritten; choose another --out")
    check_free(options.out, options.overwrite)
    if options.show:
        open_window()
    reader = VideoSource(source)
    try:
        result = _run(reader, FrameSegmenter(segmenter, options.stabilize, options.refinement), options)
    finally:
        if options.show:
            cv2.destroyAllWindows()
    print(summary(result, options), flush=True)
    missing = None if options.seconds or result.interrupted else reader.shortfall()
    if missing:
        raise InputError(f"{missing}: what could be read is in {options.out}")
    return result


def summary(result: VideoResult, options: VideoOptions) -> str:
    """Return the last line of a run."""
    height, width = result.size
    what = f"{result.frames} frames of {width} x {height} ({result.video_s:.2f} s) in {result.wall_s:.2f} s"
    extra = f", {result.repeated} repeated to keep time" if result.repeated else ""
    if result.written_size not in (None, result.size):
        extra += ", written as {1} x {0}".format(*result.written_size)
    cuts = f", {result.cuts} cut{'' if result.cuts == 1 else 's'}" if options.stabilize else ""
    sound = f", {result.sound}" if result.sound else ""
    return f"{what}: {result.real_time_factor:.2f} x real time, {result.dropped} dropped{extra}{cuts}{sound}: {options.out}"


def open_window() -> None:
    """Open the window of `--show`; raises `InputError` where there can be none."""
    instead = "install opencv-python in the place of opencv-python-headless, or leave --show out"
    if "GUI:                           NONE" in cv2.getBuildInformation():
        raise InputError(f"--show needs an OpenCV with a window system, and this one has none; {instead}")
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise InputError("--show needs a screen, and neither DISPLAY nor WAYLAND_DISPLAY is set; leave --show out here")
    try:
        cv2.namedWindow(WINDOW, cv2.WINDOW_NORMAL)
    except cv2.error as error:
        raise InputError(f"--show needs an OpenCV with a window system: {error}; {instead}") from error


def _run(reader: VideoSource, frames: FrameSegmenter, options: VideoOptions) -> VideoResult:
    """Let the three threads run; the network's is this one, since windows belong to the main thread."""
    start, stop, ended = time.monotonic(), threading.Event(), threading.Event()
    decoded, masks = Pipe(stop, ended, drop=reader.live), Pipe(stop)
    reading = Reading(reader, decoded, options.seconds, ended)
    decoder = Worker(reading.run, stop)
    decoder.start()
    try:
        incoming = iter(decoded)
        first = next(incoming, None)
        if first is None:
            decoder.finish()
            raise InputError(f"{reader.name} holds no frame that can be decoded, expected a video; record it again")
        size = first.image.shape[:2]
        pacing = Pacing(reader.rate)
        sound_of = None if reader.live else Path(reader.name)
        with VideoSink(options.out, reader.rate, size, options.overlay, sound_of) as sink:
            encoder = Worker(Writing(masks, sink, pacing).run, stop)
            encoder.start()
            try:
                count, interrupted = _segment_all(first, incoming, masks, frames, options, reader)
                ended.set()
                masks.put(None)
                encoder.finish()
                if not reader.live:
                    decoder.finish()
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
        if not decoder.is_alive():
            reader.close()
    written_s = pacing.written / reader.rate
    video_s = written_s if reader.live else max(reading.last_s + 1 / reader.rate, written_s)
    wall_s = time.monotonic() - start
    written = (interrupted, sink.written_size, sink.sound)
    return VideoResult(count, decoded.dropped, pacing.repeated, frames.cuts, size, video_s, wall_s, *written)


def _segment_all(
    first: TimedFrame,
    incoming: Iterator[TimedFrame],
    masks: Pipe,
    frames: FrameSegmenter,
    options: VideoOptions,
    reader: VideoSource,
) -> tuple[int, bool]:
    """Segment frame after frame; return how many, and whether the user ended it: by q, or a live source by a signal."""
    count, shown, frame = 0, time.monotonic(), first
    try:
        while True:
            probability = frames(frame.image)
            threshold = frames.segmenter.threshold
            image = draw_overlay(frame.image, probability, threshold) if options.overlay else to_mask8(probability)
            if not masks.put(TimedFrame(image, frame.time_s)):
                break
            count += 1
            if options.show and _quit(image):
                return count, True
            if time.monotonic() - shown >= LINE_S:
                shown = time.monotonic()
                print(f"{reader.name}: {count} frames", file=sys.stderr, flush=True)
            following = next(incoming, None)
            if following is None:
                break
            frame = following
    except KeyboardInterrupt:
        if not reader.live:
            raise
        return count, True
    return count, False


def _quit(image: np.ndarray) -> bool:
    """Show an image and tell whether the user wants to stop."""
    cv2.imshow(WINDOW, image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return cv2.waitKey(1) & 0xFF == ord("q")
