"""The proof of correction: where clicks go, and what the figures say."""

from __future__ import annotations

import numpy as np

from studies.clicks import CLICKS, STUDY, Example, click_through, iou, next_click, summarize


def example() -> Example:
    """Return a blue sky above a green field, and a mask that lacks the left half of the sky and one pixel of the right."""
    sky = np.zeros((60, 80), np.float32)
    sky[:30] = 1
    image = np.where(sky[..., None] > 0, (120, 160, 220), (60, 110, 50)).astype(np.uint8)
    mask = sky.copy()
    mask[:, :40] = mask[3, 70] = 0
    return Example(image, sky, np.ones(sky.shape, bool), mask)


def test_a_click_goes_to_the_middle_of_the_largest_error() -> None:
    case = example()
    assert next_click(case.mask, case) in {(y, x) for y in (14, 15) for x in range(14, 26)}
    assert next_click(case.sky, case) is None
    assert next_click(case.mask, Example(case.image, case.sky, np.zeros(case.sky.shape, bool), case.mask)) is None


def test_clicks_mend_the_mask_and_the_figures_say_so() -> None:
    curve, times = click_through(example())
    assert len(curve) == max(CLICKS) + 1 and curve[0] == iou(example().mask, example()) < 0.51
    assert curve[1] > 0.95 and len(times) <= max(CLICKS)
    figures = summarize(iter([example()]))
    assert figures["better"] == {"1": 1, "3": 1, "5": 1} and figures["worse"]["5"] == 0
    text = STUDY.markdown({"model": {"name": "a"}, "sets": {"b": figures}})
    assert f"| b | 1 | {curve[0]:.3f} |" in text
