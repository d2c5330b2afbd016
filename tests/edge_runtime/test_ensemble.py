"""Several models averaged, how sure they are, and the decision that there is no sky."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.resize import resize_probability, to_mask8
from edge_runtime.masks.presence import judge
from edge_runtime.masks.refine import refine
from edge_runtime.segment.run import Segment, main
from edge_runtime.segmenter import Ensemble, load_models

MODELS = Path(__file__).parents[2] / "models"
SMALL, LARGE = MODELS / "unet_lite_s" / "onnx-int8", MODELS / "unet_lite" / "onnx-int8"


@pytest.fixture(scope="module")
def image_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an image that is mostly sky and one that holds none."""
    folder = tmp_path_factory.mktemp("image_dir")
    down = np.linspace(0, 1, 120)[:, None, None]
    sky = np.broadcast_to(np.array((70, 120, 215)) * (1 - down) + np.array((200, 215, 240)) * down, (120, 170, 3))
    image = sky.astype(np.uint8).copy()
    image[95:] = (60, 66, 40)
    Image.fromarray(image).save(folder / "sky.png")
    noise = np.random.default_rng(0).integers(-20, 20, (120, 170, 1))
    Image.fromarray((np.array((96, 70, 50)) + noise).astype(np.uint8)).save(folder / "ground.png")
    return folder


def mask_of(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_an_ensemble_is_the_mean_of_its_members(image_dir: Path) -> None:
    both = load_models([SMALL, LARGE])
    assert isinstance(both, Ensemble) and len(both.artifacts) == 2 and both.threshold == 0.5
    image = read_rgb(image_dir / "sky.png")
    members = [Segmenter.load(SMALL), Segmenter.load(LARGE)]
    small, large = (member.low_res(image) for member in members)
    assert small.shape == (192, 192) and large.shape == (256, 256)
    assert np.allclose(both.low_res(image), (resize_probability(small, 256, 256) + large) / 2, atol=1e-6)
    assert np.array_equal(both(image), resize_probability(both.low_res(image), *image.shape[:2]))  # brought up once
    assert both(image).dtype == np.float32 and both(image).shape == image.shape[:2]


def test_one_model_is_itself_and_bad_lists_are_refused() -> None:
    assert isinstance(load_models([SMALL]), Segmenter)
    with pytest.raises(InputError, match="got no model, expected one or more"):
        load_models([])
    with pytest.raises(InputError, match="twice, expected each once"):
        load_models([SMALL, LARGE, SMALL])


def test_segment_writes_the_mean_refined_or_not(image_dir: Path, tmp_path: Path) -> None:
    both, image = load_models([SMALL, LARGE]), read_rgb(image_dir / "sky.png")
    main(Segment((image_dir,), (SMALL, LARGE), tmp_path / "plain"))
    assert np.array_equal(mask_of(tmp_path / "plain" / "sky.png"), to_mask8(both(image)))
    main(Segment((image_dir,), (SMALL, LARGE), tmp_path / "refined", refine=True))
    assert np.array_equal(mask_of(tmp_path / "refined" / "sky.png"), to_mask8(refine(image, both.low_res(image))))


def test_judge() -> None:
    half = np.zeros((10, 10), np.float32)
    half[:5] = 1
    assert (judge(half, 0.5).sky_share, judge(half, 0.5).confidence) == (0.5, 1.0)
    unsure = judge(np.full((4, 4), 0.5, np.float32), 0.5)
    assert unsure.confidence == 0.0 and unsure.sky_share == 1.0
    apart = judge((half + half[::-1]) / 2, 0.5)  # two sure members that contradict each other
    assert apart.confidence == 0.0
    assert judge(half, 0.5, 0.5).sky and not judge(half, 0.5, 0.51).sky
    assert judge(np.zeros((2, 2), np.float32), 0.5).sky and judge(np.zeros((2, 2), np.float32), 0.5, 0.0).sky


def test_no_sky_here(image_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = [
        image_dir,
        "--model",
        SMALL,
        "--model",
        LARGE,
        "--out",
        out,
        "--min-sky",
        "0.3",
        "--overlay",
        "--confidence",
        "--resume",
    ]
    command = [sys.executable, "-m", "edge_runtime.segment", *map(str, words)]
    first = subprocess.run(command, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    ground, sky, summary = first.stdout.splitlines()
    assert ground.startswith(f"{image_dir / 'ground.png'}: no sky here (") and "less than --min-sky 0.3)" in ground
    assert sky.startswith(f"{image_dir / 'sky.png'}: sky, ") and ", confidence 0." in sky
    assert summary.startswith("2 masks written, 0 kept, 0 failed")
    assert not mask_of(out / "ground.png").any() and mask_of(out / "sky.png").max() > 200
    original = read_rgb(image_dir / "ground.png").astype(int)
    assert np.abs(read_rgb(out / "ground.overlay.jpg") - original).mean() < 8  # nothing is tinted
    with Image.open(out / "ground.png") as opened:
        assert json.loads(opened.info["skyedge-finding"])["sky"] is False
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.stdout.splitlines()[:2] == [ground, sky] and "0 masks written, 2 kept" in again.stdout


def test_without_the_flags_nothing_is_said(image_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(Segment((image_dir,), (SMALL,), tmp_path / "out"))
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_resume_minds_models_and_min_sky(image_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def kept(models: tuple[Path, ...], min_sky: float | None = None) -> bool:
        main(Segment((image_dir / "sky.png",), models, tmp_path / "out", min_sky=min_sky, resume=True))
        return "0 masks written, 1 kept" in capsys.readouterr().out

    assert not kept((SMALL,)) and kept((SMALL,))
    assert not kept((SMALL, LARGE)) and kept((SMALL, LARGE))
    assert not kept((SMALL, LARGE), 0.1) and kept((SMALL, LARGE), 0.1)
    assert not kept((SMALL, LARGE), 0.2)


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_shares_out_of_range(share: float, image_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got --min-sky .*, expected a share of the image, 0 to 1"):
        main(Segment((image_dir,), (SMALL,), tmp_path / "out", min_sky=share))
    assert not (tmp_path / "out").exists()
