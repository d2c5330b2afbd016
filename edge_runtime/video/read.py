"""Frames out of videos, cameras and streams, by PyAV, each with its own time.

Whether a file is whole is what its demuxer says, not what the container claims: a clip that was cut without decoding claims
frames that it does not show, and sound may be longer than the picture.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.formats import what_is_wrong
from edge_runtime.video.format import DEFAULT_RATE, OF_THE_FILE, Color, Converter, VideoFormat, av

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".wmv"})
RATES = (1, 240)  # plausible frames per second; others become the default
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 8.0  # before a stream that dropped out is tried again; each wait is twice the one before
TIMEOUT_S = 30.0  # for a stream to open, and for its next frame
CUT_SHORT = ("File ended prematurely", "partial file")  # what FFmpeg's demuxers say of truncated files


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """A frame, (H, W, 3) uint8 RGB or a result for one, and in seconds when and how long it is shown; None is unknown."""

    image: np.ndarray
    time_s: float | None
    duration_s: float | None = None


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
    format
        What a video made of this one takes over; its colors are known from the first frame on.
    frames
        Count of frames read.
    size
        (height, width) of all frames, upright: that of the first.
    stopped
        Set it to end the wait for a stream that dropped out.
    """

    def __init__(self, source: str | Path, reconnect: float = 0.0) -> None:
        """Open the source; a stream without an end of its own that drops out is tried again for `reconnect` seconds."""
        self.name, self.live = str(source), is_live(source)
        if not self.live and (wrong := what_is_wrong(Path(self.name))):
            raise InputError(f"got {self.name}, {wrong}, expected an existing video, a camera's number or a stream's URL")
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        self._faults: list[str] = []
        self.stopped, self._reconnect = threading.Event(), reconnect
        self._container, self._stream = self._open()
        rate = self._stream.average_rate or self._stream.guessed_rate or DEFAULT_RATE
        rate = rate if RATES[0] <= rate <= RATES[1] else DEFAULT_RATE
        said = {key: value for key, value in self._container.metadata.items() if key not in OF_THE_FILE}
        self.format = VideoFormat(rate, self._stream.sample_aspect_ratio or Fraction(1), metadata=said)
        self.frames, self.size, self.damaged = 0, (0, 0), 0
        self._changes: list[str] = []  # of the size, and times without a stream
        self._color, self._convert = Color(), Converter()
        self._decoded = self._decode()

    def read(self) -> TimedFrame | None:
        """Return the next frame, upright, or None after the last."""
        return next(self._decoded, None)

    def shortfall(self) -> str | None:
        """Say what is missing of a source that ended too early, None where it is whole; to be asked after the last frame."""
        if not self._faults:
            return None
        what = "it stalled or broke off" if self.live else "it is truncated"
        return f"{self.name} ends after {self.frames} frames ({self._faults[-1]}), expected more; {what}"

    def notes(self) -> list[str]:
        """Return in words what a viewer of the result should know of the frames."""
        hdr = ["HDR became SDR (BT.709)"] if self._color.hdr else []
        return [*hdr, *self._changes, *[f"{self.damaged} damaged packets"] * bool(self.damaged)]

    def close(self) -> None:
        """Close the file or the camera."""
        self._container.close()

    def _open(self) -> tuple[Any, Any]:
        """Return the opened source, and its stream of pictures."""
        with av.logging.Capture() as said:
            container = _open(self.name, self.live)
        self._note(said)
        stream = container.streams.best("video")
        if stream is None:
            raise InputError(f"got {self.name} without a picture, expected a video; record it again")
        return container, stream

    def _decode(self) -> Iterator[TimedFrame]:
        while True:
            for packet in self._packets():
                try:
                    frames = packet.decode()
                except av.InvalidDataError:  # a decoder goes on behind a place that is damaged
                    self.damaged += 1
                    continue
                for frame in frames:
                    yield self._upright(frame)
            if not self._come_back():
                return

    def _come_back(self) -> bool:
        """Open a stream again that dropped out; False where it has an end of its own, or does not come back in time."""
        start, wait_s = time.monotonic(), FIRST_WAIT_S
        if not (self.live and self._reconnect > 0 and self._container.size <= 0):
            return False
        self._container.close()
        print(f"{self.name} dropped out after {self.frames} frames; trying again", file=sys.stderr, flush=True)
        while (away_s := time.monotonic() - start) < self._reconnect and not self.stopped.wait(wait_s):
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            try:
                self._container, self._stream = self._open()
            except InputError:
                continue
            away_s = time.monotonic() - start
            self._changes.append(f"stream away for {away_s:.1f} s after frame {self.frames}")
            self._faults.clear()
            return True
        self._faults.append(f"it did not come back within {away_s:.0f} s")
        return False

    def _packets(self) -> Iterator[Any]:
        """Yield the packets of the picture; the last, which is empty, lets the decoder give its last frames."""
        packets, last = self._container.demux(), None
        while True:
            with av.logging.Capture() as said:
                try:
                    packet = next(packets, None)
                except av.FFmpegError as error:
                    self._faults.append(error.strerror or type(error).__name__)
                    packet = av.Packet()
                    packet.stream = self._stream
            self._note(said)
            if packet is None:
                return
            if packet.size:
                last = packet
            elif last is not None and last.is_corrupt:
                self._faults.append("its last packet is cut off")
            if packet.stream is self._stream or packet.stream.index == self._stream.index:
                yield packet
                if not packet.size:
                    return

    def _note(self, said: list[tuple[int, str, str]]) -> None:
        """Keep of FFmpeg's messages those that tell a truncated file."""
        self._faults += [text.strip() for _, _, text in said if any(mark in text for mark in CUT_SHORT)]

    def _upright(self, frame: Any) -> TimedFrame:
        """Return a decoded frame as it should be seen, at the size of the first."""
        orient, turned = _orientation(frame)
        size = (frame.width, frame.height) if turned else (frame.height, frame.width)
        if not self.frames:
            self.size, self._color = size, Color.of(frame, self._stream.codec_context)
            aspect = 1 / self.format.aspect if turned else self.format.aspect
            self.format = replace(self.format, aspect=aspect, color=self._color.as_sdr())
        elif (
            size != self.size
            and (change := f"{size[1]} x {size[0]} scaled to {self.size[1]} x {self.size[0]}") not in self._changes
        ):
            self._changes.append(change)
        image = orient(self._convert.to_rgb(frame, self._color, self.size[::-1] if turned else self.size))
        self.frames += 1
        duration = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else None
        return TimedFrame(np.ascontiguousarray(image), None if self.live else frame.time, duration)


def _orientation(frame: Any) -> tuple[Any, bool]:
    """Return what turns and mirrors a frame so that it is upright, and whether that swaps its sides."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return (lambda image: image), False
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5]
    # Column vectors of the image's right (a, b) and down (c, d) on the screen.
    if abs(int(b)) > abs(int(a)):
        return (lambda image: image.transpose(1, 0, 2)[:: 1 if b > 0 else -1, :: 1 if c > 0 else -1]), True
    return (lambda image: image[:: 1 if d >= 0 else -1, :: 1 if a >= 0 else -1]), False


def _open(name: str, live: bool) -> Any:
    """Open a source; a file's name is given with its protocol, since a colon in it would be taken for one."""
    place, kind = ("file:" + name, None) if not live else (name, None) if "://" in name else _camera(name)
    try:
        words = {"options": {"rtsp_transport": "tcp"}, "timeout": TIMEOUT_S} if live else {}
        return av.open(place, format=kind, metadata_errors="replace", **words)
    except (av.FFmpegError, ValueError, OSError) as error:
        if live:
            advice = "expected a camera or stream that answers; check number, address and rights"
            raise InputError(f"cannot open {name} ({error}), {advice}") from error
        raise InputError(
            f"cannot open video {name} ({error}), expected a whole file that FFmpeg can decode; an MP4 that was cut off has "
            "lost its index and an empty one has no frame: repair or record it again"
        ) from error


def _camera(number: str) -> tuple[str, str]:
    """Return the name and the format by which FFmpeg opens a camera."""
    if sys.platform == "darwin":
        return number, "avfoundation"
    if sys.platform != "win32":
        return f"/dev/video{number}", "v4l2"
    cameras = [device.name for device in av.enumerate_input_devices("dshow") if "video" in device.media_types]
    if int(number) >= len(cameras):
        raise InputError(f"got camera {number}, expected one of {len(cameras)}; the first is 0")
    return f"video={cameras[int(number)]}", "dshow"
