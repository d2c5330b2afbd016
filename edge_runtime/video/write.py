"""Frames into a video file, each with its own time, and the sound of another video; the file appears whole or not at all."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.files import check_free, partial_file
from edge_runtime.video.format import TICK, Color, Converter, VideoFormat, av


@dataclass(frozen=True)
class Codec:
    """An encoder, its formats of pixels by their channels (1 gray, 3 RGB, 4 with alpha), and its options.

    `sound` tells if sound goes along, `aspect` if the file says how wide its pixels are; PyAV cannot write that into Matroska.
    """

    name: str
    pixels: dict[int, str]
    options: dict[str, str] = field(default_factory=dict)
    sound: bool = True
    aspect: bool = True


H264 = Codec("libx264", {1: "yuv420p", 3: "yuv420p"}, {"crf": "18", "preset": "veryfast"})
PRORES = Codec("prores_ks", {4: "yuva444p10le"}, {"profile": "4444"})
VP9 = {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "8", "row-mt": "1"}
CODECS = {
    ".mp4": H264,
    ".m4v": H264,
    ".mov": H264,
    ".avi": Codec("mpeg4", {1: "yuv420p", 3: "yuv420p"}, {"qmin": "2", "qmax": "4"}, sound=False),  # without times of its own
    ".webm": Codec("libvpx-vp9", {1: "yuv420p", 3: "yuv420p", 4: "yuva420p"}, VP9, aspect=False),
    ".mkv": Codec("ffv1", {1: "gray", 3: "bgr0", 4: "bgra"}, aspect=False),  # lossless
}


class VideoSink:
    """Writes a video to a partial file, and gives it its name when it is whole.

    Use it in a `with` block: leaving that with an exception removes the partial file.

    Attributes
    ----------
    frames
        Count of frames written.
    end_s
        When the last of them ends, in seconds from the first.
    written_size
        (height, width) of the file's frames; most codecs want even sides, and the last row or column is repeated for them. Where
        a file cannot say that pixels are no squares the frames are enlarged.
    sound
        What became of the sound of the input, in words; empty where there is none.
    sound_end_s
        Sound behind it, in seconds of the source, is left out.
    abandoned
        Set it where another thread hangs in `write`: the partial file is removed then, and the encoder left alone.
    """

    def __init__(self, path: Path, form: VideoFormat, sound_of: Path | None = None) -> None:
        """Open the file; the sound of the video `sound_of` is copied where the file can hold it."""
        check_target(path)
        self.path, self.form, self.frames, self.abandoned = path, form, 0, False
        self.end_s, self.sound_end_s, self.sound = 0.0, math.inf, ""
        self.written_size = (0, 0)
        self._sound_of, self._convert, self._color, self._tick = sound_of, Converter(), Color(), TICK
        self._container: Any = None  # opened with the first frame, which tells size and channels
        self._stream: Any = None
        self._shape: tuple[int, ...] = ()
        self._pixels, self._lengths = "", dict[int, int]()
        self._first_s = self._last_s = self._zero_s = 0.0
        self._at, self._square = -1 << 62, False
        with contextlib.ExitStack() as files:
            self._partial = files.enter_context(partial_file(path))
            self._files = files.pop_all()

    def __enter__(self) -> VideoSink:
        """Return the sink."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        """Finish the file, or remove it after an exception."""
        with self._files:
            try:
                if kind is None:
                    self._finish()
            finally:
                if not self.abandoned and self._container is not None:
                    with contextlib.suppress(av.FFmpegError):
                        self._container.close()
            if kind is not None:
                self._files.__exit__(kind, value, trace)

    def write(self, image: np.ndarray, time_s: float | None = None, duration_s: float | None = None) -> None:
        """Add a frame: (H, W) gray, (H, W, 3) RGB or (H, W, 4) RGBA, uint8; without a time it follows the one before at once.

        Times are seconds of the source; a time that is not later than the one before counts as unknown.
        """
        with self._said():
            if self._container is None:
                self._open(image, 0.0 if time_s is None else time_s)
            if image.shape != self._shape:
                raise InputError(f"frame {self.frames} is {image.shape}, expected {self._shape} as the first; split the video")
            after = self._first_s + self.end_s if self.frames else self._first_s
            begin = time_s if time_s is not None and (time_s > self._last_s or not self.frames) else after
            at = max(round((begin - self._zero_s) / self._tick), self._at + 1)
            length = float(1 / self.form.rate) if duration_s is None else duration_s
            if not self._square:
                image = _padded(image, self.written_size)
            frame = self._convert.to_frame(image, self._pixels, self._color, self.written_size)
            frame.pts, frame.time_base, frame.duration = at, self._tick, max(1, round(length / self._tick))
            self._lengths[at] = frame.duration
            self._mux(self._stream.encode(frame))
            self._at, self._last_s, self.frames = at, begin, self.frames + 1
            self.end_s = begin + length - self._first_s
            self._mux_sound(begin + length)

    def _open(self, image: np.ndarray, first_s: float) -> None:
        """Start the file, with its sound; without it where the container does not take that."""
        channels = 1 if image.ndim == 2 else image.shape[2]
        codec = check_alpha(self.path) if channels == 4 else CODECS[self.path.suffix.lower()]
        self._shape, self._pixels, self._first_s, self._last_s = image.shape, codec.pixels[channels], first_s, first_s
        even = self._pixels.startswith(("yuv420", "yuva420"))
        height, width = image.shape[:2]
        self._square = self.form.aspect != 1 and not codec.aspect
        if self._square:
            height, width = round(height * max(1, 1 / self.form.aspect)), round(width * max(1, self.form.aspect))
            self.form = replace(self.form, aspect=Fraction(1))
        self.written_size = (height + height % 2 * even, width + width % 2 * even)
        if not codec.sound:
            self.form = replace(self.form, rate=self.form.rate.limit_denominator(250))  # MPEG-4 bounds the numerator too
            self._tick = 1 / self.form.rate
        sound = None if self._sound_of is None else _open_sound(self._sound_of)
        if sound is not None and not codec.sound:
            self.sound, sound = f"sound dropped ({self.path.suffix} keeps no time stamps; try .mkv)", None
        try:
            self._start(codec, sound)
        except (av.FFmpegError, ValueError) as error:
            if sound is None:
                raise
            self._container.close()
            self.sound = f"sound dropped ({self.path.suffix} does not take it: {error}; try .mkv)"
            self._start(codec, None)

    def _start(self, codec: Codec, sound: Any) -> None:
        self._container = av.open(f"file:{self._partial}", "w")
        self._container.metadata.update(self.form.metadata)
        self._stream = self._container.add_stream(codec.name, self.form.rate, options=codec.options)
        self._color = self.form.describe(self._stream, self._pixels, self.written_size, self._tick)
        if self._pixels == "yuva420p":
            self._stream.metadata["alpha_mode"] = "1"
        streams = () if sound is None else sound.streams.audio
        targets = {stream.index: self._container.add_stream_from_template(stream) for stream in streams}
        starts = [float(stream.start_time * stream.time_base) for stream in streams if stream.start_time is not None]
        self._zero_s = min([self._first_s, *starts])  # what comes first starts the file
        self._container.start_encoding()
        self._sounds = iter(()) if sound is None else self._packets(sound, targets)
        self._next_sound = next(self._sounds, None)
        if sound is not None:
            self.sound = "sound kept"

    def _packets(self, source: Any, targets: dict[int, Any]) -> Iterator[tuple[float, Any]]:
        """Yield the packets of sound, each with its time in seconds of the source."""
        with source, contextlib.suppress(av.FFmpegError):  # where the file is damaged the frames tell so too
            for packet in source.demux(source.streams.audio):
                if packet.dts is not None and packet.size:
                    time_s, shift = float(packet.dts * packet.time_base), round(self._zero_s / packet.time_base)
                    packet.stream = targets[packet.stream.index]
                    packet.dts, packet.pts = packet.dts - shift, None if packet.pts is None else packet.pts - shift
                    yield time_s, packet

    def _mux(self, packets: list[Any]) -> None:
        for packet in packets:
            packet.duration = self._lengths.pop(packet.pts, packet.duration)
            self._container.mux(packet)

    def _mux_sound(self, until_s: float) -> None:
        while self._next_sound is not None and self._next_sound[0] < until_s:
            self._container.mux(self._next_sound[1])
            self._next_sound = next(self._sounds, None)

    def _finish(self) -> None:
        if not self.frames:
            raise InputError(f"{self.path} could not be written: it has no frame, expected at least one")
        with self._said():
            self._mux(self._stream.encode(None))
            self._mux_sound(self.sound_end_s)
            self._container.close()

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Raise `InputError` in the place of what FFmpeg raises."""
        try:
            yield
        except (av.FFmpegError, av.codec.codec.UnknownCodecError) as error:
            raise InputError(f"{self.path} could not be written: {error}; free some room on the disk, or try .mkv") from error


def check_target(path: Path, overwrite: bool = True) -> None:
    """Raise `InputError` where a video cannot be written to `path`, or would replace a file that may not be overwritten."""
    if path.suffix.lower() not in CODECS or path.is_dir():
        raise InputError(f"got --out {path}, expected a file that ends in {', '.join(CODECS)}")
    if not overwrite and path.is_file():
        check_free([path])


def check_alpha(path: Path) -> Codec:
    """Return the codec of a video with alpha; raises `InputError` where files of this kind hold none."""
    codec = PRORES if path.suffix.lower() == ".mov" else CODECS.get(path.suffix.lower(), H264)
    if 4 not in codec.pixels:
        raise InputError(f"got --out {path} for a video with alpha, expected .mov, .webm or .mkv; choose one")
    return codec


def _open_sound(path: Path) -> Any:
    """Open a video a second time, for its sound; None where it has none."""
    with contextlib.suppress(av.FFmpegError):
        source = av.open(f"file:{path}", metadata_errors="replace")
        if source.streams.audio:
            return source
        source.close()
    return None


def _padded(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    below, right = size[0] - image.shape[0], size[1] - image.shape[1]
    return np.pad(image, [(0, below), (0, right), (0, 0)][: image.ndim], mode="edge") if below or right else image
