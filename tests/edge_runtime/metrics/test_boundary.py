"""Metrics at the edges of masks against cases worked out by hand and against their definitions."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from metric_cases import evaluate, horizon, soft_pair

from edge_runtime.metrics.boundary import around_edges, band_counts, contour_counts
from edge_runtime.metrics.iou import pool


def test_boundary_iou_by_hand() -> None:
    """100 x 100, so d = round(0.02 * 141.4) = 3: bands are 3 pixels inside a mask, along edges and the border."""
    truth, called = horizon(100, 100, 50) > 0, horizon(100, 100, 51) > 0
    counts = band_counts(called, truth, np.ones((100, 100), dtype=bool))
    band_truth = 3 * 100 + 3 * 100 + 44 * 6  # rows 0-2, rows 47-49, and 3 pixels on either side of rows 3-46
    band_called = 3 * 100 + 3 * 100 + 45 * 6  # rows 0-2, rows 48-50, and 3 pixels on either side of rows 3-47
    overlap = 3 * 100 + 2 * 100 + 45 * 6  # rows 0-2, rows 48-49, and the sides of rows 3-47
    assert counts.overlap == overlap
    assert counts.union == band_truth + band_called - overlap


def test_boundary_iou_matches_the_definition_of_the_paper() -> None:
    """Cheng et al.: the mask, padded with zeros, minus its erosion, repeated d times with a 3 x 3 square."""

    def band(mask: np.ndarray, width: int) -> np.ndarray:
        padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
        eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
        return mask & (eroded == 0)

    for seed in range(3):
        p, sky = soft_pair(seed, (120, 160))
        truth, called = sky > 0, p >= 0.5
        width = round(0.02 * math.hypot(120, 160))
        first, second = band(called, width), band(truth, width)
        counts = band_counts(called, truth, np.ones(sky.shape, dtype=bool))
        assert (counts.overlap, counts.union) == (np.sum(first & second), np.sum(first | second))


def test_boundary_metrics_are_symmetric() -> None:
    p, sky = soft_pair(7)
    truth, called, valid = sky > 0, p >= 0.5, np.ones(sky.shape, dtype=bool)
    assert band_counts(called, truth, valid) == band_counts(truth, called, valid)
    there, back = contour_counts(called, truth, valid), contour_counts(truth, called, valid)
    assert (there.predicted, there.predicted_hit) == (back.true, back.true_hit)


def test_boundary_f_tolerates_a_shift_up_to_its_tolerance() -> None:
    """300 x 400: diagonal 500, tolerance 4 pixels."""
    for shift, expected in ((0, 1.0), (4, 1.0), (5, 0.0)):
        image = evaluate(horizon(300, 400, 100 + shift), horizon(300, 400, 100))
        assert image.edge_predicted == image.edge_true == 400
        assert pool([image]).boundary_f == expected


def test_boundary_f_with_one_contour_missing() -> None:
    assert pool([evaluate(np.zeros((30, 30)), horizon(30, 30, 10))]).boundary_f == 0.0
    right = evaluate(horizon(300, 400, 100), horizon(300, 400, 100))
    invented = evaluate(horizon(300, 400, 9), np.zeros((300, 400)))
    assert pool([right, invented]).boundary_f == 1.0  # images without a true contour are not in it
    sky = horizon(300, 400, 100)
    hole = sky.copy()
    hole[40:60, 100:200] = 0.0
    image = evaluate(hole, sky)
    invented_pixels = image.edge_predicted - 400
    assert invented_pixels == 2 * 100 + 2 * 20 - 1  # right and lower neighbors: one corner pixel has both
    precision = 400 / (400 + invented_pixels)
    assert pool([image]).boundary_f == pytest.approx(2 * precision / (1 + precision))


def test_void_makes_no_edges() -> None:
    sky = horizon(100, 100, 50)
    valid = np.ones((100, 100), dtype=bool)
    valid[45:55] = False  # the true edge is unknown
    image = evaluate(np.where(valid, sky, 0.3), sky, valid)
    assert image.edge_predicted == image.edge_true == 0
    assert pool([image]).boundary_f is None
    assert image.inner_tp == image.tp == 45 * 100
    assert image.boundary_iou == 1.0
    # The only band is at the image's border: d = 3 does not reach over ten rows of void.
    assert image.band_union == 3 * 100 + 42 * 6


def test_thin_void_is_bridged() -> None:
    """300 x 400: tolerance 4. A line of void along the edge hides neither contour; what is predicted in it is not seen."""
    sky = horizon(300, 400, 100)
    for width, scored in ((1, 400), (4, 400), (5, 0)):
        valid = np.ones((300, 400), dtype=bool)
        valid[100 : 100 + width] = False
        noise = np.random.default_rng(0).random((300, 400))
        image = evaluate(np.where(valid, sky, noise), np.where(valid, sky, 128 / 255), valid)
        assert (image.edge_predicted, image.edge_predicted_hit) == (scored, scored)
        assert (image.edge_true, image.edge_true_hit) == (scored, scored)


def test_sky_that_void_parts_from_everything_has_no_band() -> None:
    valid = np.zeros((21, 21), dtype=bool)
    valid[10, 10] = True
    image = evaluate(np.ones((21, 21)), np.ones((21, 21)), valid)
    assert (image.iou, image.band_union, image.boundary_iou) == (1.0, 0, None)
    assert pool([image]).boundary_iou_per_image is None


def test_inner_iou_leaves_out_two_pixels_on_both_sides() -> None:
    truth = horizon(20, 10, 10) > 0
    edges = around_edges(truth, np.ones(truth.shape, dtype=bool))
    assert np.flatnonzero(edges.any(axis=1)).tolist() == [8, 9, 10, 11]
    assert pool([evaluate(horizon(20, 10, 12), horizon(20, 10, 10))]).iou_excluding_edges == 1.0
    assert pool([evaluate(horizon(20, 10, 13), horizon(20, 10, 10))]).iou_excluding_edges == pytest.approx(80 / 90)
