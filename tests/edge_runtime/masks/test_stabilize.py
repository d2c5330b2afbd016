"""Stabilization: flicker goes, motion is followed, changes are believed, cuts begin anew."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.masks.stabilize import Stabilizer
from scenes.render import generate

SIZE = 96


def drawn(seed: int = 5, kind: str = "city") -> tuple[np.ndarray, np.ndarray]:
    """Return a scene larger than a frame and its mask."""
    scene = generate(seed, (SIZE * 2, SIZE * 2), kind, "clear")
    return scene.image, scene.alpha


def crop(plane: np.ndarray, x: int, y: int = 48) -> np.ndarray:
    return np.ascontiguousarray(plane[y : y + SIZE, x : x + SIZE])


def noisy(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(0.1 + 0.8 * truth + rng.normal(0, 0.1, truth.shape), 0, 1).astype(np.float32)


def test_noise_is_averaged_along_the_motion() -> None:
    image, alpha = drawn()
    rng, steady = np.random.default_rng(0), Stabilizer()
    raw_errors, errors = [], []
    for t in range(16):
        truth = crop(alpha, 20 + 2 * t)
        raw = noisy(truth, rng)
        found = steady(crop(image, 20 + 2 * t), raw)
        assert found.shape == (SIZE, SIZE) and found.dtype == np.float32 and 0 <= found.min() <= found.max() <= 1
        if t >= 6:
            raw_errors.append(raw - (0.1 + 0.8 * truth))
            errors.append(found - (0.1 + 0.8 * truth))
    assert np.std(errors) < 0.5 * np.std(raw_errors)
    assert steady.cuts == 0


def test_memory_of_one_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.masks.stabilize.MEMORY", 1.0)
    image, alpha = drawn()
    rng, off = np.random.default_rng(0), Stabilizer()
    for t in range(4):
        raw = noisy(crop(alpha, 20), rng)
        assert np.allclose(off(crop(image, 20 + t), raw), raw, atol=1e-6)


def test_a_change_is_followed_within_a_frame() -> None:
    """The image stays and the network changes its mind for good: one frame later the mask has changed."""
    image, alpha = drawn()
    frame, steady = crop(image, 20), Stabilizer()
    low, high = np.full((SIZE, SIZE), 0.02, np.float32), np.full((SIZE, SIZE), 0.98, np.float32)
    for _ in range(20):
        steady(frame, low)
    steady(frame, high)
    assert steady(frame, high).min() > 0.5


def test_a_flash_of_one_frame_does_not_turn_the_mask() -> None:
    image, _ = drawn()
    frame, steady = crop(image, 20), Stabilizer()
    low = np.full((SIZE, SIZE), 0.02, np.float32)
    for _ in range(20):
        steady(frame, low)
    flash = low.copy()
    flash[40:50, 40:50] = 0.6
    assert steady(frame, flash).max() < 0.5
    assert steady(frame, low).max() < 0.5


def test_a_thing_that_appears_is_seen_at_once() -> None:
    """Where the image changes, what was known of the place no longer counts."""
    image, alpha = drawn()
    frame, steady = crop(image, 20), Stabilizer()
    sky = np.full((SIZE, SIZE), 0.95, np.float32)
    for _ in range(10):
        steady(frame, sky)
    frame[30:60, 30:60] = (150, 20, 200)
    sky[30:60, 30:60] = 0.05
    found = steady(frame, sky)[33:57, 33:57]
    assert (found < 0.1).mean() > 0.95  # all but where the thing is as bright as what it hides


def test_a_cut_begins_anew() -> None:
    steady = Stabilizer()
    for seed, kind in ((5, "city"), (9, "forest")):
        image, alpha = drawn(seed, kind)
        first = np.random.default_rng(seed).random((SIZE, SIZE), np.float32)
        if seed == 9:
            image = image[::-1].copy()
        assert np.array_equal(steady(crop(image, 20), first), first)
        steady(crop(image, 20), first)
    assert steady.cuts == 1


def test_exposure_is_no_cut() -> None:
    image, alpha = drawn()
    frame, steady = crop(image, 20), Stabilizer()
    raw, half = np.zeros((SIZE, SIZE), np.float32), np.full((SIZE, SIZE), 0.4, np.float32)
    steady(frame, raw)
    brighter = cv2.convertScaleAbs(frame, alpha=1.12)
    assert steady(brighter, half).mean() < 0.3
    assert steady.cuts == 0


def test_an_image_without_corners() -> None:
    steady = Stabilizer()
    flat = np.full((SIZE, SIZE, 3), 128, np.uint8)
    for level in (0.2, 0.4, 0.2):
        found = steady(flat, np.full((SIZE, SIZE), level, np.float32))
    assert steady.cuts == 0 and 0.2 < found.mean() < 0.3


def test_another_size_begins_anew() -> None:
    steady = Stabilizer()
    for side in (32, 48):
        raw = np.full((side, side), 0.3, np.float32)
        assert np.array_equal(steady(np.zeros((side, side, 3), np.uint8), raw), raw)


@pytest.mark.parametrize(
    ("image", "probability"),
    [
        (np.zeros((20, 20, 3), np.float32), np.zeros((20, 20), np.float32)),
        (np.zeros((20, 21, 3), np.uint8), np.zeros((20, 20), np.float32)),
        (np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32)),
    ],
)
def test_bad_frames(image: np.ndarray, probability: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected uint8 \(h, w, 3\)"):
        Stabilizer()(image, probability)
