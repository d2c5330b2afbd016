"""The encoders: OpenCV's, and where PyAV is installed (extra `video`) H.264, lossless frames of any size, and sound."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.images.opencv import cv2

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "XVID", ".webm": "VP90", ".mkv": "FFV1"}  # of OpenCV
H264 = {"crf": "18", "preset": "veryfast"}
AV_CODECS = {".mp4": "libx264", ".m4v": "libx264", ".mov": "libx264", ".mkv": "ffv1"}
SOUND_MARKS = (b"soun", b"auds", b"A_AAC", b"A_OPUS", b"A_VORBIS", b"A_MPEG", b"A_PCM", b"A_FLAC", b"A_AC3")
SEARCHED_BYTES = 1 << 20  # at both ends of a file, for one of these


class Writer(Protocol):
    """What `VideoSink` needs of an encoder: the (height, width) that is written, and what became of the sound, in words."""

    size: tuple[int, int]
    sound: str

    def write(self, image: np.ndarray) -> None:
        """Add a frame, (H, W, 3) uint8 RGB or (H, W) uint8."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


def open_writer(path: Path, rate: float, size: tuple[int, int], color: bool, sound_of: Path | None) -> Writer:
    """Open an encoder for the suffix of `path`; raises `InputError` where there is none, or the file cannot be written."""
    try:
        av = importlib.import_module("av") if path.suffix.lower() in AV_CODECS else None
    except ImportError:
        av = None
    if av is None:
        return OpenCvWriter(path, rate, size, color, sound_of)
    if sound_of is None or not _has_sound(av, sound_of):
        return AvWriter(av, path, rate, size, color, None)
    try:
        return AvWriter(av, path, rate, size, color, sound_of)
    except (av.FFmpegError, ValueError) as error:  # a kind of sound that this container does not take
        writer = AvWriter(av, path, rate, size, color, None)
        writer.sound = f"sound dropped ({path.suffix} does not take it: {error}; try .mkv)"
        return writer


class OpenCvWriter:
    """Writes through OpenCV: no sound, and even sides only."""

    def __init__(self, path: Path, rate: float, size: tuple[int, int], color: bool, sound_of: Path | None) -> None:
        codec, self.size = CODECS[path.suffix.lower()], _even(size)
        self.sound = "sound dropped (PyAV keeps it in .mp4, .mov and .mkv: pip install av)" if _seems_to_sound(sound_of) else ""
        height, width = self.size
        self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*codec), rate, (width, height), color)
        if not self._writer.isOpened():
            expected = f"a codec {codec} that OpenCV was built with, and a folder that can be written"
            raise InputError(f"cannot write {path} ({width} x {height} at {rate:g} a second), expected {expected}; try .mkv")

    def write(self, image: np.ndarray) -> None:
        """Add a frame."""
        frame = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        self._writer.write(_padded(frame, self.size))

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


class AvWriter:
    """Writes through PyAV: H.264 or lossless FFV1, with the sound of another video."""

    def __init__(self, av: Any, path: Path, rate: float, size: tuple[int, int], color: bool, sound_of: Path | None) -> None:
        self._av, codec = av, AV_CODECS[path.suffix.lower()]
        self.size = size if codec == "ffv1" else _even(size)
        self._rate, self._count = rate, 0
        self._container = av.open(str(path), "w")
        self._stream = self._container.add_stream(codec, Fraction(rate).limit_denominator(65_535))
        self._stream.height, self._stream.width = self.size
        self._stream.pix_fmt = "yuv420p" if codec == "libx264" else "bgr0" if color else "gray"
        self._stream.options = H264 if codec == "libx264" else {}
        self._packets = None if sound_of is None else self._sound(sound_of)
        self._waiting = None if self._packets is None else next(self._packets, None)
        self.sound = "" if sound_of is None else "sound kept"
        try:
            self._container.start_encoding()
        except BaseException:
            self._container.close()
            raise

    def write(self, image: np.ndarray) -> None:
        """Add a frame, and the sound up to its end."""
        frame = self._av.VideoFrame.from_ndarray(_padded(image, self.size), format="gray" if image.ndim == 2 else "rgb24")
        with self._os_errors():
            self._container.mux(self._stream.encode(frame))
            self._count += 1
            while self._packets is not None and self._waiting is not None and self._waiting[0] < self._count / self._rate:
                self._container.mux(self._waiting[1])
                self._waiting = next(self._packets, None)

    def close(self) -> None:
        """Finish the file."""
        with self._os_errors():
            try:
                self._container.mux(self._stream.encode(None))
            finally:
                self._container.close()

    @contextlib.contextmanager
    def _os_errors(self) -> Iterator[None]:
        try:
            yield
        except self._av.FFmpegError as error:
            raise OSError(str(error)) from error

    def _sound(self, path: Path) -> Iterator[tuple[float, Any]]:
        """Add a stream for the sound of a video, and return its packets with their times in seconds."""
        source = self._av.open(str(path))
        stream = source.streams.audio[0]
        target = self._container.add_stream_from_template(stream)

        def packets() -> Iterator[tuple[float, Any]]:
            with source:
                try:
                    for packet in source.demux(stream):
                        if packet.dts is not None:
                            packet.stream = target
                            yield float(packet.dts * packet.time_base), packet
                except self._av.FFmpegError:
                    return  # the file is damaged: the frames tell so too

        return packets()


def _has_sound(av: Any, path: Path) -> bool:
    try:
        with av.open(str(path)) as source:
            return bool(source.streams.audio)
    except av.FFmpegError:
        return False


def _seems_to_sound(path: Path | None) -> bool:
    """Tell, without PyAV, whether a video file has sound: by the names of its streams."""
    if path is None:
        return False
    with path.open("rb") as file:
        head = file.read(SEARCHED_BYTES)
        file.seek(-min(SEARCHED_BYTES, file.seek(0, os.SEEK_END)), os.SEEK_END)
        tail = file.read()
    return any(mark in part for part in (head, tail) for mark in SOUND_MARKS)


def _even(size: tuple[int, int]) -> tuple[int, int]:
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def _padded(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    below, right = size[0] - image.shape[0], size[1] - image.shape[1]
    return cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE) if below or right else image
