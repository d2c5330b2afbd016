"""Pictures and videos in and out of sky replacement; a run that fails leaves no half file under the name of its output."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from edge_runtime.errors import InputError

VIDEO_CODES = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
QUALITY = 95  # of JPEG and WebP


def is_video(path: Path) -> bool:
    """Tell by the suffix whether a file is a video."""
    return path.suffix.lower() in {*VIDEO_CODES, ".webm", ".mpg", ".mpeg", ".ts"}


def check_target(path: Path, video: bool) -> None:
    """Raise `InputError` where `path` cannot hold what is to be written."""
    known = tuple(VIDEO_CODES) if video else PICTURE_SUFFIXES
    if path.suffix.lower() not in known:
        what = "a video" if video else "a picture (--animate SECONDS makes a video)"
        raise InputError(f"got --out {path} for {what}, expected a name that ends in {', '.join(known)}")


def write_picture(path: Path, picture: np.ndarray) -> None:
    """Write (H, W, 3) uint8 RGB by the suffix of `path`, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        Image.fromarray(picture).save(partial, quality=QUALITY)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@dataclass(frozen=True, eq=False)
class Video:
    """A video that is being read: frames (H, W, 3) uint8 RGB, a second's worth of them, and how many it claims to hold."""

    frames: Iterator[np.ndarray]
    rate: float
    count: int


def open_video(path: Path) -> Video:
    """Open a video; raises `InputError` where there is none, or none that can be decoded."""
    if not path.is_file():
        raise InputError(f"got {path}, expected an existing video")
    capture = cv2.VideoCapture(str(path))
    read, first = capture.read() if capture.isOpened() else (False, None)
    if not read:
        raise InputError(f"cannot read a frame of {path}, expected a video that OpenCV's FFmpeg decodes; is it complete?")
    rate, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)

    def frames() -> Iterator[np.ndarray]:
        more, frame = True, np.asarray(first)
        while more:
            yield np.ascontiguousarray(frame[..., ::-1])
            more, frame = capture.read()
        capture.release()

    return Video(frames(), rate if 0 < rate < math.inf else 25.0, int(count) if count > 0 else 0)


class VideoSink:
    """Takes frames (H, W, 3) uint8 RGB of one size for a video file."""

    def __init__(self, path: Path, rate: float) -> None:
        self.path, self.rate = path, rate
        self.writer: cv2.VideoWriter | None = None
        self.count = 0

    def write(self, frame: np.ndarray) -> None:
        """Append a frame; the first says how large all are."""
        if self.writer is None:
            code = cv2.VideoWriter.fourcc(*VIDEO_CODES[self.path.suffix.lower()])
            self.writer = cv2.VideoWriter(str(self.path), code, self.rate, (frame.shape[1], frame.shape[0]))
            if not self.writer.isOpened():
                raise OSError(f"could not write {self.path}: OpenCV opened no encoder; try --out NAME.avi")
        self.writer.write(np.ascontiguousarray(frame[..., ::-1]))
        self.count += 1


@contextmanager
def video_sink(path: Path, rate: float) -> Iterator[VideoSink]:
    """Write a video under another name, and rename it once all frames are in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    sink = VideoSink(partial, rate)
    try:
        yield sink
        if sink.writer is not None:
            sink.writer.release()
            partial.replace(path)
    finally:
        if sink.writer is not None:
            sink.writer.release()
        partial.unlink(missing_ok=True)
