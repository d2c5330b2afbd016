"""Encoders: what is kept of sound and size with PyAV, and what is said of them without."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Segmenter
from edge_runtime.errors import InputError
from edge_runtime.video.encode import AvWriter, OpenCvWriter
from edge_runtime.video.io import VideoSource
from edge_runtime.video.pipeline import VideoOptions, segment_video, summary
from edge_runtime.video.sink import VideoSink, count_frames

pytestmark = pytest.mark.slow
PYAV = "av==18.1.0"
ODD, COUNT, RATE = (47, 65), 30, 25.0


@pytest.fixture(scope="session")
def av_folder(project_root: Path) -> Path:
    """Return a folder with PyAV: it is not in the environment, since most users do without."""
    folder = project_root / ".cache" / PYAV
    if not (folder / "av").is_dir():
        words = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, PYAV]
        if subprocess.run(list(map(str, words)), capture_output=True, timeout=300).returncode:
            pytest.skip("PyAV cannot be installed here")
    return folder


@pytest.fixture(scope="module")
def av_module(av_folder: Path) -> Any:
    sys.path.insert(0, str(av_folder))
    module = pytest.importorskip("av")
    sys.path.remove(str(av_folder))
    del sys.modules["av"]  # other tests are without it
    return module


@pytest.fixture
def av(av_module: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "av", av_module)
    return av_module


@pytest.fixture
def no_av(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "av", None)
    yield


@pytest.fixture(scope="module")
def segmenter(project_root: Path) -> Segmenter:
    return Segmenter.load(project_root / "models" / "unet_lite_s" / "onnx-int8")


def frames() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*ODD, 3), np.uint8) for _ in range(COUNT)]


def with_sound(av: Any, path: Path, sound: str = "aac") -> Path:
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


def streams(av: Any, path: Path) -> dict[str, float]:
    """Return the codecs of a file and the seconds of each."""
    with av.open(str(path)) as found:
        last: dict[str, float] = {}
        for packet in found.demux():
            if packet.pts is not None:
                name = packet.stream.codec_context.name
                last[name] = max(last.get(name, 0.0), float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return last


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_kept_and_h264_written(suffix: str, av: Any, segmenter: Segmenter, tmp_path: Path) -> None:
    source, out = with_sound(av, tmp_path / "in.mp4"), tmp_path / f"out{suffix}"
    result = segment_video(source, segmenter, VideoOptions(out))
    found = streams(av, out)
    assert set(found) == {"ffv1" if suffix == ".mkv" else "h264", "aac"}
    assert found["aac"] == pytest.approx(1.2, abs=0.06) and count_frames(out) == COUNT
    assert ", sound kept: " in summary(result, VideoOptions(out))
    part = segment_video(source, segmenter, VideoOptions(out, seconds=0.4))
    assert streams(av, out)["aac"] == pytest.approx(part.video_s, abs=0.06)


def test_sound_that_a_container_does_not_take_is_named(av: Any, segmenter: Segmenter, tmp_path: Path) -> None:
    source = with_sound(av, tmp_path / "in.mkv", "pcm_s16le")
    result = segment_video(source, segmenter, VideoOptions(tmp_path / "out.mp4"))
    if "kept" not in result.sound:  # newer versions of FFmpeg take it
        assert "sound dropped (.mp4 does not take it" in result.sound and count_frames(tmp_path / "out.mp4") == COUNT
    assert segment_video(source, segmenter, VideoOptions(tmp_path / "out.mkv")).sound == "sound kept"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_without_pyav_dropped_sound_is_said(
    suffix: str, av: Any, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = with_sound(av, tmp_path / f"in{suffix}"), tmp_path / "out.mp4"
    monkeypatch.setitem(sys.modules, "av", None)
    result = segment_video(source, segmenter, VideoOptions(out))
    assert "sound dropped (PyAV keeps it" in summary(result, VideoOptions(out))
    silent = segment_video(out, segmenter, VideoOptions(tmp_path / "silent.mp4"))
    assert silent.sound == ""


@pytest.mark.parametrize("color", [False, True])
def test_odd_sizes_are_kept_without_loss_in_mkv(color: bool, av: Any, tmp_path: Path) -> None:
    images = frames() if color else [frame[..., 0] for frame in frames()]
    with VideoSink(tmp_path / "a.mkv", RATE, ODD, color) as sink:
        for image in images:
            sink.write(image)
    assert sink.written_size == ODD and isinstance(sink._writer, AvWriter)
    source = VideoSource(tmp_path / "a.mkv")
    for image in images:
        frame = source.read()
        assert frame is not None
        assert np.array_equal(frame.image if color else frame.image[..., 0], image)
    assert source.read() is None and source.shortfall() is None
    source.close()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_size_that_was_written_is_said(suffix: str, no_av: None, segmenter: Segmenter, tmp_path: Path) -> None:
    with VideoSink(tmp_path / "in.mkv", RATE, (48, 66)) as sink:
        sink.write(np.zeros((48, 66, 3), np.uint8))
    assert isinstance(sink._writer, OpenCvWriter)
    result = segment_video(tmp_path / "in.mkv", segmenter, VideoOptions(tmp_path / f"out{suffix}"))
    assert "written as" not in summary(result, VideoOptions(tmp_path / "out.mp4"))
    with VideoSink(tmp_path / f"odd{suffix}", RATE, ODD) as sink:
        sink.write(np.zeros((*ODD, 3), np.uint8))
    assert sink.written_size == (48, 66)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on file sizes")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_full_disk_is_no_success_with_pyav(suffix: str, av: Any, tmp_path: Path) -> None:
    import resource
    import signal

    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        with pytest.raises(InputError, match="could not be written"), VideoSink(tmp_path / f"a{suffix}", RATE, ODD) as sink:
            for frame in frames():
                sink.write(frame)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())
