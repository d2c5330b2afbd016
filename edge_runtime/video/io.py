"""Frames out of videos, cameras and streams, through OpenCV.

OpenCV does not say whether a file ended or broke, so what was read is compared with what the container promised
(`VideoSource.shortfall`). Videos are written at a constant rate: frames of a variable rate are repeated until their time is
over (`Pacing`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.formats import what_is_wrong
from edge_runtime.images.opencv import cv2

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv"})
DEFAULT_RATE = 25.0  # frames per second of sources without a rate
RATES = (1.0, 240.0)  # plausible rates; others become the default
PROBED = 60  # frames whose times are read in advance, to find a variable rate
LONGEST_GAP_S = 10.0  # between frames; more is a broken time or a stalled stream, and is not filled
LAST_CAMERA = 2**31 - 1
TIMEOUT_S = 30.0  # for a stream to open, and for its next frame
STALL_S = 5.0  # a stream that is silent for longer before it ends has stalled
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
        Frames per second; for a file of variable rate, the rate of its closest frames.
    frames
        Count of frames read.
    """

    def __init__(self, source: str | Path) -> None:
        self.name, self.live = str(source), is_live(source)
        if not self.live and (wrong := what_is_wrong(Path(self.name))):
            raise InputError(f"got {self.name}, {wrong}, expected an existing video, a camera's number or a stream's URL")
        self._capture = _open(self.name, self.live)
        self.rate = self._believed(self._capture.get(cv2.CAP_PROP_FPS))
        promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._promised_s = max(0.0, promised / self.rate)
        if not self.live:
            self.rate = self._closest()
        self.frames, self._last_s, self._silent_s = 0, 0.0, 0.0

    def read(self) -> TimedFrame | None:
        """Return the next frame, upright, or None after the last."""
        start = time.monotonic()
        try:
            got, image = self._capture.read()
        except cv2.error as error:
            raise InputError(f"cannot read {self.name} after frame {self.frames}: {error}; expected a whole video") from error
        waited = time.monotonic() - start
        self._silent_s = waited if got else max(waited, self._silent_s)  # the last frame may come out after the wait
        if not got:
            return None
        time_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        self.frames, self._last_s = self.frames + 1, max(time_s, self._last_s)
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if image.ndim == 3 else cv2.COLOR_GRAY2RGB)
        return TimedFrame(rgb, None if self.live or not math.isfinite(time_s) else time_s)

    def shortfall(self) -> str | None:
        """Say what is missing of a source that ended too early, None where it is whole; to be asked after the last frame."""
        if self.live and self._silent_s > STALL_S:
            return f"{self.name} sent nothing for {self._silent_s:.0f} s after {self.frames} frames; it stalled"
        reached = max(self._last_s + 1 / self.rate, self.frames / self.rate)
        if self._promised_s <= 0 or reached >= self._promised_s * (1 - SPARE) - 2 / self.rate:
            return None
        return (
            f"{self.name} ends after {reached:.2f} s ({self.frames} frames), expected {self._promised_s:.2f} s; it is truncated"
        )

    def close(self) -> None:
        """Close the file or the camera."""
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
        # Some containers store whole milliseconds, so a constant rate looks slightly uneven.
        closest = 1 / float(steps.min()) if steps.size else 0.0
        return closest if closest > 1.25 * self.rate else self.rate

    @staticmethod
    def _believed(rate: float) -> float:
        return rate if RATES[0] <= rate <= RATES[1] else DEFAULT_RATE


def _open(name: str, live: bool) -> cv2.VideoCapture:
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, round(TIMEOUT_S * 1000), cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(TIMEOUT_S * 1000)]
    camera = int(name) if name.isdigit() and live else None
    if camera is not None and camera > LAST_CAMERA:
        raise InputError(f"got camera {name}, expected a number up to {LAST_CAMERA}; the first camera is 0")
    try:
        capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG, limits) if camera is None else cv2.VideoCapture(camera)
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
    """Decides how often each frame is written at a constant rate to be shown at its time; each at least once."""

    rate: float
    written: int = 0
    repeated: int = 0
    start_s: float | None = field(default=None, init=False)
    before_s: float = field(default=0.0, init=False)

    def copies(self, time_s: float | None, next_s: float | None) -> int:
        """Return how often to write the frame shown at `time_s` when the next is shown at `next_s`; None = unknown."""
        count = 1
        if time_s is not None and next_s is not None and 0 < next_s - time_s <= LONGEST_GAP_S:
            if self.start_s is None or time_s < self.before_s or time_s - self.before_s > LONGEST_GAP_S:
                self.start_s = time_s - self.written / self.rate  # the first frame, or times that jumped
            count = max(1, round((next_s - self.start_s) * self.rate) - self.written)
            self.before_s = time_s
        self.written, self.repeated = self.written + count, self.repeated + count - 1
        return count
