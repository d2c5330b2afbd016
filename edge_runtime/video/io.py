"""Frames out of videos, cameras and streams, and into files, through OpenCV.

What OpenCV cannot do, and what stands in for it: it writes at a constant rate only, so frames of a variable rate are
repeated until their time is over (`Pacing`); it neither reads nor writes sound; and it tells the end of a file from a broken
frame by the time that the container promised alone (`VideoSource.shortfall`).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from edge_runtime.errors import InputError

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv"})
CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "XVID", ".webm": "VP90", ".mkv": "FFV1"}
DEFAULT_RATE = 25.0  # frames a second of sources that do not say
RATES = (1.0, 240.0)  # what is believed
PROBED = 60  # frames whose times are looked at before a file is read
LONGEST_GAP_S = 10.0  # between frames; more is a broken time
SPARE = 0.02  # share of the promised time that may be missing: containers round


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """A frame, (H, W, 3) uint8 RGB, and when it is shown, in seconds; None where the source does not say."""

    image: np.ndarray
    time_s: float | None


def is_video(source: str | Path) -> bool:
    """Tell whether an input means a video file, a camera (a bare number that is no file) or a stream (scheme://...)."""
    text = str(source)
    return is_live(text) or Path(text).suffix.lower() in VIDEO_SUFFIXES and not Path(text).is_dir()


def is_live(source: str | Path) -> bool:
    """Tell whether frames come at their own pace: cameras and streams."""
    text = str(source)
    return "://" in text or (text.isascii() and text.isdigit() and not Path(text).exists())


class VideoSource:
    """Reads one video from the start.

    Attributes
    ----------
    rate
        Frames a second; of a file of variable rate that of its closest frames.
    frames
        Frames that were read.
    """

    def __init__(self, source: str | Path) -> None:
        self.name, self.live = str(source), is_live(source)
        if not self.live and not Path(self.name).is_file():
            raise InputError(f"got {self.name}, expected an existing video, a camera's number or a stream's URL")
        self._capture = _open(self.name, self.live)
        self.rate = self._believed(self._capture.get(cv2.CAP_PROP_FPS))
        promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._promised_s = 0.0 if self.live or promised <= 0 else promised / self.rate
        if not self.live:
            self.rate = self._closest()
        self.frames, self._last_s = 0, 0.0

    def read(self) -> TimedFrame | None:
        """Return the next frame, upright, or None after the last."""
        try:
            got, image = self._capture.read()
        except cv2.error as error:
            raise InputError(f"cannot read {self.name} after frame {self.frames}: {error}; expected a whole video") from error
        if not got:
            return None
        time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self.frames, self._last_s = self.frames + 1, max(time_s, self._last_s)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.ndim == 3 else cv2.COLOR_GRAY2RGB)
        return TimedFrame(rgb, None if self.live or not math.isfinite(time_s) else time_s)

    def shortfall(self) -> str | None:
        """Say what is missing of a file that ended too early, None where it is whole; to be asked after the last frame."""
        if self.live or self._promised_s <= 0:
            return None
        reached = max(self._last_s + 1 / self.rate, self.frames / self.rate)
        if reached >= self._promised_s * (1 - SPARE) - 2 / self.rate:
            return None
        return (
            f"{self.name} ends after {reached:.2f} s ({self.frames} frames), expected {self._promised_s:.2f} s; it is truncated"
        )

    def close(self) -> None:
        """Let the file or the camera go."""
        self._capture.release()

    def _closest(self) -> float:
        """Return the rate of the closest of the first frames, where that is well above the file's own rate."""
        probe = _open(self.name, live=False)
        times: list[float] = []
        while len(times) < PROBED and probe.grab():
            times.append(probe.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        probe.release()
        steps = np.diff(times)
        steps = steps[steps > 1 / RATES[1]]
        # Times of some containers are whole milliseconds, so a constant rate looks uneven by some of them.
        closest = 1 / float(steps.min()) if steps.size else 0.0
        return closest if closest > 1.25 * self.rate else self.rate

    @staticmethod
    def _believed(rate: float) -> float:
        return rate if RATES[0] <= rate <= RATES[1] else DEFAULT_RATE


def _open(name: str, live: bool) -> cv2.VideoCapture:
    try:
        capture = cv2.VideoCapture(int(name)) if name.isdigit() and live else cv2.VideoCapture(name, cv2.CAP_FFMPEG)
    except cv2.error as error:
        raise InputError(f"cannot open {name}: {error}") from error
    if capture.isOpened():
        return capture
    if live:
        raise InputError(f"cannot open {name}, expected a camera or stream that answers; check number, address and rights")
    raise InputError(
        f"cannot open video {name}, expected a whole file that OpenCV can decode; an MP4 that was cut off has lost its index "
        "and an empty one has no frame: repair or record it again"
    )


@dataclass
class Pacing:
    """How often each frame is written at a constant rate, so that it is shown when its time says; each once at least."""

    rate: float
    written: int = 0
    repeated: int = 0
    start_s: float | None = field(default=None, init=False)
    before_s: float = field(default=0.0, init=False)

    def copies(self, time_s: float | None, next_s: float | None) -> int:
        """Return how often the frame of `time_s` is to be written when the next comes at `next_s`; None is not known."""
        count = 1
        if time_s is not None and next_s is not None and 0 < next_s - time_s <= LONGEST_GAP_S:
            if self.start_s is None or time_s < self.before_s or time_s - self.before_s > LONGEST_GAP_S:
                self.start_s = time_s - self.written / self.rate  # the first frame, or times that jumped
            count = max(1, round((next_s - self.start_s) * self.rate) - self.written)
            self.before_s = time_s
        self.written, self.repeated = self.written + count, self.repeated + count - 1
        return count


class VideoSink:
    """Writes a video to a partial file beside `path`, and renames that when it is whole.

    Use it in a `with` block: leaving that with an exception removes the partial file.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int], color: bool = True) -> None:
        """Open the file; `size` is (height, width) of the frames, which are padded to even sides, as codecs want them."""
        suffix = path.suffix.lower()
        check_target(path)
        self.path, self.size, self.frames = path, size, 0
        self._pad = size[0] % 2, size[1] % 2
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        height, width = size[0] + self._pad[0], size[1] + self._pad[1]
        code = cv2.VideoWriter.fourcc(*CODECS[suffix])
        self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, code, rate, (width, height), color)
        if not self._writer.isOpened():
            self._partial.unlink(missing_ok=True)
            expected = f"a codec {CODECS[suffix]} that OpenCV was built with, and a folder that can be written"
            raise InputError(f"cannot write {path} ({width} x {height} at {rate:g} a second), expected {expected}; try .mkv")

    def __enter__(self) -> VideoSink:
        """Return the sink."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Finish the file, or remove it after an exception."""
        self._writer.release()
        try:
            if kind is None:
                self._check()
                self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)

    def write(self, image: np.ndarray) -> None:
        """Add a frame: (H, W, 3) uint8 RGB, or (H, W) uint8 where the sink is not of color."""
        if image.shape[:2] != self.size:
            raise InputError(f"frame {self.frames} is {image.shape[:2]}, expected {self.size} as the first; split the video")
        frame = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        if any(self._pad):
            frame = cv2.copyMakeBorder(frame, 0, self._pad[0], 0, self._pad[1], cv2.BORDER_REPLICATE)
        self._writer.write(frame)
        self.frames += 1

    def _check(self) -> None:
        """Raise `InputError` unless the file can be read: the writer itself does not tell of a full disk."""
        capture = cv2.VideoCapture(str(self._partial), cv2.CAP_FFMPEG) if self.frames else None
        whole = capture is not None and capture.isOpened() and capture.read()[0]
        if capture is not None:
            capture.release()
        if not whole:
            raise InputError(f"{self.path} could not be written ({self.frames} frames), expected room on the disk and a frame")


def check_target(path: Path) -> None:
    """Raise `InputError` where a video cannot be written to `path`."""
    if path.suffix.lower() not in CODECS or path.is_dir():
        raise InputError(f"got --out {path}, expected a file that ends in {', '.join(CODECS)}")
