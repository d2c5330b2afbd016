"""`replace` on images of odd shapes, with skies of the user's own, and onto files of somebody else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.masks.horizon import find_horizon
from scenes.render import generate
from skyedge.replace.presets import make_sky
from skyedge.replace.relight import replace_sky
from skyedge.replace.run import Replace, main
from skyedge.replace.view import View

MODEL = Path(__file__).parents[2] / "models" / "unet_lite_s" / "onnx-int8"


@pytest.fixture
def street(tmp_path: Path) -> Path:
    Image.fromarray(generate(7, (160, 240), "street").image).save(tmp_path / "street.png")
    return tmp_path / "street.png"


@pytest.mark.parametrize("height", [1, 2, 17, 600, 4000])
@pytest.mark.parametrize("width", [1, 2, 3, 40])
def test_any_shape_has_a_horizon_and_a_new_sky(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    for share in (0.1, 0.5, 0.9):
        alpha = np.zeros((height, width), np.float32)
        alpha[: round(height * share)] = 1
        horizon = find_horizon(alpha)
        assert np.isfinite((horizon.y, horizon.tilt_deg)).all()
    view = View(height, width, horizon)
    found = replace_sky(image, alpha, make_sky("sunset", view), view)
    assert found.shape == image.shape


def test_a_sunset_of_the_users_own_is_not_repainted(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Networks see ground in the dark lower part of such images; the sky has the colors that the user gave."""
    sky = np.linspace((250, 150, 60), (255, 120, 20), 120).astype(np.uint8)[:, None].repeat(180, axis=1)
    sky[::12, ::12] = 255  # stars
    Image.fromarray(sky).save(tmp_path / "sunset.png")
    main(Replace(street, MODEL, str(tmp_path / "sunset.png"), tmp_path / "out.png", relight=0))
    top = np.median(read_rgb(tmp_path / "out.png")[:40].reshape(-1, 3).astype(int), axis=0)
    assert top[0] > 235 and 100 < top[1] < 170 and top[2] < 90
    below = np.vstack([np.full((100, 180, 3), (90, 140, 220), np.uint8), np.full((60, 180, 3), (60, 50, 40), np.uint8)])
    Image.fromarray(below).save(tmp_path / "land.png")
    capsys.readouterr()
    main(Replace(street, MODEL, str(tmp_path / "land.png"), tmp_path / "out.png", relight=0, overwrite=True))
    assert "seems to show land too" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out.webp"])
def test_what_exists_is_written_again_only_if_allowed(name: str, street: Path, tmp_path: Path) -> None:
    out = tmp_path / name
    out.write_bytes(b"somebody's")
    for seed in range(2):
        before = out.read_bytes()
        with pytest.raises(InputError, match="exists already, .*--overwrite"):
            main(Replace(street, MODEL, "clouds", out))
        assert out.read_bytes() == before
        main(Replace(street, MODEL, "clouds", out, seed=seed, overwrite=True))
        assert out.read_bytes() != before
