"""Videos in and out: every frame, in its time, whole files only, and clear words for broken ones."""

from __future__ import annotations
from edge_runtime.cli import parse

import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.errors import InputError
from edge_runtime.images.resize import to_mask8
from edge_runtime.masks.refine import DEFAULTS
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.pipeline import FrameSegmenter, VideoOptions, VideoResult, segment_video
from edge_runtime.video.read import TimedFrame, VideoSource, is_live, is_video
from edge_runtime.video.run import Video, main
from edge_runtime.video.threads import QUEUE, Pipe
from edge_runtime.video.write import VideoSink
from scenes.moving import moving_scene

pytestmark = pytest.mark.slow
SIZE = (72, 128)
FRAMES = 20


@pytest.fixture(scope="module")
def segmenter(project_root: Path) -> Segmenter:
    return Segmenter.load(project_root / "models" / "unet_lite_s" / "onnx-fp32")


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return [frame.image for frame in moving_scene(2, FRAMES, SIZE, "handheld", "city")]


@pytest.fixture(scope="module")
def clip(frames: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lossless clip."""
    return write(tmp_path_factory.mktemp("clips") / "clip.mkv", frames)


def write(path: Path, frames: Sequence[np.ndarray]) -> Path:
    with VideoSink(path, VideoFormat()) as sink:
        for frame in frames:
            sink.write(frame)
    return path


def read(path: Path) -> list[TimedFrame]:
    source, found = VideoSource(path), []
    while (frame := source.read()) is not None:
        found.append(frame)
    assert source.shortfall() is None
    source.close()
    return found


def test_the_masks_are_those_of_the_frames(clip: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "new" / "masks.mkv"
    result = segment_video(clip, segmenter, VideoOptions(out, stabilize=False))
    assert (result.frames, result.dropped, result.size) == (FRAMES, 0, SIZE)
    assert result.video_s == pytest.approx(FRAMES / 25)
    masks, frames = read(out), read(clip)
    assert len(masks) == FRAMES
    for mask, frame in zip(masks, frames, strict=True):
        assert np.array_equal(mask.image[..., 0], to_mask8(segmenter(frame.image)))
        assert mask.time_s == pytest.approx(frame.time_s, abs=1e-3)
    assert [path.name for path in out.parent.iterdir()] == ["masks.mkv"]


def test_stabilized_masks_flicker_less(segmenter: Segmenter, tmp_path: Path) -> None:
    noisy = [frame.image for frame in moving_scene(11, 12, SIZE, "tripod", "trees")]
    clip = write(tmp_path / "noisy.mkv", noisy)
    flicker = {}
    for stabilize in (False, True):
        out = tmp_path / f"{stabilize}.mkv"
        segment_video(clip, segmenter, VideoOptions(out, stabilize=stabilize))
        masks = [frame.image[..., 0].astype(float) for frame in read(out)]
        flicker[stabilize] = np.mean([np.square(b - a).mean() for a, b in zip(masks[2:], masks[3:], strict=False)])
    assert 0 < flicker[True] < 0.25 * flicker[False]


def test_overlay_and_refinement(clip: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "overlay.mp4"
    segment_video(clip, segmenter, VideoOptions(out, overlay=True, refinement=DEFAULTS))
    tinted, frames = read(out), read(clip)
    assert len(tinted) == FRAMES
    sky = segmenter(frames[0].image) > 0.9
    change = np.abs(tinted[0].image.astype(int) - frames[0].image).mean(-1)
    assert change[sky].mean() > 20


def test_refinement_is_of_the_steady_map(frames: list[np.ndarray], segmenter: Segmenter) -> None:
    steady, plain = FrameSegmenter(segmenter, True, DEFAULTS), FrameSegmenter(segmenter, False, DEFAULTS)
    for frame in frames[:3]:
        assert steady(frame).shape == plain(frame).shape == SIZE
    assert np.abs(steady(frames[3]) - plain(frames[3])).max() > 0


@pytest.mark.parametrize("stabilize", [True, False])
def test_a_blank_frame_has_the_mask_of_the_one_before_it(stabilize: bool, frames: list[np.ndarray], segmenter: Segmenter) -> None:
    black, follow = np.random.default_rng(0).integers(0, 9, (*SIZE, 3), np.uint8), FrameSegmenter(segmenter, stabilize)
    assert not follow(black).any()  # a video that begins with black
    before = follow(frames[0])
    assert before.any() and np.array_equal(follow(black), before)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".webm", ".mkv"])
def test_every_container(suffix: str, frames: list[np.ndarray], tmp_path: Path) -> None:
    found = read(write(tmp_path / f"clip{suffix}", frames))
    assert len(found) == FRAMES
    assert np.abs(found[7].image.astype(int) - frames[7]).mean() < 12
    assert [frame.time_s for frame in found] == pytest.approx([t / 25 for t in range(FRAMES)], abs=0.002)


def test_a_variable_rate_keeps_its_time(segmenter: Segmenter, tmp_path: Path) -> None:
    """A GIF says of each frame how long it is shown; so does the video of its masks, its last frame included."""
    levels = [0, 50, 100, 150, 200, 250]
    frames = [Image.fromarray(np.full((*SIZE, 3), level, np.uint8)) for level in levels]
    path, times = tmp_path / "uneven.gif", [0, 0.04, 0.24, 0.28, 0.32, 0.72]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 200, 40, 40, 400, 1040])
    assert [frame.time_s for frame in read(path)] == pytest.approx(times)
    for suffix in (".mkv", ".mp4"):
        out = tmp_path / f"masks{suffix}"
        result = segment_video(path, segmenter, VideoOptions(out, stabilize=False))
        assert result.frames == 6 and result.video_s == pytest.approx(1.76)
        masks = read(out)
        assert [mask.time_s for mask in masks] == pytest.approx(times, abs=1e-3)
        assert masks[-1].duration_s == pytest.approx(1.04, abs=1e-3)


def test_broken_times_go_on(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "a.mkv", VideoFormat()) as sink:
        for number, time_s in enumerate([0.0, 0.04, 0.04, 0.02, 0.08, None, 900.0]):
            sink.write(np.full((*SIZE, 3), 30 * number, np.uint8), time_s)
    times = [frame.time_s for frame in read(tmp_path / "a.mkv")]
    assert times == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16, 0.2, 900.0], abs=2e-3)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".webm"])
def test_truncated_files(
    suffix: str, frames: list[np.ndarray], segmenter: Segmenter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What can be read is written and the rest named; where the index is gone nothing can be."""
    path, out = write(tmp_path / f"clip{suffix}", frames), tmp_path / "out" / "masks.mkv"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    with pytest.raises(InputError, match="cut off has lost its index" if suffix == ".mp4" else "it is truncated: what could"):
        segment_video(path, segmenter, VideoOptions(out))
    if suffix == ".mp4":
        assert not out.exists()
    else:
        assert 1 < len(read(out)) < FRAMES
        assert f"{len(read(out))} frames of 128 x 72" in capsys.readouterr().out
    assert not list(out.parent.glob(".*")) if out.parent.exists() else suffix == ".mp4"


def test_files_without_a_frame(segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "masks.mp4"
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.avi").write_text("no video")
    with av.open(str(tmp_path / "none.avi"), "w") as container:  # a container with a header and no frame
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height = 64, 48
        container.start_encoding()
    for name, message in (("empty.mp4", "cannot open video"), ("text.avi", "cannot open"), ("none.avi", "no frame that can")):
        with pytest.raises(InputError, match=message):
            segment_video(tmp_path / name, segmenter, VideoOptions(out))
    with pytest.raises(InputError, match="expected an existing video"):
        segment_video(tmp_path / "absent.mp4", segmenter, VideoOptions(out))
    assert not out.exists() and not list(tmp_path.glob(".*"))


def test_bad_usage_writes_nothing(clip: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    content = clip.read_bytes()
    for options, message in (
        (VideoOptions(clip), "is the input and would be overwritten"),
        (VideoOptions(tmp_path / "masks.png"), "expected a file that ends in .mp4"),
        (VideoOptions(tmp_path), "expected a file that ends in"),
        (VideoOptions(tmp_path / "masks.mp4", seconds=-1), "expected 0"),
    ):
        with pytest.raises(InputError, match=message):
            segment_video(clip, segmenter, options)
    assert clip.read_bytes() == content and not list(tmp_path.iterdir())


def test_an_older_result_stays_when_a_run_fails(clip: Path, frames: list[np.ndarray], tmp_path: Path) -> None:
    out = tmp_path / "masks.mkv"
    out.write_bytes(b"older")
    with pytest.raises(RuntimeError, match="halfway"), VideoSink(out, VideoFormat()) as sink:
        sink.write(frames[0])
        raise RuntimeError("halfway")
    with pytest.raises(InputError, match="expected .* as the first"), VideoSink(out, VideoFormat()) as sink:
        sink.write(frames[0])
        sink.write(frames[0][:40])
    with pytest.raises(InputError, match="could not be written"), VideoSink(out, VideoFormat()):
        pass
    assert out.read_bytes() == b"older" and [path.name for path in tmp_path.iterdir()] == ["masks.mkv"]


def test_a_failing_network_ends_all_threads(clip: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    class Failing:
        threshold = 0.5
        calls = 0

        def low_res(self, image: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls == 3:
                raise RuntimeError("the network failed")
            return segmenter.low_res(image)

    before = threading.active_count()
    with pytest.raises(RuntimeError, match="the network failed"):
        segment_video(clip, Failing(), VideoOptions(tmp_path / "masks.mkv"))  # type: ignore[arg-type]
    assert threading.active_count() == before and not list(tmp_path.iterdir())


def test_seconds_ends_a_run_early(clip: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    result = segment_video(clip, segmenter, VideoOptions(tmp_path / "masks.mkv", seconds=0.4))
    assert result.frames == 10 and result.video_s == pytest.approx(0.4, abs=0.05)


def test_a_live_source_drops_and_a_file_waits() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    live = Pipe(threading.Event(), drop=True)
    for number in range(5):
        assert live.put(TimedFrame(image, float(number)))
    assert live.dropped == 4
    assert next(iter(live)).time_s == 4.0  # the newest
    stop = threading.Event()
    waiting = Pipe(stop)
    for number in range(QUEUE):
        assert waiting.put(TimedFrame(image, float(number)))
    blocked = threading.Thread(target=waiting.put, args=(TimedFrame(image, 9.0),))
    blocked.start()
    time.sleep(0.05)
    assert blocked.is_alive() and waiting.dropped == 0  # no room, so it waits
    assert [next(iter(waiting)).time_s for _ in range(QUEUE + 1)] == [0.0, 1.0, 2.0, 3.0, 9.0]
    blocked.join(timeout=10)
    stop.set()
    assert not waiting.put(None)


def test_a_stream_drops_what_the_network_cannot_follow(clip: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    """A stream over HTTP, which comes faster than the network works."""

    class Slow:
        threshold = 0.5

        def low_res(self, image: np.ndarray) -> np.ndarray:
            time.sleep(0.1)
            return segmenter.low_res(image)

    handler = partial(SimpleHTTPRequestHandler, directory=str(clip.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/{clip.name}"
        result = segment_video(url, Slow(), VideoOptions(tmp_path / "masks.mkv"))  # type: ignore[arg-type]
        server.shutdown()
    assert result.dropped > 0 and result.frames + result.dropped == FRAMES
    assert len(read(tmp_path / "masks.mkv")) == result.frames


def test_what_a_video_is(tmp_path: Path) -> None:
    (tmp_path / "7").write_bytes(b"")
    (tmp_path / "folder.mp4").mkdir()
    for source in ("0", "rtsp://host/a", "http://host/a.jpg", "a.MP4", tmp_path / "a.webm"):
        assert is_video(source), source
    for source in ("a.jpg", "a.gif", "folder", tmp_path / "folder.mp4", tmp_path / "7", "a.png"):
        assert not is_video(source), source
    assert is_live("0") and is_live("rtsp://host/a") and not is_live("a.mp4")


def test_a_camera_that_is_not_there(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot open 97 .*, expected a camera"):
        segment_video("97", segmenter, VideoOptions(tmp_path / "masks.mp4"))


def test_the_last_line() -> None:
    result = VideoResult(50, 3, (72, 128), 2.0, 1.0, notes=("1 cut", "sound kept"))
    assert str(result) == "50 frames of 128 x 72 (2.00 s) in 1.00 s: 2.00 x real time, 3 dropped, 1 cut, sound kept"


def test_the_command(clip: Path, segmenter: Segmenter, project_root: Path, tmp_path: Path) -> None:
    out, models = tmp_path / "masks.mkv", project_root / "models"
    words = [sys.executable, "-m", "edge_runtime.video", str(clip), "--model", str(models / "unet_lite_s" / "onnx-fp32")]
    done = subprocess.run([*words, "--out", str(out), "--no-stabilize"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{FRAMES} frames of 128 x 72 (0.80 s) in ") and done.stdout.count("\n") == 1
    assert " x real time, 0 dropped: " in done.stdout
    assert np.array_equal(read(out)[0].image[..., 0], to_mask8(segmenter(read(clip)[0].image)))


def test_what_the_command_refuses(clip: Path, project_root: Path, tmp_path: Path) -> None:
    model, out = (project_root / "models" / "unet_lite_s" / "onnx-fp32",), tmp_path / "masks.mkv"
    for config, message in (
        (Video((str(clip),), tmp_path / "folder", model), "expected a file that ends in .mp4"),
        (Video((str(tmp_path / "absent.mp4"),), out, model), "expected an existing video"),
    ):
        with pytest.raises(InputError, match=message):
            main(config)
    assert not list(tmp_path.iterdir())


def test_a_url_arrives_as_it_was_given() -> None:
    """A `Path` would make one slash of two."""
    url = "rtsp://host//live?a=b"
    assert parse([url, "--model", "m", "--out", "a.mp4"], Video).inputs == (url,)
