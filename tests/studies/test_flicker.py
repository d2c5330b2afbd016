"""The proof of stabilization: its figures on made-up masks, and one small run of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scenes.moving import Frame
from studies.flicker import COLUMNS, KINDS, METHODS, Lag, Sums

pytestmark = pytest.mark.slow
SHAPE = (20, 30)


def frame(alpha: np.ndarray, step: float | None) -> Frame:
    """Return a frame whose pixels were `step` columns to the right in the one before; None is the first."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(np.float32)
    back = np.stack([x + (step or 0), y], -1)
    back[(back[..., 0] > SHAPE[1] - 1) | (step is None)] = np.nan
    return Frame(np.zeros((*SHAPE, 3), np.uint8), alpha, back, 0)


def test_an_error_that_moves_with_the_image_is_no_flicker_along_the_motion() -> None:
    error = np.random.default_rng(0).normal(0, 0.1, (20, 60)).astype(np.float32)
    sums, truth = Sums(), np.zeros(SHAPE, np.float32)
    for t in range(4):
        mask = error[:, 2 * t : 2 * t + 30]
        sums.add(mask, truth, mask, frame(truth, None if t == 0 else -2.0))
    # The image moves left: what is at x now was at x + 2, so back must point there, not to x - 2.
    wrong = sums.figures()
    assert wrong["dtssd"] == pytest.approx(100 * 0.1 * np.sqrt(2), rel=0.1) and wrong["along"] > 10
    sums = Sums()
    for t in range(4):
        mask = error[:, 2 * t : 2 * t + 30]
        sums.add(mask, truth, mask, frame(truth, None if t == 0 else 2.0))
    assert sums.figures()["along"] == pytest.approx(0, abs=1e-4)
    assert sums.figures()["dtssd"] == sums.figures()["dtssd_network"] == wrong["dtssd"]


def test_flicker_at_rest_is_the_same_in_both() -> None:
    rng, sums, truth = np.random.default_rng(1), Sums(), np.ones(SHAPE, np.float32)
    for t in range(5):
        mask = 1 - np.abs(rng.normal(0, 0.05, SHAPE)).astype(np.float32)
        sums.add(mask, truth, mask, frame(truth, None if t == 0 else 0.0))
    found = sums.figures()
    assert found["dtssd"] == found["along"] > 1 and found["iou"] == 1


@pytest.mark.parametrize("late", [0, 1, 2])
def test_the_lag_is_counted(late: int) -> None:
    truth = np.zeros((16, *SHAPE), bool)
    for t in range(16):
        truth[t, :, : t + 5] = True
    steady = np.stack([truth[max(0, t - late)] for t in range(16)])
    lag = Lag()
    lag.add(truth, truth, steady)
    found = lag.figures()
    assert found["changes"] == 20 * 12 and found["mean_delay"] == late
    assert found["share_later_than_1"] == (1 if late > 1 else 0)
    assert found["best_fit_raw"] == 0 and found["best_fit_stabilized"] == late


def test_no_change_has_no_lag() -> None:
    still = np.ones((6, *SHAPE), bool)
    lag = Lag()
    lag.add(still, still, still)
    found = lag.figures()
    assert found["changes"] == 0 and found["mean_delay"] is None and found["best_fit_raw"] is None


def test_the_command(project_root: Path, tmp_path: Path) -> None:
    words = ["studies/flicker.py", "--shots", "1", "--frames", "6", "--size", "72", "128", "--out", str(tmp_path)]
    words += ["--models", "models/unet_lite_s/onnx-int8"]
    done = subprocess.run([sys.executable, *words], cwd=project_root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    name = "unet_lite_s-192-int8-onnx"
    report = json.loads((tmp_path / f"{name}.json").read_text())
    assert set(report["kinds"]) == set(KINDS) and report["model"]["name"] == name
    for found in report["kinds"].values():
        assert all(set(found[method]) == set(COLUMNS) for method in METHODS)
        assert found["exact"]["dtssd_network"] == 0
    still = report["kinds"]["tripod"]
    assert still["stabilized"]["dtssd"] < 0.5 * still["raw"]["dtssd"] and still["exact"]["dtssd"] == 0
    page = (tmp_path / f"{name}.md").read_text()
    assert all(f"| {kind} |" in page for kind in KINDS) and name in done.stdout
    done = subprocess.run([sys.executable, *words, "--frames", "2"], cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 2 and "got --frames 2, expected 5 or more" in done.stderr
