"""The gate that every exported file has to pass."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import GateError
from edge_runtime.images.network_input import Size
from export.parity import SCENES, Parity, check_parity, compare, parity_images

pytestmark = pytest.mark.slow


def _parity(max_abs: float, agreement: float, sky_share: float = 0.5, span: float = 1.0) -> Parity:
    return Parity(max_abs, agreement, 7, sky_share, span)


def _stack(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((len(SCENES) + 1, 32, 32), dtype=np.float32)


def test_images_are_seeded_and_varied() -> None:
    first, again = parity_images(Size(64, 96)), parity_images(Size(64, 96))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(image.shape == (64, 96, 3) and image.dtype == np.uint8 for image in first)
    assert {"night", "none"} <= {scene.sky for scene in SCENES}
    assert len({image.tobytes() for image in first}) == len(first) == len(SCENES) + 1


def test_equal_outputs_are_perfect() -> None:
    same = compare(_stack(0), _stack(0))
    assert (same.max_abs, same.agreement, same.images) == (0.0, 1.0, len(SCENES) + 1)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_outputs_that_say_nothing_do_not_pass(value: float, precision: str) -> None:
    same = np.full_like(_stack(0), value)
    assert compare(same, same).agreement == 1.0
    with pytest.raises(GateError, match="nothing was compared and nothing was written. Train the network"):
        check_parity(compare(same, same), precision)


def test_fp16_needs_sky_and_ground_to_agree_on() -> None:
    for value in (0.1, 0.9):
        expected = np.full_like(_stack(0), value)
        expected[0, 0, 0] = 0.5
        with pytest.raises(GateError, match=r"finds sky in \d+.\d% of the pixels of the built-in scenes, expected sky"):
            check_parity(compare(expected, expected), "fp16")
        check_parity(compare(expected, expected), "fp32")


def test_one_pixel_of_noise_counts_in_max_abs_but_not_in_agreement() -> None:
    expected = _stack(0)
    expected[-1, 0, 0], got = 0.51, expected.copy()
    got[-1, 0, 0] = 0.49
    parity = compare(expected, got)
    assert parity.max_abs == pytest.approx(0.02, abs=1e-6)
    assert parity.agreement == 1.0


@pytest.mark.parametrize("precision,good", [("fp32", _parity(9e-5, 0.9)), ("fp16", _parity(0.3, 0.9995))])
def test_good_parity_passes(precision: str, good: Parity) -> None:
    check_parity(good, precision)


@pytest.mark.parametrize("max_abs", [1.1e-4, 0.5, float("nan")])
def test_fp32_gate(max_abs: float) -> None:
    with pytest.raises(GateError, match="expected at most 1e-04; nothing was written"):
        check_parity(_parity(max_abs, 1.0), "fp32")


@pytest.mark.parametrize("agreement", [0.9989, 0.0, float("nan")])
def test_fp16_gate(agreement: float) -> None:
    with pytest.raises(GateError, match=r"expected at least 0\.999; nothing was written"):
        check_parity(_parity(0.0, agreement), "fp16")
