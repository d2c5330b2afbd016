"""What is written: sound, sizes, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from count_frames import count_frames

from edge_runtime import Segmenter
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.pipeline import VideoOptions, segment_video
from edge_runtime.video.read import VideoSource
from edge_runtime.video.write import VideoSink

pytestmark = pytest.mark.slow
ODD, COUNT = (47, 65), 30


@pytest.fixture(scope="module")
def segmenter(project_root: Path) -> Segmenter:
    return Segmenter.load(project_root / "models" / "unet_lite_s" / "onnx-int8")


def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*ODD, 3), np.uint8) for _ in range(COUNT)]


def with_sound(path: Path, sound: str = "aac") -> Path:
    """Write a video of 1.2 s with a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", 25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream(sound, 44_100, layout="mono")
        for number in range(COUNT):
            image = np.full((48, 64, 3), 8 * number, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        tone = (8000 * np.sin(np.arange(52_920) / 16)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate, frame.pts = 44_100, 0
        wanted = "fltp" if sound == "aac" else "s16"
        for piece in av.AudioResampler(wanted, "mono", 44_100, 1024).resample(frame):
            container.mux(audio.encode(piece))
        container.mux(audio.encode(None))
    return path


def streams(path: Path) -> dict[str, float]:
    """Return the codecs of a file and the seconds of each."""
    with av.open(str(path)) as found:
        last: dict[str, float] = {}
        for packet in found.demux():
            if packet.pts is not None:
                name = packet.stream.codec_context.name
                last[name] = max(last.get(name, 0.0), float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_kept_and_h264_written(suffix: str, segmenter: Segmenter, tmp_path: Path) -> None:
    source, out = with_sound(tmp_path / "in.mp4"), tmp_path / f"out{suffix}"
    result = segment_video(source, segmenter, VideoOptions(out))
    found = streams(out)
    assert set(found) == {"ffv1" if suffix == ".mkv" else "h264", "aac"}
    assert found["aac"] == pytest.approx(1.2, abs=0.06) and count_frames(out) == COUNT
    assert result.notes[-1] == "sound kept"
    part = segment_video(source, segmenter, VideoOptions(out, seconds=0.4, overwrite=True))
    assert streams(out)["aac"] == pytest.approx(part.video_s, abs=0.06)


def test_sound_that_a_container_does_not_take_is_named(segmenter: Segmenter, tmp_path: Path) -> None:
    source = with_sound(tmp_path / "in.mkv", "pcm_s16le")
    result = segment_video(source, segmenter, VideoOptions(tmp_path / "out.mp4"))
    if result.notes[-1] != "sound kept":  # newer versions of FFmpeg take it
        assert "sound dropped (.mp4 does not take it" in result.notes[-1] and count_frames(tmp_path / "out.mp4") == COUNT
    assert "sound dropped (.webm" in segment_video(source, segmenter, VideoOptions(tmp_path / "out.webm")).notes[-1]
    assert "sound dropped (.avi keeps no time" in segment_video(source, segmenter, VideoOptions(tmp_path / "out.avi")).notes[-1]
    assert segment_video(source, segmenter, VideoOptions(tmp_path / "out.mkv")).notes[-1] == "sound kept"


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_odd_sizes_are_kept_without_loss_in_mkv(channels: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*ODD, channels), np.uint8).squeeze() for _ in range(3)]
    with VideoSink(tmp_path / "a.mkv", VideoFormat()) as sink:
        for image in images:
            sink.write(image)
    with av.open(str(tmp_path / "a.mkv")) as found:
        for frame, image in zip(found.decode(video=0), images, strict=True):
            assert np.array_equal(frame.to_ndarray(format=("gray", "", "rgb24", "rgba")[channels - 1]), image)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi"])
def test_odd_sides_are_padded_and_said(suffix: str, segmenter: Segmenter, tmp_path: Path) -> None:
    odd = np.random.default_rng(0).integers(0, 256, (*ODD, 3), np.uint8)
    with VideoSink(tmp_path / "in.mkv", VideoFormat()) as sink:
        sink.write(odd)
    result = segment_video(tmp_path / "in.mkv", segmenter, VideoOptions(tmp_path / f"out{suffix}", overlay=True))
    assert result.written_size == (48, 66) and "written as 66 x 48" in result.notes
    frame = VideoSource(tmp_path / f"out{suffix}").read()
    assert frame is not None and frame.image.shape == (48, 66, 3)
