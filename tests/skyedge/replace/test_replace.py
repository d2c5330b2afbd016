"""Sky replacement: what becomes of foreground, sky and the edges between them, relighting, and the command."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.srgb import TO_LIGHT, luminance, to_levels, to_light
from edge_runtime.masks.horizon import Horizon
from edge_runtime.masks.refine import refine
from edge_runtime.video.format import VideoFormat
from edge_runtime.video.read import VideoSource
from edge_runtime.video.write import VideoSink
from scenes.moving import moving_scene
from scenes.parts.canvas import Canvas
from scenes.render import compose, generate
from skyedge.replace.presets import make_sky
from skyedge.replace.relight import Look, replace_sky, shoulder
from skyedge.replace.run import Replace, main
from skyedge.replace.view import View, Window

pytestmark = pytest.mark.slow
AS_IT_IS = Look(relight=0, halo=0)
EXACT = Look(relight=0, halo=0, sharp=False)


class Plain:
    """A sky of one color."""

    def __init__(self, *light: float) -> None:
        self.color = np.array(light, np.float32)

    def light(self, window: Window, time_s: float) -> np.ndarray:
        return np.broadcast_to(self.color, (window.height, window.width, 3)).copy()


def view_of(image: np.ndarray, y: float = 0.6) -> View:
    return View(image.shape[0], image.shape[1], Horizon(y, 0, False))


def painted(kind: str, seed: int, sky: str, size: tuple[int, int] = (240, 320)) -> tuple[Canvas, np.ndarray]:
    """Return the layers of a scene, exact in linear light, and its image (H, W, 3) uint8."""
    canvas = compose(np.random.default_rng(seed), size, kind, sky)
    return canvas, np.rint(to_levels(canvas.image())).astype(np.uint8)


def house(sky: tuple[int, int, int] = (120, 170, 220)) -> tuple[np.ndarray, np.ndarray]:
    """Return an image (200, 300, 3) of textured ground under a plain sky, and its share of sky (200, 300)."""
    image = np.random.default_rng(5).integers(40, 160, (200, 300, 3), np.uint8)
    image[:100] = sky
    alpha = np.zeros((200, 300), np.float32)
    alpha[:100] = 1
    return image, alpha


def test_bytes_survive_linear_light() -> None:
    every = np.arange(256, dtype=np.uint8)
    assert np.array_equal(np.rint(to_levels(to_light(every))), every)
    assert np.abs(to_levels(to_light(every)) - every).max() < 0.05
    assert TO_LIGHT[188] == pytest.approx(0.5, abs=0.005)  # sRGB's middle gray


def test_the_foreground_keeps_its_pixels_and_the_sky_is_the_new_one() -> None:
    """Without relighting and halo to the byte; with a halo everywhere but near the sky."""
    image, alpha = house()
    sky = make_sky("sunset", view_of(image), seed=3)
    found = replace_sky(image, alpha, sky, view_of(image), AS_IT_IS)
    assert np.array_equal(found[100:], image[100:])
    wanted = to_levels(shoulder(sky.light(view_of(image).window(), 0)))
    error = found[:100] - wanted[:100]
    assert np.abs(error).max() <= 1.51 and abs(error.mean()) < 0.03  # rounding, and noise of a level at most
    with_halo = replace_sky(image, alpha, sky, view_of(image), Look(relight=0, halo=1))
    assert np.array_equal(with_halo[120:], image[120:])
    assert (with_halo[100].astype(int) - image[100]).mean() > 3


def test_noise_hides_the_steps_of_a_gradient() -> None:
    """Rounded rows of one level each would show as bands; here every row of the gradient keeps its own mean."""

    class Ramp:
        def light(self, window: Window, time_s: float) -> np.ndarray:
            rows = np.linspace(0.20, 0.21, window.height, dtype=np.float32)[:, None, None]
            return np.broadcast_to(rows, (window.height, window.width, 3)).copy()

    image, _ = house()
    found = replace_sky(image, np.ones(image.shape[:2], np.float32), Ramp(), view_of(image), AS_IT_IS)
    wanted = to_levels(np.linspace(0.20, 0.21, 200))
    assert np.abs(found.mean(axis=(1, 2)) - wanted).max() < 0.2


@pytest.mark.parametrize("kind", ["trees", "towers", "lookup", "city"])
@pytest.mark.parametrize("old", ["clear", "overcast"])
def test_exact_masks_give_a_better_composite_than_blending(kind: str, old: str) -> None:
    """Where the mask is exact, what is left to do is to take the old sky out of the pixels that it covers in part."""
    canvas, image = painted(kind, 11, old)
    dark, share = Plain(0.03, 0.04, 0.1), canvas.alpha[..., None]
    new = dark.light(view_of(image).window(), 0)
    truth = to_levels(share * new + canvas.paint)
    edge = (canvas.alpha > 0.02) & (canvas.alpha < 0.98)

    def error(image: np.ndarray) -> float:
        return float(np.abs(image - truth)[edge].mean())

    found = error(replace_sky(image, canvas.alpha, dark, view_of(image), EXACT))
    blended = error(to_levels(share * new + (1 - share) * to_light(image)))
    blended_bytes = error(share * to_levels(new) + (1 - share) * image)
    assert found < 0.6 * min(blended, blended_bytes)


def test_a_refined_mask_is_sharpened_at_branches() -> None:
    """From a coarse mask: nearer to the truth, in image and mask, than with the refined mask as it is."""
    errors = []
    for seed in (21, 22, 23):
        canvas, image = painted("trees", seed, "clear", (360, 480))
        coarse = np.clip(cv2.resize(canvas.alpha, (64, 64), interpolation=cv2.INTER_AREA), 0, 1)
        mask, dark = refine(image, coarse), Plain(0.03, 0.04, 0.1)
        truth = to_levels(canvas.alpha[..., None] * dark.color + canvas.paint)
        looks = (AS_IT_IS, EXACT, Look(relight=0, halo=0, sharp=False, spill=False))
        errors.append([np.abs(replace_sky(image, mask, dark, view_of(image), look) - truth).mean() for look in looks])
    sharp, unsharp, blended = np.mean(errors, axis=0)
    assert sharp < 0.85 * unsharp and unsharp < 0.99 * blended


def test_relighting_takes_after_the_new_sky() -> None:
    image, alpha = house()

    def ground(sky: str, strength: float) -> np.ndarray:
        look = Look(relight=strength, halo=0)
        return to_light(replace_sky(image, alpha, make_sky(sky, view_of(image), 1), view_of(image), look)[100:]).reshape(-1, 3)

    before = to_light(image[100:]).reshape(-1, 3)
    warmth = [float(light[:, 0].mean() / light[:, 2].mean()) for light in (before, ground("sunset", 0.4), ground("sunset", 0.8))]
    assert warmth[0] < warmth[1] < warmth[2]
    night = [float(luminance(light).mean()) for light in (before, ground("stars", 0.4), ground("stars", 0.8))]
    assert night[0] > 1.5 * night[1] > 1.5 * night[2] > 0.03 * night[0]  # dark, but not black
    spread = np.log(luminance(ground("stars", 0.5)) + 1e-3).std()
    assert 0.5 < spread / np.log(luminance(before) + 1e-3).std() < 1.5


def test_the_same_sky_again_hardly_changes_the_foreground() -> None:
    """The old sky's own color: no gain and no tint, whatever the strength."""
    image, alpha = house()
    same = Plain(*to_light(np.array([120, 170, 220], np.uint8)))
    found = replace_sky(image, alpha, same, view_of(image), Look(relight=1, halo=0))
    assert np.abs(found.astype(int) - image)[100:].max() <= 1
    assert np.abs(found.astype(int) - image)[:100].max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (150, 2), (37, 61)])
def test_odd_sizes(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    for alpha in (np.zeros(size, np.float32), np.ones(size, np.float32), rng.random(size, np.float32)):
        found = replace_sky(image, alpha, make_sky("stars", view_of(image)), view_of(image))
        assert found.shape == image.shape and found.dtype == np.uint8


def test_a_large_image_is_that_of_its_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = generate(4, (300, 400), "trees", "clear")
    image = cv2.resize(scene.image, (1283, 961), interpolation=cv2.INTER_CUBIC)
    alpha = np.clip(cv2.resize(scene.alpha, (1283, 961), interpolation=cv2.INTER_LINEAR), 0, 1)
    sky = make_sky("stars", view_of(image), 2)
    found = replace_sky(image, alpha, sky, view_of(image))
    monkeypatch.setattr("skyedge.replace.relight.STRIP_PIXELS", 50_000)
    assert np.abs(replace_sky(image, alpha, sky, view_of(image)).astype(int) - found).max() <= 1


def test_bad_input_is_refused() -> None:
    image, alpha = house()
    with pytest.raises(InputError, match="expected one size"):
        replace_sky(image, alpha[:-1], Plain(0, 0, 0), view_of(image))
    with pytest.raises(InputError, match="expected one size"):
        replace_sky(image, alpha, Plain(0, 0, 0), View(10, 10, Horizon(0.5, 0, False)))
    for wrong in ({"relight": -0.1}, {"relight": 1.1}, {"halo": 2.0}, {"halo": float("nan")}):
        with pytest.raises(InputError, match=r"expected both in 0\.\.1"):
            Look(**wrong)


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(project_root: Path) -> Path:
    """Return a released artifact."""
    return project_root / "models" / "unet_lite_s" / "onnx-int8"


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "street.png"
    Image.fromarray(generate(902, (180, 240), "street", "cloudy").image).save(path)
    return path


def frames_of(path: Path) -> list[np.ndarray]:
    source = VideoSource(path)
    return [frame.image for frame in iter(source.read, None)]


def test_an_image_and_its_seed(model: Path, street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outs = [tmp_path / name for name in ("a.png", "again.png", "other.png")]
    for out, seed in zip(outs, (1, 1, 2), strict=True):
        main(Replace(street, model, "clouds", out, seed=seed))
    assert "240 x 180 pixels" in capsys.readouterr().out
    first, again, other = (read_rgb(out) for out in outs)
    assert np.array_equal(first, again) and np.abs(first.astype(int) - other).mean() > 1
    assert np.abs(first.astype(int) - read_rgb(street))[:60].mean() > 10
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "again.png", "other.png"]


def test_a_video_keeps_its_length_under_moving_clouds(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with VideoSink(tmp_path / "in.mkv", VideoFormat()) as sink:
        for frame in moving_scene(3, 6, (120, 160), "pan", "street", "cloudy"):
            sink.write(frame.image)
    main(Replace(tmp_path / "in.mkv", model, "clouds", tmp_path / "out.mkv", wind=9))
    assert ", 0 left as they were" in capsys.readouterr().out
    frames = [frame.astype(int) for frame in frames_of(tmp_path / "out.mkv")]
    assert len(frames) == 6 and min(np.abs(b - a)[:20].mean() for a, b in itertools.pairwise(frames)) > 0.3


def test_no_sky_is_said_and_nothing_written(model: Path, tmp_path: Path) -> None:
    wall = generate(1, (180, 240), "closeup").image
    Image.fromarray(wall).save(tmp_path / "wall.png")
    with VideoSink(tmp_path / "wall.mkv", VideoFormat()) as sink:
        sink.write(wall)
    for source, out in (("wall.png", "out.png"), ("wall.mkv", "out.mkv")):
        with pytest.raises(InputError, match="nothing was written"):
            main(Replace(tmp_path / source, model, "clouds", tmp_path / out))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wall.mkv", "wall.png"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sky": "thunder"}, "expected clouds, sunset, stars"),
        ({"out": "out.txt"}, "expected a file that ends in .png"),
        ({"out": "out.mp4"}, "expected a file that ends in .png"),
        ({"out": "street.png"}, "as input and output"),
        ({"min_sky": -1.0}, "expected a share of the image"),
        ({"horizon": float("nan")}, "--horizon nan"),
        ({"seed": -1}, "a seed of 0 or more"),
        ({"relight": 3.0}, r"expected both in 0\.\.1"),
        ({"input": "missing.png"}, "expected an existing image"),
        ({"input": "missing.mp4", "out": "out.mp4"}, "expected an existing video"),
        ({"input": "0", "out": "out.mp4"}, "record the camera"),
    ],
)
def test_what_cannot_be_is_refused(
    changes: dict[str, object], message: str, model: Path, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("street.png").write_bytes(street.read_bytes())
    values: dict[str, object] = {"input": "street.png", "sky": "clouds", "out": "out.png"} | changes
    config = Replace(Path(str(values.pop("input"))), model, str(values.pop("sky")), Path(str(values.pop("out"))), **values)
    with pytest.raises(InputError, match=message):
        main(config)
    assert [path.name for path in tmp_path.iterdir()] == ["street.png"]


def test_bad_input_exits_2(model: Path, street: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "skyedge.replace", street, "--model", model, "--out", tmp_path / "out.png"]
    result = subprocess.run([*map(str, words), "--sky", "nowhere.jpg"], capture_output=True, text=True)
    assert result.returncode == 2 and result.stderr.startswith("error: got --sky nowhere.jpg") and not result.stdout
