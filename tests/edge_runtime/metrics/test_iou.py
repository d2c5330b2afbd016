"""Metrics against cases worked out by hand and against direct computations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from metric_cases import evaluate, horizon, soft_pair
from PIL import Image

from edge_runtime.artifact.golden import agreement
from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs
from edge_runtime.metrics.histograms import BETA_SQUARED, BINS, bin_of
from edge_runtime.metrics.iou import (
    METRIC_NAMES,
    bootstrap,
    evaluate_pairs,
    group_by_source,
    pool,
)


def exact_auroc(probability: np.ndarray, truth: np.ndarray) -> float:
    """Mann-Whitney: ranks with ties averaged."""
    values, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse.ravel()]
    positive = truth.ravel() > 0
    n, m = int(positive.sum()), int((~positive).sum())
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * m)


def test_hand_computed_counts() -> None:
    sky = np.array([[1, 1, 1, 0], [1, 0, 0, 0]])
    p = np.array([[0.9, 0.5, 0.2, 0.8], [0.6, 0.1, 0.0, 0.49]])
    image = evaluate(p, sky)
    assert (image.tp, image.fp, image.fn, image.tn) == (3, 1, 1, 3)
    assert image.iou == pytest.approx(3 / 5)
    assert image.absolute_error == pytest.approx(0.1 + 0.5 + 0.8 + 0.8 + 0.4 + 0.1 + 0.0 + 0.49, abs=1e-6)
    assert image.sky_called == pytest.approx(4 / 8)
    pooled = pool([image])
    assert pooled.accuracy == pytest.approx(6 / 8)
    assert pooled.mcr == pytest.approx(2 / 8)
    assert pooled.precision == pytest.approx(3 / 4)
    assert pooled.recall == pytest.approx(3 / 4)
    assert pooled.f1 == pytest.approx(3 / 4)
    # 16 (sky, other) pairs: 0.9 beats 4, 0.6 and 0.5 beat 3 each, 0.2 beats 2.
    assert pooled.auroc == pytest.approx(12 / 16)
    # (TP, FP) as the threshold falls past 0.9, 0.8, 0.6, 0.5, 0.49 and 0.2.
    steps = ((1, 0), (1, 1), (2, 1), (3, 1), (3, 2), (4, 2))
    candidates = [1.3 * tp / (1.3 * tp + 0.3 * (4 - tp) + fp) for tp, fp in steps]
    assert pooled.fbeta_max == pytest.approx(max(candidates))
    assert (pooled.count, pooled.count_sky, pooled.nosky_fpr) == (1, 1, None)


def test_truth_between_classes_counts_in_mae_by_its_share() -> None:
    image = evaluate(np.full((1, 2), 0.25), np.array([[0.4, 0.6]]))
    assert image.absolute_error == pytest.approx(0.15 + 0.35)
    assert (image.tp, image.fn, image.tn) == (0, 1, 1)


def test_void_pixels_change_nothing() -> None:
    p, sky = soft_pair(1)
    valid = np.ones(sky.shape, dtype=bool)
    valid[:, 50:] = False
    changed, relabeled = p.copy(), sky.copy()
    changed[:, 50:] = np.random.default_rng(2).random((60, 30), dtype=np.float32)
    relabeled[:, 50:] = 128 / 255
    first, second = evaluate(p, sky, valid), evaluate(changed, relabeled, valid)
    for name, value in vars(first).items():
        assert np.array_equal(value, getattr(second, name)), name
    assert first.pixels == 60 * 50
    assert first.sky_bins.sum() == first.tp + first.fn
    assert first.other_bins.sum() == first.fp + first.tn


def test_pooled_and_per_image_iou_differ_as_defined() -> None:
    large = evaluate(horizon(40, 40, 20), horizon(40, 40, 20))
    half = evaluate(horizon(10, 10, 2), horizon(10, 10, 4))
    empty = evaluate(np.zeros((10, 10)), np.zeros((10, 10)))
    pooled = pool([large, half, empty])
    assert pooled.iou == pytest.approx((800 + 20) / (800 + 40))
    assert pooled.iou_per_image == pytest.approx((1.0 + 0.5) / 2)  # the image without sky is not in the mean
    assert (pooled.count, pooled.count_sky) == (3, 2)
    assert pooled.nosky_fpr == 0.0


def test_sky_called_where_there_is_none() -> None:
    false_alarm = evaluate(horizon(10, 10, 3), np.zeros((10, 10)))
    quiet = evaluate(np.zeros((10, 20)), np.zeros((10, 20)))
    assert false_alarm.iou is None
    pooled = pool([false_alarm, quiet])
    assert pooled.nosky_fpr == pytest.approx(30 / 300)
    for name in set(METRIC_NAMES) - {"mae", "accuracy", "mcr", "nosky_fpr"}:
        assert getattr(pooled, name) is None, name
    with_sky = pool([false_alarm, evaluate(horizon(10, 10, 5), horizon(10, 10, 5))])
    assert with_sky.iou == pytest.approx(50 / 80)  # among images with sky the false alarm counts in the union


def test_nothing_called_and_nothing_there_is_undefined_not_perfect() -> None:
    pooled = pool([evaluate(np.zeros((4, 4)), np.zeros((4, 4)))])
    assert (pooled.iou, pooled.f1, pooled.precision, pooled.boundary_iou, pooled.boundary_f) == (None,) * 5
    assert (pooled.accuracy, pooled.mae, pooled.nosky_fpr) == (1.0, 0.0, 0.0)


def test_all_sky() -> None:
    pooled = pool([evaluate(np.ones((20, 30)), np.ones((20, 30)))])
    assert (pooled.iou, pooled.boundary_iou, pooled.recall, pooled.iou_excluding_edges) == (1.0, 1.0, 1.0, 1.0)
    assert (pooled.auroc, pooled.nosky_fpr, pooled.boundary_f) == (None, None, None)


def test_all_void_and_empty_set() -> None:
    void = evaluate(np.ones((5, 5)), np.ones((5, 5)), np.zeros((5, 5), dtype=bool))
    assert (void.pixels, void.iou, void.mae, void.sky_called) == (0, None, None, None)
    for images in ([void], [void, void], []):
        pooled = pool(images)
        assert all(getattr(pooled, name) is None for name in METRIC_NAMES)
        assert all(interval is None for interval in bootstrap(images).values())


@pytest.mark.parametrize("called", [0.0, 1.0])
@pytest.mark.parametrize("sky", [0.0, 1.0])
def test_one_pixel(called: float, sky: float) -> None:
    image = evaluate(np.full((1, 1), called), np.full((1, 1), sky))
    assert image.pixels == 1
    assert image.iou == (None if sky == 0 else called)
    assert image.boundary_iou == (None if sky == 0 else called)


@pytest.mark.parametrize(
    ("probability", "sky"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.full((2, 2), 1.01), np.zeros((2, 2))),
        (np.full((2, 2), -0.1), np.zeros((2, 2))),
        (np.full((2, 2), np.nan), np.zeros((2, 2))),
        (np.zeros((2, 2, 1)), np.zeros((2, 2, 1))),
        (np.zeros((0, 2)), np.zeros((0, 2))),
    ],
)
def test_bad_prediction_is_refused(probability: np.ndarray, sky: np.ndarray) -> None:
    with pytest.raises(InputError, match="expected"):
        evaluate(probability, sky)


def test_auroc_against_ranks() -> None:
    for seed in range(3):
        p, sky = soft_pair(seed)
        assert pool([evaluate(p, sky)]).auroc == pytest.approx(exact_auroc(p, sky), abs=1e-4)


def test_auroc_of_saturated_probabilities() -> None:
    """Nearly all pixels below 1/256 or above 255/256: equal bins would be off by far more."""
    rng = np.random.default_rng(5)
    sky = (rng.random((100, 100)) < 0.5).astype(np.float32)
    logits = np.where(sky > 0, 8.0, -8.0) + rng.standard_normal((100, 100)) * 4.0
    p = (1.0 / (1.0 + np.exp(-logits))).astype(np.float32)
    assert pool([evaluate(p, sky)]).auroc == pytest.approx(exact_auroc(p, sky), abs=1e-4)


def test_auroc_of_ties_and_of_eight_bit_output() -> None:
    sky = horizon(10, 10, 5)
    assert pool([evaluate(np.full((10, 10), 0.7), sky)]).auroc == pytest.approx(0.5)
    p, truth = soft_pair(9)
    p = np.round(p * 255).astype(np.float32) / 256
    assert pool([evaluate(p, truth)]).auroc == pytest.approx(exact_auroc(p, truth), abs=1e-4)


def test_bins_rise_with_probability_and_start_at_every_threshold() -> None:
    p = np.unique(np.random.default_rng(0).random(20000, dtype=np.float32))
    p = np.concatenate([[np.float32(0)], p, [np.float32(1)]])
    assert (np.diff(bin_of(p)) >= 0).all()
    assert bin_of(np.array([0.0, 1.0], np.float32)).tolist() == [0, BINS - 1]
    for threshold in (np.arange(1, 256) / 256).astype(np.float32):
        below = np.nextafter(threshold, np.float32(0))
        assert bin_of(below[None]) < bin_of(threshold[None])


def test_fbeta_against_every_threshold() -> None:
    p, sky = soft_pair(4)
    truth, best = sky > 0, 0.0
    for k in range(256):
        called = p >= k / 256
        tp = np.count_nonzero(called & truth)
        if tp:
            precision, recall = tp / np.count_nonzero(called), tp / np.count_nonzero(truth)
            best = max(best, (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall))
    assert pool([evaluate(p, sky)]).fbeta_max == pytest.approx(best, abs=1e-12)


def test_agreement() -> None:
    one, two = horizon(10, 10, 4), horizon(10, 10, 5)
    assert agreement(one, one) == 1.0
    assert agreement(one, two) == agreement(two, one) == pytest.approx(0.8)
    assert agreement(one * 0.4, two * 0.4) == 1.0  # both empty
    assert agreement(one, two * 0.4) == 0.0
    with pytest.raises(InputError, match="equal shapes"):
        agreement(one, np.zeros((5, 5)))


def test_pooling_is_over_pixels_not_an_average() -> None:
    images = [evaluate(*soft_pair(seed, (40 + 5 * seed, 50))) for seed in range(4)]
    stacked = [np.concatenate([soft_pair(seed, (40 + 5 * seed, 50))[part] for seed in range(4)]) for part in (0, 1)]
    whole, pooled = pool([evaluate(*stacked)]), pool(images)
    for name in ("iou", "mae", "accuracy", "precision", "recall", "f1", "fbeta_max", "auroc"):
        assert getattr(pooled, name) == pytest.approx(getattr(whole, name), rel=1e-9), name


def test_bootstrap_matches_resampling_by_hand_and_is_seeded() -> None:
    images = [evaluate(*soft_pair(seed, (30, 40))) for seed in range(12)]
    images.append(evaluate(np.zeros((9, 9)), np.zeros((9, 9))))
    intervals = bootstrap(images, resamples=200, seed=3)
    assert intervals == bootstrap(images, resamples=200, seed=3)
    rng = np.random.default_rng(3)
    rows: list[list[float]] = []
    for _ in range(2):
        for draw in rng.multinomial(13, np.full(13, 1 / 13), size=100):
            pooled = pool([image for image, times in zip(images, draw, strict=True) for _ in range(times)])
            rows.append([np.nan if getattr(pooled, name) is None else getattr(pooled, name) for name in METRIC_NAMES])
    for name, column in zip(METRIC_NAMES, np.array(rows).T, strict=True):
        low, high = np.nanpercentile(column, (2.5, 97.5))
        interval = intervals[name]
        assert interval is not None
        assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high)), name
        assert interval.low <= getattr(pool(images), name) <= interval.high


def test_one_image_has_no_interval() -> None:
    assert bootstrap([evaluate(*soft_pair(0))])["iou"] is None


def test_evaluate_pairs_and_sources(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    (tmp_path / "manifest.csv").write_text("id,source,scene\na,one,sea\nb,two,\n")
    mask = (horizon(12, 16, 6) * 255).astype(np.uint8)
    mask[6, :] = 128
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((12, 16, 3), 90, np.uint8)).save(tmp_path / "images" / f"{name}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{name}.png")
    pairs, ticks = find_pairs(tmp_path), []
    images = evaluate_pairs(lambda image: horizon(*image.shape[:2], 6), pairs, progress=lambda: ticks.append(1))
    assert [image.iou for image in images] == [1.0] * 3
    assert images[0].pixels == 11 * 16
    assert len(ticks) == 3
    groups = group_by_source(pairs, images)
    assert {name: len(group) for name, group in groups.items()} == {"one": 1, tmp_path.name: 1, "two": 1}
    with pytest.raises(InputError, match="size"):
        evaluate_pairs(lambda image: np.zeros((3, 3), np.float32), pairs)
