"""Frames into a video file, which appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from edge_runtime.images.opencv import cv2
from edge_runtime.video.encode import CODECS, open_writer

NAME = b"skyedge\0"  # ends every video that this program wrote, in a box that players skip
MARKS = {
    **dict.fromkeys((".mp4", ".m4v", ".mov"), (8 + len(NAME)).to_bytes(4, "big") + b"free" + NAME),
    **dict.fromkeys((".mkv", ".webm"), b"\xec" + bytes([0x80 | len(NAME)]) + NAME),  # EBML Void
    ".avi": b"JUNK" + len(NAME).to_bytes(4, "little") + NAME,
}


class VideoSink:
    """Writes a video to a partial file, counts its frames, and gives it its name when it is whole.

    Use it in a `with` block: leaving that with an exception removes the partial file.

    Attributes
    ----------
    written_size
        (height, width) of the file's frames; most codecs want even sides, and the last row or column is repeated for them.
    sound
        What became of the sound of the input, in words; empty where there is none.
    abandoned
        Set it where another thread hangs in `write`: the partial file is removed then, and the encoder left alone.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int], color: bool = True, sound_of: Path | None = None) -> None:
        """Open the file for frames of `size` (height, width); the sound of the video `sound_of` is copied where possible."""
        check_target(path)
        self.path, self.size, self.frames, self.abandoned = path, size, 0, False
        with contextlib.ExitStack() as files:
            self._partial = files.enter_context(partial_file(path))
            self._writer = open_writer(self._partial, rate, size, color, sound_of)
            self._files = files.pop_all()
        self.written_size, self.sound = self._writer.size, self._writer.sound

    def __enter__(self) -> VideoSink:
        """Return the sink."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Finish the file, or remove it after an exception."""
        with self._files:
            try:
                if not self.abandoned:
                    self._writer.close()
            except OSError as error:
                if kind is None:
                    raise self._failure(str(error)) from error
            if kind is None:
                self._finish()
            else:
                self._files.__exit__(kind, value, trace)

    def write(self, image: np.ndarray) -> None:
        """Add a frame: (H, W, 3) uint8 RGB, or (H, W) uint8 where the sink is not of color."""
        if image.shape[:2] != self.size:
            raise InputError(f"frame {self.frames} is {image.shape[:2]}, expected {self.size} as the first; split the video")
        try:
            self._writer.write(image)
        except OSError as error:
            raise self._failure(str(error)) from error
        self.frames += 1

    def _finish(self) -> None:
        """Mark the file as ours; raises `InputError` unless it holds every frame: OpenCV's writer hides a full disk."""
        try:
            found = count_frames(self._partial)
            with self._partial.open("ab") as file:
                file.write(MARKS[self.path.suffix.lower()])
        except OSError as error:
            raise self._failure(str(error)) from error
        if not self.frames or found != self.frames:
            raise self._failure(f"it holds {found} of {self.frames} frames, expected all, and at least one")

    def _failure(self, reason: str) -> InputError:
        return InputError(f"{self.path} could not be written: {reason}; free some room on the disk")


def count_frames(path: Path) -> int:
    """Count the frames of a video file without decoding more than the first."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    readable = capture.isOpened() and capture.read()[0]
    capture.release()
    if not readable:
        return 0
    packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    count = 0
    while packets.grab():
        count += 1
    packets.release()
    return count


def check_target(path: Path) -> None:
    """Raise `InputError` where a video cannot be written to `path`."""
    if path.suffix.lower() not in CODECS or path.is_dir():
        raise InputError(f"got --out {path}, expected a file that ends in {', '.join(CODECS)}")


def check_free(path: Path, overwrite: bool) -> None:
    """Raise `InputError` where `path` is a file that this program did not write, unless it may be overwritten."""
    if overwrite or not path.is_file() or path.stat().st_size == 0:
        return
    with path.open("rb") as file:
        file.seek(-min(len(NAME), path.stat().st_size), os.SEEK_END)
        ours = file.read() == NAME
    if not ours:
        raise InputError(f"got --out {path}, a video that this program did not write; choose another name, or give --overwrite")
