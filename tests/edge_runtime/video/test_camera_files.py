"""Videos as cameras and editors make them: offsets, edit lists, colors, titles, sizes that change, streams that drop out."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from count_frames import count_frames

from edge_runtime import Segmenter
from edge_runtime.errors import InputError
from edge_runtime.video import read as reading
from edge_runtime.video.pipeline import VideoOptions, run_video, segment_video
from edge_runtime.video.read import VideoSource
from edge_runtime.video.run import Video, main
from skyedge.replace.run import Replace
from skyedge.replace.run import main as replace_sky

pytestmark = pytest.mark.slow
SKY, GROUND = (90, 140, 220), (32, 160, 48)
MODEL = Path(__file__).parents[3] / "models" / "unet_lite_s" / "onnx-int8"


def picture(size: tuple[int, int]) -> np.ndarray:
    image = np.full((*size, 3), GROUND, np.uint8)
    image[: size[0] // 2] = SKY
    return image


def clip(
    path: Path,
    size: tuple[int, int] = (96, 128),
    count: int = 5,
    tags: tuple[int, int, int, int] | None = None,
    matrix: Colorspace = Colorspace.ITU601,
    aspect: Fraction = Fraction(1),
    start_s: float = 0.0,
    late_s: float = 0.0,
    sound_s: float = 0.0,
    pixels: str = "yuv420p",
    levels: np.ndarray | None = None,
    codec: str = "libx264",
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a clip of 25 frames a second whose picture starts `late_s` after its sound; `tags` are those of `Color`."""
    with av.open(f"file:{path}", "w") as container:
        container.metadata.update(metadata or {})
        video: Any = container.add_stream(codec, 25, options={"x265-params": "log-level=none"} if codec == "libx265" else {})
        video.height, video.width, video.pix_fmt = *size, pixels
        video.codec_context.sample_aspect_ratio = aspect
        if tags is not None:
            context = video.codec_context
            context.colorspace, context.color_primaries, context.color_trc, context.color_range = tags
        sound: Any = container.add_stream("aac", 44_100, layout="mono") if sound_s else None
        full = ColorRange.JPEG if tags is not None and tags[3] == 2 else ColorRange.MPEG
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(
                picture(size) if levels is None else levels, format="rgb24" if levels is None else "rgb48le"
            )
            frame = frame.reformat(format=pixels, dst_colorspace=matrix, src_color_range=2, dst_color_range=full)
            frame.pts, frame.time_base = number + round((start_s + late_s) * 25), Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if sound is not None:
            tone = (8000 * np.sin(np.arange(round(44_100 * sound_s)) / 16)).astype(np.int16)[None]
            whole = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
            whole.sample_rate, whole.pts = 44_100, round(44_100 * start_s)
            for piece in [*av.AudioResampler("fltp", "mono", 44_100, 1024).resample(whole), None]:
                container.mux(sound.encode(piece))
    return path


def held(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write how the camera was held into the track's header, as phones do."""
    content, one = bytearray(path.read_bytes()), 1 << 16
    at = content.index(b"tkhd") + 44
    a, b, c, d = (value * one for value in matrix)
    content[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in (a, b, 0, c, d, 0, 0, 0, 1 << 30))
    path.write_bytes(content)
    return path


def same(source: str | Path, out: Path, **options: Any) -> Any:
    """Write a video again as it is."""
    return run_video(source, out, lambda frames: frames, **options)


def starts(path: Path) -> tuple[float, float, float]:
    """Return when picture and sound start, and when the sound ends, in seconds."""
    with av.open(f"file:{path}") as container:
        first: dict[str, float] = {}
        end = 0.0
        for packet in container.demux():
            if packet.pts is not None:
                at = float(packet.pts * packet.time_base)
                first[packet.stream.type] = min(at, first.get(packet.stream.type, at))
                if packet.stream.type == "audio":
                    end = max(end, at + float(packet.duration * packet.time_base))
    return first["video"], first["audio"], end


@pytest.mark.parametrize("late_s", [0.0, 0.8])
@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_stays_in_step(suffix: str, late_s: float, tmp_path: Path) -> None:
    source = clip(tmp_path / "in.ts", count=30, start_s=1.4, late_s=late_s, sound_s=2.5)
    picture_s, sound_s, end_s = starts(source)
    assert picture_s > 1.3 and sound_s > 1.3
    result = same(source, tmp_path / f"out{suffix}")
    found = starts(tmp_path / f"out{suffix}")
    assert result.notes[-1] == "sound kept" and min(found[:2]) == pytest.approx(0, abs=0.03)
    assert found[1] - found[0] == pytest.approx(sound_s - picture_s, abs=0.01)
    assert found[2] - found[1] == pytest.approx(end_s - sound_s, abs=0.03)  # behind the picture too


def test_a_clip_cut_without_decoding_and_long_sound_are_whole(tmp_path: Path) -> None:
    whole = clip(tmp_path / "whole.mp4", count=50, sound_s=2.0)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "cut.mp4"), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                shift = round(Fraction(7, 10) / packet.time_base)  # the frames before are there, and not shown
                packet.dts, packet.pts = packet.dts - shift, packet.pts - shift
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    assert b"elst" in (tmp_path / "cut.mp4").read_bytes()
    assert same(tmp_path / "cut.mp4", tmp_path / "out.mp4").video_s == pytest.approx(1.3, abs=0.05)
    long = clip(tmp_path / "long.mkv", count=50, sound_s=3.0)
    assert same(long, tmp_path / "long.mp4").frames == 50 and starts(tmp_path / "long.mp4")[2] == pytest.approx(3.0, abs=0.06)


@pytest.mark.parametrize(
    ("size", "tags", "matrix", "expected"),
    [
        ((720, 1280), (1, 1, 1, 1), Colorspace.ITU709, (1, 1, 1, 1)),
        ((720, 1280), None, Colorspace.ITU709, (1, 1, 1, 1)),
        ((96, 128), None, Colorspace.ITU601, (6, 2, 2, 1)),
        ((96, 128), (1, 1, 1, 1), Colorspace.ITU709, (1, 1, 1, 1)),
        ((96, 128), (6, 6, 6, 2), Colorspace.ITU601, (6, 6, 6, 2)),
        ((96, 128), (5, 5, 6, 1), Colorspace.ITU601, (5, 5, 6, 1)),
        ((96, 128), (9, 9, 14, 1), Colorspace.BT2020, (9, 9, 14, 1)),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mkv"])
def test_colors_and_their_tags_go_through(
    suffix: str, size: tuple[int, int], tags: Any, matrix: Colorspace, expected: tuple[int, int, int, int], tmp_path: Path
) -> None:
    out = tmp_path / f"out{suffix}"
    same(clip(tmp_path / "in.mp4", size, 2, tags, matrix), out)
    with av.open(str(out)) as found:
        context = found.streams.video[0].codec_context
        frame = next(found.decode(video=0))
        told = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
        assert told == (expected if suffix != ".mkv" else (0, *expected[1:3], 2))  # .mkv holds RGB
        seen = frame.to_ndarray(format="rgb24", src_colorspace=None if suffix == ".mkv" else matrix).astype(int)
    for row, color in ((size[0] // 4, SKY), (3 * size[0] // 4, GROUND)):
        assert np.abs(seen[row, size[1] // 2] - color).max() <= 4


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_becomes_sdr_and_is_said(transfer: int, tmp_path: Path) -> None:
    """Colors of BT.2020 at the brightness that an SDR white has in HDR, by the formulas of BT.2100, seen as sRGB again."""
    value = picture((96, 128)) / 255
    light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    wide = light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T
    if transfer == 16:
        power = (wide * 203 / 10_000) ** 0.1593017578125
        level = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    else:
        shown = wide * 203 / 1000
        scene = shown * (shown @ np.array([0.2627, 0.6780, 0.0593]))[..., None] ** (1 / 1.2 - 1)
        level = np.where(
            scene <= 1 / 12, np.sqrt(3 * scene), 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
        )
    levels = np.rint(65_535 * level).astype(np.uint16)
    words = {"pixels": "yuv420p10le", "levels": levels, "codec": "libx265"}
    source = clip(tmp_path / "in.mp4", tags=(9, 9, transfer, 1), matrix=Colorspace.BT2020, **words)
    result = same(source, tmp_path / "out.mp4")
    assert "HDR became SDR (BT.709)" in result.notes
    frame = VideoSource(tmp_path / "out.mp4").read()
    assert frame is not None
    for row, color in ((24, SKY), (72, GROUND)):
        assert np.abs(frame.image[row, 64].astype(int) - color).max() <= 6


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".avi", ".webm", ".mkv"])
def test_pixels_keep_their_shape(suffix: str, tmp_path: Path) -> None:
    """Matroska keeps the shape of the image by more pixels."""
    for name, aspect in (("wide", Fraction(4, 3)), ("tall", Fraction(3, 4))):
        out = tmp_path / f"{name}{suffix}"
        result = same(clip(tmp_path / f"{name}.in.mp4", (360, 480), 2, aspect=aspect), out)
        with av.open(str(out)) as found:
            stream = found.streams.video[0]
            shown = stream.width * (stream.sample_aspect_ratio or 1) / stream.height
            assert shown == pytest.approx(4 / 3 * aspect, rel=1e-3)
        assert result.written_size == (stream.height, stream.width)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
        ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
        ((-1, 0, 0, -1), lambda image: np.rot90(image, 2)),
        ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
        ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    ],
)
def test_what_was_held_on_its_side_is_upright(matrix: tuple[int, int, int, int], turn: Any, tmp_path: Path) -> None:
    path = clip(tmp_path / "in.mp4", aspect=Fraction(4, 3))
    plain = VideoSource(path).read()
    source = VideoSource(held(path, matrix))
    frame = source.read()
    assert plain is not None and frame is not None and np.array_equal(frame.image, turn(plain.image))
    assert source.size == frame.image.shape[:2] and source.format.aspect == (Fraction(3, 4) if matrix[0] == 0 else Fraction(4, 3))


@pytest.mark.parametrize("kind", ["overlay.mp4", "remove.mov", "remove.webm", "replace.mkv", "replace.mov"])
def test_title_date_and_place_go_into_upright_results(kind: str, tmp_path: Path) -> None:
    said = {"title": "Säntis", "creation_time": "2026-11-29T12:30:05.000000Z", "location": "+47.2494+009.3432/"}
    source, out = held(clip(tmp_path / "in.mov", count=2, metadata=said), (0, 1, -1, 0)), tmp_path / kind
    if out.stem == "replace":
        replace_sky(Replace(source, MODEL, "sunset", out, min_sky=0))
    else:
        remove = "sky" if out.stem == "remove" else None
        segment_video(source, Segmenter.load(MODEL), VideoOptions(out, overlay=remove is None, remove=remove))
    with av.open(str(out)) as found:
        got = {key.lower(): value for key, value in found.metadata.items()}
        frame = next(found.decode(video=0))
    assert {key: got.get(key) for key in said} == said
    assert (frame.height, frame.width) == (128, 96) and frame.side_data.get("DISPLAYMATRIX") is None
    if out.stem == "replace":
        replace_sky(Replace(source, MODEL, "sunset", out, min_sky=0, overwrite=True, strip_metadata=True))
        with av.open(str(out)) as found:
            assert not {key.lower() for key in found.metadata} & set(said)


@pytest.mark.parametrize("name", ["2026-11-29T12:30:05.mp4", "a:b.mkv", "http:x.mov", "100%.mp4"])
def test_a_colon_in_a_name_is_no_protocol(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / name, sound_s=0.2)
    assert same(name, Path(f"out-{name}")).frames == 5 and count_frames(Path(f"out-{name}")) == 5


def test_a_change_of_the_frame_size_is_said(tmp_path: Path) -> None:
    parts = [clip(tmp_path / f"{height}.ts", (height, 128)).read_bytes() for height in (96, 64)]
    (tmp_path / "in.ts").write_bytes(b"".join(parts))
    result = same(tmp_path / "in.ts", tmp_path / "out.mp4")
    assert result.frames == 10 and "128 x 64 scaled to 128 x 96" in result.notes


@pytest.mark.parametrize(("suffix", "part"), [(".mov", "sky"), (".webm", "sky"), (".webm", "ground"), (".mkv", "ground")])
def test_a_part_is_cut_out(suffix: str, part: Any, tmp_path: Path) -> None:
    segmenter, out = Segmenter.load(MODEL), tmp_path / f"out{suffix}"
    source = clip(tmp_path / "in.mp4", (720, 1280), 3, matrix=Colorspace.ITU709, sound_s=0.2)
    result = segment_video(source, segmenter, VideoOptions(out, remove=part))
    frame = VideoSource(source).read()
    assert frame is not None and (result.notes[-1] == "sound kept") == (suffix != ".webm")
    alpha = segmenter(frame.image) if part == "ground" else 1 - segmenter(frame.image)
    with av.open(str(out)) as found:
        stream = found.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r") if suffix == ".webm" else stream.codec_context
        if suffix == ".webm":
            decoder.extradata = stream.codec_context.extradata
        decoded = [got for packet in found.demux(stream) for got in decoder.decode(packet if packet.size else None)]
    seen = decoded[0].to_ndarray(format="rgba")
    assert len(decoded) == 3 and np.abs(seen[..., 3] / 255 - alpha).mean() < 0.02
    assert np.abs(seen[600, 640, :3].astype(int) - GROUND).max() <= 4
    with pytest.raises(InputError, match="expected .mov, .webm or .mkv"):
        segment_video(source, segmenter, VideoOptions(tmp_path / "out.mp4", remove=part))


@contextmanager
def camera(times: int) -> Iterator[str]:
    """Serve a network camera that drops out after ten images, and answers so many times."""
    from io import BytesIO

    from PIL import Image

    buffer, left = BytesIO(), itertools.count()
    Image.fromarray(picture((96, 128))).save(buffer, "JPEG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if next(left) >= times:
                return self.send_error(503)
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            for _ in range(10):
                time.sleep(0.04)
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(buffer.getvalue())}\r\n\r\n"
                self.wfile.write(head.encode() + buffer.getvalue() + b"\r\n")

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/live.mjpeg"
        server.shutdown()


def test_a_stream_that_drops_out_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "FIRST_WAIT_S", 0.1)
    with camera(3) as url, pytest.raises(InputError, match="it did not come back within .* s.*: what could be read is in"):
        same(url, tmp_path / "out.mkv", reconnect=1.5)
    assert count_frames(tmp_path / "out.mkv") > 15
    with camera(2) as url:
        source = VideoSource(url, 0.5)
        assert sum(1 for _ in iter(source.read, None)) == 20
        assert [note[:15] for note in source.notes()] == ["stream away for"]


def test_several_videos_and_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.mp4", "c.mkv"):
        clip(folder / name)
    (folder / "b.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("left out")
    with pytest.raises(InputError, match="1 of 3 videos failed"):
        main(Video((str(folder),), tmp_path / "out", (MODEL,)))
    told = capsys.readouterr()
    assert told.out.count("5 frames of 128 x 96") == 2 and "cannot open video" in told.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "c.mp4"]
    for inputs, out, message in (
        ((str(folder),), "out.mp4", "expected a folder"),
        ((str(folder / "a.mp4"), str(tmp_path / "a.mkv")), "other", "inputs of different stems"),
        ((str(tmp_path / "out" / ".."),), "other", "got no video in"),
    ):
        with pytest.raises(InputError, match=message):
            main(Video(inputs, tmp_path / out, (MODEL,)))
