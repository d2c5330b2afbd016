"""`remove_sky` against `Segmenter`, for every kind of image."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.images.resize import to_mask8
from edge_runtime.masks.cutout import remove_sky
from edge_runtime.masks.refine import refine
from edge_runtime.segmenter import Segmenter
from scenes.render import generate


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return generate(3, (120, 160), "mountain", "clear").image


@pytest.fixture(scope="module")
def expected(image: np.ndarray) -> np.ndarray:
    alpha = 255 - to_mask8(Segmenter.load("unet_lite_s")(image))
    assert alpha.min() < 10 and alpha.max() > 245
    return np.dstack([image, alpha])


def test_the_result_is_of_the_kind_of_the_image(image: np.ndarray, expected: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    assert np.array_equal(remove_sky(image), expected)
    blue_first = np.ascontiguousarray(image[..., ::-1])
    assert np.array_equal(remove_sky(blue_first, color="BGR"), expected[..., [2, 1, 0, 3]])
    for given in (Image.fromarray(image), path, str(path)):
        result = remove_sky(given)
        assert isinstance(result, Image.Image) and result.mode == "RGBA" and np.array_equal(np.asarray(result), expected)
    content = remove_sky(path.read_bytes())
    assert isinstance(content, bytes) and content.startswith(b"\x89PNG")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), expected)


def test_another_segmenter_and_refinement(image: np.ndarray) -> None:
    segmenter = Segmenter.load("classical:contour")
    refined = refine(image, segmenter.low_res(image))
    assert np.array_equal(remove_sky(image, segmenter, refine=True)[..., 3], 255 - to_mask8(refined))


def test_other_types_are_type_errors() -> None:
    with pytest.raises(TypeError, match="got an image of type int"):
        remove_sky(5)  # type: ignore[call-overload]
