"""Skies and where they go: horizon, camera, presets, images, and the motion that they follow."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.masks.horizon import Horizon, find_horizon
from scenes.moving import moving_scene
from scenes.render import generate
from skyedge.replace.motion import SkyTracker
from skyedge.replace.own_sky import ImageSky, shows_land
from skyedge.replace.presets import PRESETS, make_sky
from skyedge.replace.texture import Texture
from skyedge.replace.view import View

pytestmark = pytest.mark.slow
LEVEL = Horizon(0.8, 0.0, True)


def below(tilt_deg: float, y: float, shape: tuple[int, int] = (240, 320)) -> np.ndarray:
    """Return a mask whose sky ends on a line."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    edge = y * shape[0] + math.tan(math.radians(tilt_deg)) * (columns - shape[1] / 2)
    return np.clip(edge - rows + 0.5, 0, 1).astype(np.float32)


@pytest.mark.parametrize("tilt", [-11.0, -4.0, 0.0, 2.5, 9.0])
@pytest.mark.parametrize("y", [0.3, 0.55, 0.75])
def test_a_straight_skyline_is_the_horizon(tilt: float, y: float) -> None:
    mask = below(tilt, y)
    mask[:, 40:60] = np.minimum(mask[:, 40:60], below(0, 0.15)[:, 40:60])  # a mast, and a tower
    mask[:, 200:240] = np.minimum(mask[:, 200:240], below(0, 0.2)[:, 200:240])
    found = find_horizon(mask)
    assert found.seen and abs(found.y - y) < 0.01 and abs(found.tilt_deg - tilt) < 0.5


def test_a_hidden_horizon_is_no_higher_than_the_sky_reaches() -> None:
    columns = np.abs(np.arange(320) - 160)
    street = (np.arange(240)[:, None] < 170 - columns[None]).astype(np.float32)  # a gap between houses
    street[225:, 30:36] = 1  # and a window that mirrors the sky
    found = find_horizon(street)
    assert not found.seen and found.tilt_deg == 0 and 0.66 < found.y < 0.73
    high = find_horizon((np.arange(240)[:, None] < 60 - columns[None] / 3).astype(np.float32))
    assert high.y == 0.5 and not high.seen  # walls before a camera that is held level


def test_all_sky_looks_up_and_no_sky_is_level() -> None:
    assert find_horizon(np.ones((50, 70), np.float32)).y > 1
    assert find_horizon(np.zeros((50, 70), np.float32)) == Horizon(0.5, 0.0, False)
    for shape in ((1, 1), (1, 90), (90, 1)):
        assert math.isfinite(find_horizon(np.full(shape, 0.7, np.float32)).y)


@pytest.mark.parametrize("horizon", [LEVEL, Horizon(0.4, -7.0, True), Horizon(1.3, 3.0, False)])
def test_directions_are_level_at_the_horizon(horizon: Horizon) -> None:
    view = View(180, 320, horizon)
    window = view.window()
    right, up, ahead = window.directions()
    assert np.abs(right**2 + up**2 + ahead**2 - 1).max() < 1e-5
    slope = math.tan(math.radians(horizon.tilt_deg))
    columns = np.arange(320.0)
    rows = horizon.y * 180 - 0.5 + slope * (columns - 159.5)
    on_horizon = np.stack([columns, rows, np.ones(320)])
    assert np.abs((window.matrix @ on_horizon)[1]).max() < 1e-9
    assert up[0, 160] > up[-1, 160]


def test_strips_and_coarse_windows_see_the_same() -> None:
    view = View(90, 120, LEVEL)
    whole = np.stack(view.window().directions())
    assert np.abs(np.stack(view.window(30, 60).directions()) - whole[:, 30:60]).max() < 1e-6
    coarse = np.stack(view.window(step=3).directions())
    assert coarse.shape == (3, 30, 40) and np.abs(coarse - whole[:, 1::3, 1::3]).max() < 1e-6


def test_the_motion_of_the_sky_moves_what_is_seen() -> None:
    view = View(100, 160, LEVEL)
    moved = View(100, 160, LEVEL, motion=np.array([[1, 0, 10], [0, 1, -5], [0, 0, 1.0]]))
    before, after = np.stack(view.window().directions()), np.stack(moved.window().directions())
    assert np.abs(after[:, :90, 10:] - before[:, 5:95, :-10]).max() < 1e-6


@pytest.mark.parametrize("name", PRESETS)
def test_presets_repeat_by_seed_and_join(name: str) -> None:
    view = View(90, 140, LEVEL)
    sky = make_sky(name, view, seed=7)
    first = sky.light(view.window(), 0.0)
    assert first.shape == (90, 140, 3) and np.isfinite(first).all() and first.min() >= 0
    assert np.array_equal(first, make_sky(name, view, seed=7).light(view.window(), 0.0))
    assert np.abs(first - make_sky(name, view, seed=8).light(view.window(), 0.0)).max() > 0.01
    assert np.abs(sky.light(view.window(30, 60), 1.2) - sky.light(view.window(), 1.2)[30:60]).max() < 1e-3
    moved = np.abs(sky.light(view.window(), 1.5) - first).mean()
    assert moved > 1e-3 if PRESETS[name].cover is not None else moved == 0


def test_clouds_shrink_toward_the_horizon() -> None:
    """Crossings of the clouds' edges: more of them, down a column, low in the sky than high up."""
    view = View(480, 640, Horizon(1.0, 0.0, True))
    crossings = np.zeros(2)
    for seed in range(4):
        light = make_sky("clouds", view, seed).light(view.window(), 0.0)
        cloudy = light[..., 0] / light[..., 2] > 0.62
        for part, rows in enumerate((slice(20, 170), slice(280, 430))):
            crossings[part] += np.count_nonzero(cloudy[rows][1:] != cloudy[rows][:-1])
    assert crossings[1] > 1.5 * crossings[0]


def test_wrong_skies_are_refused() -> None:
    for name, more in (("rain", {}), ("clouds", {"seed": -1}), ("clouds", {"wind": math.nan})):
        with pytest.raises(InputError, match="expected"):
            make_sky(name, View(90, 140, LEVEL), **more)
    with pytest.raises(InputError, match="expected 5 to 150"):
        View(10, 10, LEVEL, fov_deg=170)


def test_a_texture_repeats_mirrors_and_averages() -> None:
    values = np.random.default_rng(0).random((64, 64, 2), np.float32)
    x, y = np.meshgrid(np.arange(64, dtype=np.float32), np.arange(64, dtype=np.float32))
    fine, coarse = np.zeros_like(x), np.full_like(x, 2)
    for mirror in (False, True):
        texture = Texture(values, mirror)
        assert np.abs(texture.at(x, y, fine) - values).max() < 1e-6
        period = 128 if mirror else 64
        assert np.abs(texture.at(x + 3 * period, y - period, fine) - values).max() < 1e-4
        assert texture.at(x, y, coarse).std() < 0.4 * values.std()
        assert abs(texture.at(x, y, coarse).mean() - values.mean()) < 0.01
    assert np.abs(Texture(values, True).at(-1 - x, y, fine) - values).max() < 1e-4


def stripes() -> np.ndarray:
    """Return a sky image (80, 160, 3) whose rows are of different gray, the lowest the brightest."""
    return np.repeat(np.repeat(np.linspace(20, 240, 80).astype(np.uint8)[:, None, None], 160, 1), 3, 2)


@pytest.mark.parametrize("tilt", [0.0, 8.0])
def test_an_images_lower_edge_lies_on_the_horizon(tilt: float) -> None:
    view = View(200, 300, Horizon(0.7, tilt, True))
    light = ImageSky(stripes(), view).light(view.window(), 0.0)[..., 0]
    up = view.window().directions()[1]
    brightest = light.max()
    assert light[np.abs(up) < 0.005].min() > 0.9 * brightest
    highest = light[up > 0.98 * up.max()]
    assert highest.max() < 0.05  # and its upper edge no lower than the camera sees: nothing is mirrored down
    order = np.argsort(up[:, 150])
    assert (np.diff(light[order, 150]) <= 1e-4).all()


def test_an_image_sky_drifts_and_goes_on_without_a_seam() -> None:
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.random((120, 160, 3), np.float32), (0, 0), 4)
    image = np.rint(255 * (noise - noise.min()) / (noise.max() - noise.min())).astype(np.uint8)
    view = View(120, 200, LEVEL, fov_deg=100)
    sky = ImageSky(image, view, wind=2)
    first = sky.light(view.window(), 0.0)
    assert np.abs(sky.light(view.window(), 2.0) - first)[:60].mean() > 0.01
    far = ImageSky(image, view, wind=1).light(view.window(), 500.0)
    assert np.abs(np.diff(far[:60], axis=1)).max() < 0.15 and far[:60].std() > 0.02


def test_land_in_a_sky_image_is_seen() -> None:
    assert shows_land(below(0, 0.6, (100, 100))) and not shows_land(np.ones((9, 9), np.float32))
    assert not shows_land(np.zeros((9, 9), np.float32))  # a painting


# --- motion -----------------------------------------------------------------------------------------------------------


def shifted(plate: np.ndarray, x: float, y: float, turn_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle (240, 320, 3) of a plate, its content moved and turned, and the matrix that did it."""
    matrix = np.vstack([cv2.getRotationMatrix2D((159.5, 119.5), turn_deg, 1), [0, 0, 1]])
    matrix[:2, 2] += x, y
    margin = np.array([[1, 0, -100], [0, 1, -100], [0, 0, 1.0]])
    return cv2.warpAffine(plate, (matrix @ margin)[:2], (320, 240), flags=cv2.INTER_LINEAR), matrix


def cloud_plate() -> np.ndarray:
    view = View(440, 520, Horizon(1.2, 0, True))
    light = make_sky("clouds", view, 5).light(view.window(), 0.0)
    noise = np.random.default_rng(0).normal(0, 1, light.shape)
    return np.clip(np.rint(255 * np.sqrt(np.clip(light, 0, 1)) + noise), 0, 255).astype(np.uint8)


def test_a_known_motion_of_the_sky_is_recovered() -> None:
    """25 frames of a pan with a turn: everywhere in the image within a pixel of the truth at its end."""
    plate, alpha = cloud_plate(), np.zeros((240, 320), np.float32)
    alpha[:180] = 1
    street = np.random.default_rng(1).integers(0, 255, (60, 320, 3), np.uint8)  # it stands still, and may not matter
    tracker = SkyTracker()
    for number in range(25):
        frame, truth = shifted(plate, 2.3 * number, -0.7 * number, 0.12 * number)
        frame[180:] = street
        motion = tracker.step(frame, alpha)
        assert motion.source == ("start" if number == 0 else "sky")
    corners = np.array([[0, 0, 1], [319, 0, 1], [0, 179, 1], [319, 179, 1], [160, 90, 1.0]]).T
    assert np.abs((motion.matrix @ corners - truth @ corners)[:2]).max() < 1


def test_an_empty_sky_takes_the_motion_of_the_background() -> None:
    plate, alpha = cloud_plate(), np.zeros((240, 320), np.float32)
    alpha[:100] = 1
    tracker = SkyTracker()
    for number in range(6):
        frame, truth = shifted(plate, -3.0 * number, 0, 0)
        frame[:100] = (120, 160, 210)
        motion = tracker.step(frame, alpha)
    assert motion.source == "background" and np.abs(motion.matrix - truth)[:2, 2].max() < 0.5


def test_nothing_to_follow_stands_still() -> None:
    tracker, rng = SkyTracker(), np.random.default_rng(0)
    for _ in range(4):
        motion = tracker.step(rng.integers(100, 104, (120, 160, 3), np.uint8), np.ones((120, 160), np.float32))
    assert motion.source == "none" and np.array_equal(motion.matrix, np.eye(3))


@pytest.mark.parametrize("motion", ["pan", "handheld"])
def test_moving_scenes_with_clouds_are_followed(motion: str) -> None:
    """Against the exact motion of the scenes' sky, step by step, in the median of the sky's pixels."""
    tracker, errors, before = SkyTracker(), [], np.eye(3)
    for frame in moving_scene(6, 10, (270, 480), motion, "field", "cloudy"):
        found = tracker.step(frame.image, frame.alpha).matrix
        step, before = found @ np.linalg.inv(before), found
        inner = cv2.erode((frame.alpha > 0.999).astype(np.uint8), np.ones((25, 25), np.uint8)).view(bool)
        inner &= np.isfinite(frame.back).all(-1)
        if frame.shot == 0 and inner.any():
            rows, columns = np.nonzero(inner)
            came_from = np.linalg.inv(step) @ np.stack([columns, rows, np.ones(len(rows))])
            errors.append(float(np.median(np.hypot(*(came_from[:2].T - frame.back[rows, columns]).T))))
    assert len(errors) >= 8 and np.mean(errors) < 0.3


def test_horizons_of_scenes_lie_below_their_skies() -> None:
    for seed, kind in enumerate(("water", "field", "street", "city", "trees", "mountain")):
        alpha = generate(seed, (180, 240), kind).alpha
        found = find_horizon(alpha)
        view = View(180, 240, found)
        up = view.window().directions()[1]
        assert (up[alpha > 0.5] > -0.03).mean() > 0.97
