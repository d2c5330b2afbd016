"""The study of long runs, short: all four programs run to the end and are sampled. Its slope says nothing yet."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.errors import GateError
from studies.soak import STUDY, SoakConfig, judge

pytestmark = pytest.mark.slow


@pytest.mark.full
def test_all_programs_are_watched(tmp_path: Path) -> None:
    try:
        STUDY.main(SoakConfig(minutes=1, sample_seconds=1, out=tmp_path))
    except GateError as error:
        assert "grow" in str(error)  # within a minute memory may
    subjects = json.loads((tmp_path / "soak.json").read_text())["subjects"]
    assert len(subjects) == 4
    for name, found in subjects.items():
        assert found["descriptors"] > 0 and found["mb_end"] > 10, name
        assert found["images"] > 40, name


@pytest.mark.parametrize(
    ("mb_per_hour", "more", "alive", "steady"), [(0.5, 0, 1, True), (2, 0, 1, False), (0, 1, 1, False), (0, 0, 0, False)]
)
def test_the_verdict(mb_per_hour: float, more: int, alive: int, steady: bool) -> None:
    rows = [{"s": 60.0 * n, "mb": 100 + mb_per_hour * n / 60, "fds": 9.0 + more * (n > 30), "threads": 4.0} for n in range(61)]
    found = judge([*rows, {"alive": float(alive)}], 0)
    assert found["steady"] is steady and found["mb_per_hour"] == pytest.approx(mb_per_hour, abs=1e-6)
