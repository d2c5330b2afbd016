"""`python -m edge_runtime.segment` on images of every kind, on bad input, and after a kill."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from edge_runtime import Segmenter
from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import read_mask
from edge_runtime.images.overlay import draw_overlay
from edge_runtime.images.resize import to_mask8
from edge_runtime.masks.presence import is_blank
from edge_runtime.segment.mask import make_mask
from edge_runtime.segment.outputs import plan
from edge_runtime.segment.run import Segment, find_images, main


@pytest.fixture(scope="module")
def model(artifacts: dict[str, Path]) -> Path:
    return artifacts["onnx-fp32"]


@pytest.fixture
def image_dir(scene_dir: Path, tmp_path: Path) -> Path:
    """Return a folder with three scenes."""
    folder = tmp_path / "image_dir"
    folder.mkdir()
    for path in sorted((scene_dir / "test" / "images").iterdir())[:3]:
        shutil.copy(path, folder)
    return folder


def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge_runtime.segment", *map(str, words)], capture_output=True, text=True)


def run(inputs: Sequence[Path], model: Path, out: Path, overlay: bool = False, resume: bool = False) -> None:
    main(Segment(tuple(inputs), (model,), out, overlay=overlay, resume=resume))


def mask_of(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        assert opened.format == "PNG" and opened.mode == "L"
        return np.asarray(opened)


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.mark.slow
def test_folders_and_files(image_dir: Path, model: Path, tmp_path: Path) -> None:
    extra = tmp_path / "extra.name.JPEG"
    Image.new("RGB", (50, 30), (90, 140, 230)).save(extra)
    result = command(image_dir, extra, image_dir, "--model", model, "--out", tmp_path / "out" / "masks")
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1 and result.stdout.startswith("4 masks written, 0 failed, ")
    sources = [*sorted(image_dir.iterdir()), extra]
    out = tmp_path / "out" / "masks"
    assert {path.name for path in out.iterdir()} == {f"{path.stem}.png" for path in sources}
    segmenter = Segmenter.load(model)
    for source in sources:
        assert np.array_equal(mask_of(out / f"{source.stem}.png"), to_mask8(segmenter(read_rgb(source))))


def test_a_low_resolution_mask_is_read_at_the_size_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    photo = Path(__file__).resolve().parents[2] / "docs" / "photos" / "boat_sunset.jpg"
    with Image.open(photo) as opened:
        opened.resize((1600, 1100)).save(tmp_path / "images" / "boat.jpg")
    words = ((tmp_path / "images",), (Path("unet_lite_s/onnx-int8"),))
    main(Segment(*words, tmp_path / "full"))
    main(Segment(*words, tmp_path / "masks", low_res=True))
    small = tmp_path / "masks" / "boat.png"
    assert mask_of(small).shape == (192, 192) and small.stat().st_size * 3 < (tmp_path / "full" / "boat.png").stat().st_size
    assert np.abs(read_mask(small).astype(int) - read_mask(tmp_path / "full" / "boat.png")).max() <= 1
    (pair,) = find_pairs(tmp_path)
    assert read_pair(pair).sky.shape == (1100, 1600)
    before = times(tmp_path / "masks")
    main(Segment(*words, tmp_path / "masks", low_res=True, resume=True))
    assert times(tmp_path / "masks") == before
    main(Segment(*words, tmp_path / "masks", resume=True))
    assert mask_of(small).shape == (1100, 1600)
    for flags in ({"refine": True}, {"overlay": True}):
        with pytest.raises(InputError, match="got --low-res with --refine or --overlay"):
            main(Segment(*words, tmp_path / "none", low_res=True, **flags))
    for text in ("", "0x5", "5", "1000000x1000000", "x"):
        info = PngImagePlugin.PngInfo()
        info.add_text("skyedge-size", text)
        Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "odd.png", pnginfo=info)
        with pytest.raises(InputError, match="expected WIDTHxHEIGHT"):
            read_mask(tmp_path / "odd.png")


def write_odd_images(folder: Path) -> dict[str, tuple[int, int]]:
    """Write images that need care; return (height, width) of the mask that each must give, by stem."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 256, (40, 60, 3), np.uint8)
    blue = np.linspace((60, 110, 220), (190, 210, 250), 40).astype(np.uint8)[:, None].repeat(60, axis=1)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(blue).save(folder / "all_sky.jpg")
    Image.new("RGB", (60, 40), (70, 50, 30)).save(folder / "no_sky.jpg")
    Image.new("RGB", (60, 40)).save(folder / "black.png")
    Image.new("RGB", (1, 1), (10, 20, 30)).save(folder / "one_pixel.png")
    Image.fromarray(colors[:2].repeat(20, axis=1)).save(folder / "wide.png")
    Image.fromarray(colors[:, :2].repeat(20, axis=0)).save(folder / "tall.png")
    Image.fromarray(colors[:, :, 0]).save(folder / "gray.png")
    Image.fromarray(colors[:, :, 0]).convert("1").save(folder / "bilevel.png")
    Image.fromarray(np.dstack([colors, colors[:, :, :1]])).save(folder / "alpha.png")
    Image.fromarray(colors[:, :, 0].astype(np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(colors).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(colors).convert("P").save(folder / "palette.png")
    Image.fromarray(colors).save(folder / "rotated.jpg", exif=exif)
    sizes = dict.fromkeys((path.stem for path in folder.iterdir()), (40, 60))
    return sizes | {"one_pixel": (1, 1), "wide": (2, 1200), "tall": (800, 2), "rotated": (60, 40)}


@pytest.mark.slow
@pytest.mark.parametrize("refine", [False, True])
def test_a_panorama_agrees_across_its_seam(image_dir: Path, tmp_path: Path, refine: bool) -> None:
    """The middle of a scene, sky over ground, becomes the seam."""
    for path in image_dir.iterdir():
        image = read_rgb(path)
        Image.fromarray(np.roll(image, image.shape[1] // 2, axis=1)).save(path)
    steps, inner = {}, {}
    for panorama in (False, True):
        out = tmp_path / str(panorama)
        main(Segment((image_dir,), (Path("unet_lite_s/onnx-int8"),), out, refine=refine, panorama=panorama))
        masks = [mask_of(path).astype(int) for path in sorted(out.iterdir())]
        steps[panorama] = np.mean([np.abs(mask[:, 0] - mask[:, -1]).mean() for mask in masks])
        inner[panorama] = [mask[:, mask.shape[1] // 4 : -mask.shape[1] // 4][:, 8:-8] for mask in masks]
    assert steps[True] < steps[False] / 2 and (refine or steps[True] == 0) and steps[False] > 1
    assert refine or all(map(np.array_equal, inner[True], inner[False]))


def test_a_blank_image_shows_no_sky_and_no_photograph_is_blank(model: Path, sky_data: Path, tmp_path: Path) -> None:
    segmenter, noise = Segmenter.load(model), np.random.default_rng(0).normal(0, 3, (300, 400, 3))
    for color in ((0, 0, 0), (40, 40, 40), (120, 80, 40), (60, 120, 50)):
        Image.fromarray(np.clip(color + noise, 0, 255).astype(np.uint8)).save(tmp_path / "blank.png")
        found = make_mask(tmp_path / "blank.png", segmenter)
        assert found.finding.sky_share == 0 and not found.mask.any()
    assert not any(is_blank(read_rgb(pair.image)) for pair in find_pairs(sky_data, "val")[::20])


def test_images_of_every_kind(model: Path, tmp_path: Path) -> None:
    sizes = write_odd_images(tmp_path / "odd")
    run([tmp_path / "odd"], model, tmp_path / "out", overlay=True)
    for stem, size in sizes.items():
        assert mask_of(tmp_path / "out" / f"{stem}.png").shape == size, stem
        assert read_rgb(tmp_path / "out" / f"{stem}.overlay.jpg").shape == (*size, 3), stem
    assert len(list((tmp_path / "out").iterdir())) == 2 * len(sizes)
    masks = {stem: mask_of(tmp_path / "out" / f"{stem}.png").mean() for stem in ("all_sky", "no_sky")}
    assert masks["all_sky"] > masks["no_sky"]


@pytest.mark.slow
def test_bad_images_are_named_and_the_others_done(image_dir: Path, model: Path, tmp_path: Path) -> None:
    names = {path.stem for path in image_dir.iterdir()}
    (image_dir / "corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 no image")
    (image_dir / "empty.png").write_bytes(b"")
    (tmp_path / "no_images").mkdir()
    bad = [tmp_path / "absent.jpg", tmp_path / "no_images"]
    result = command(*bad, image_dir, "--model", model, "--out", tmp_path / "out")
    assert result.returncode == 2
    for path in (*bad, image_dir / "corrupt.jpg", image_dir / "empty.png"):
        assert str(path) in result.stderr
    assert "4 of 7 inputs failed" in result.stderr and "Traceback" not in result.stderr
    assert result.stdout.startswith("3 masks written, 4 failed")
    assert {path.stem for path in (tmp_path / "out").iterdir()} == names


@pytest.mark.slow
def test_bad_usage_writes_nothing(image_dir: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, message in (
        (("--model", model, "--out", out), "got no input"),
        ((image_dir, "--model", tmp_path / "absent", "--out", out), "expected an artifact folder"),
        ((image_dir, "--model", model, "--out", out, "--device", "cuda"), "got device 'cuda'"),
        ((image_dir, "--model", model, "--out", out, "--threads", "0"), "got 0 threads"),
        (("clip.mp4", "--out", out), "`python -m edge_runtime.video` takes videos and streams"),
        (("rtsp://host/live", "--out", out), "`python -m edge_runtime.video` takes videos and streams"),
    ):
        result = command(*words)
        assert result.returncode == 2 and message in result.stderr + result.stdout, result.stderr
        assert "Traceback" not in result.stderr
    shutil.copytree(model, tmp_path / "corrupt")
    (tmp_path / "corrupt" / "model.onnx").write_bytes(b"x")
    with pytest.raises(InputError, match="got 1 bytes"):
        run([image_dir], tmp_path / "corrupt", out)
    assert not out.exists()


@pytest.mark.slow
def test_two_inputs_of_one_stem(image_dir: Path, model: Path, tmp_path: Path) -> None:
    stem = sorted(image_dir.iterdir())[0].stem
    Image.new("RGB", (9, 9)).save(tmp_path / f"{stem}.jpg")
    with pytest.raises(InputError, match=f"{stem}.* would both give .*{stem}.png"):
        run([image_dir, tmp_path / f"{stem}.jpg"], model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_an_input_is_never_overwritten(image_dir: Path, model: Path) -> None:
    before = {path: path.read_bytes() for path in image_dir.iterdir()}
    with pytest.raises(InputError, match="is an input and would be overwritten"):
        run([image_dir], model, image_dir)
    assert {path: path.read_bytes() for path in image_dir.iterdir()} == before


def test_one_image_named_twice_is_done_once(image_dir: Path, tmp_path: Path) -> None:
    first = sorted(image_dir.iterdir())[0]
    (image_dir / "._hidden.jpg").write_bytes(b"macOS leaves these")
    found, failures, skipped = find_images([first, image_dir, image_dir / ".." / image_dir.name])
    assert len(plan(found, tmp_path)) == 3 and not failures and not skipped


@pytest.mark.slow
def test_without_resume_everything_is_written_afresh(image_dir: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run([image_dir], model, out)
    first, content = times(out), {path.name: path.read_bytes() for path in out.iterdir()}
    run([image_dir], model, out)
    assert all(times(out)[name] != first[name] for name in first)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == content  # the same bytes


@pytest.mark.slow
def test_resume_keeps_only_what_still_holds(
    image_dir: Path, model: Path, artifacts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    run([image_dir], model, out)
    stems = sorted(path.stem for path in image_dir.iterdir())

    def redone(overlay: bool = False, artifact: Path = model) -> list[str]:
        before = times(out)
        run([image_dir], artifact, out, overlay, resume=True)
        after = times(out)
        return [stem for stem in stems if after[f"{stem}.png"] != before.get(f"{stem}.png")]

    assert redone() == []
    assert "0 masks written, 3 kept, 0 failed" in capsys.readouterr().out
    (out / f"{stems[0]}.png").unlink()
    assert redone() == stems[:1]
    mask = out / f"{stems[1]}.png"
    mask.write_bytes(mask.read_bytes()[:-40])  # what a power cut may leave
    assert redone() == [stems[1]]
    Image.new("L", (320, 240)).save(mask)  # somebody else's
    with pytest.raises(InputError, match="not as this command writes it"):
        redone()
    mask.unlink()
    assert redone() == [stems[1]]
    Image.new("RGB", (320, 240), (1, 2, 3)).save(image_dir / f"{stems[2]}.png")  # another image of that name
    assert redone() == [stems[2]]
    assert redone(overlay=True) == stems
    (out / f"{stems[0]}.overlay.jpg").unlink()
    assert redone(overlay=True) == stems[:1]
    assert redone(overlay=True) == []
    other = artifacts["tflite-fp32"]
    assert read_artifact(other).sha256 != read_artifact(model).sha256
    assert redone(overlay=True, artifact=other) == stems
    assert redone(overlay=True, artifact=other) == []


@pytest.mark.slow
def test_resume_after_a_kill(image_dir: Path, model: Path, tmp_path: Path) -> None:
    """SIGKILL leaves whole masks and at most one hidden partial file; --resume does the rest, byte for byte."""
    many = tmp_path / "many"
    many.mkdir()
    sources = sorted(image_dir.iterdir())
    for index in range(60):
        shutil.copy(sources[index % 3], many / f"{index:03d}.png")
    words = [many, "--model", model, "--out", tmp_path / "out", "--overlay"]
    process = subprocess.Popen([sys.executable, "-m", "edge_runtime.segment", *map(str, words)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("[0-9]*.png"))) < 10 and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = sorted((tmp_path / "out").glob("[0-9]*.png"))
    assert 10 <= len(done) < 60
    for path in done:
        assert mask_of(path).shape == (240, 320)
    kept = times(tmp_path / "out")
    result = command(*words, "--resume")
    assert result.returncode == 0 and f"{60 - len(done)} masks written, {len(done)} kept" in result.stdout
    assert all(times(tmp_path / "out")[path.name] == kept[path.name] for path in done)
    run([many], model, tmp_path / "straight", overlay=True)
    names = {path.name for path in (tmp_path / "straight").iterdir()}
    assert len(names) == 120 and {path.name for path in (tmp_path / "out").iterdir()} == names
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


@pytest.mark.slow
def test_an_image_too_long_for_jpeg_does_not_stop_the_others(image_dir: Path, model: Path, tmp_path: Path) -> None:
    Image.new("L", (65_501, 1)).save(image_dir / "long.png")
    with pytest.raises(InputError, match="1 of 4 inputs failed"):
        run([image_dir], model, tmp_path / "out", overlay=True)
    assert len(list((tmp_path / "out").iterdir())) == 6
    run([image_dir / "long.png"], model, tmp_path / "out")
    assert mask_of(tmp_path / "out" / "long.png").shape == (1, 65_501)


def test_overlay_tints_the_sky_and_draws_its_contour() -> None:
    image = np.full((200, 300, 3), 100, np.uint8)
    sky = np.zeros((200, 300), np.float32)
    sky[:80] = 1
    drawn = draw_overlay(image, sky, 0.5)
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert np.array_equal(drawn[100:], image[100:])  # the ground stays as it is
    assert np.ptp(drawn[:70].reshape(-1, 3), axis=0).max() == 0 and drawn[10, 10].tolist() != [100, 100, 100]
    assert (drawn[79] == drawn[79, 0]).all() and drawn[79, 0].tolist() != drawn[10, 10].tolist()
    assert np.array_equal(draw_overlay(image, np.zeros_like(sky), 0.5), image)


def test_help() -> None:
    result = command("--help")
    assert result.returncode == 0
    for word in ("--model", "--out", "--overlay", "--resume", "--threads", "--device", "Artifact folder"):
        assert word in result.stdout
