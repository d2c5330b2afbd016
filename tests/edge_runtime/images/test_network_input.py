"""Sizes as text, and pixels as a network's input."""

from __future__ import annotations

import numpy as np
import pytest

from edge_runtime.errors import InputError
from edge_runtime.images.network_input import Size, normalize, to_nchw


def test_width_comes_first_in_the_text_of_a_size() -> None:
    assert Size.parse("256x192") == Size(height=192, width=256) and str(Size(192, 256)) == "256x192"
    assert Size.parse("192") == Size.square(192) and str(Size.square(192)) == "192"


@pytest.mark.parametrize("text", ["", "x192", "256x", "256X192", "-256", "2.5", "256x192x3", "1000000000000"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected pixels such as 192, or WIDTHxHEIGHT such as 256x192"):
        Size.parse(text)


def test_pixels_become_exact_numbers() -> None:
    image = np.arange(2 * 128 * 3, dtype=np.uint8).reshape(2, 128, 3)
    values = normalize(image)
    assert values.dtype == np.float32 and np.array_equal(values * 128 + 127, image)
    planes = to_nchw(image)
    assert planes.shape == (1, 3, 2, 128) and planes.flags.c_contiguous and np.array_equal(planes[0, 1], values[:, :, 1])
