"""The table against published figures holds our own metrics, and says of every row whether it compares."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies.published import PUBLISHED, STUDY, PublishedConfig, measure

pytestmark = pytest.mark.slow


def test_committed_table_is_that_of_the_released_metrics(project_root: Path) -> None:
    text = (project_root / PublishedConfig().out / "published.md").read_text(encoding="utf-8")
    models = tuple(project_root / folder for folder in PublishedConfig().models)
    ((_, figures),) = measure(PublishedConfig(models=models))
    assert text == STUDY.markdown(figures), "python studies/published.py writes it anew"
    metrics = json.loads((project_root / "models" / "unet_lite" / "metrics.json").read_text())
    assert f"IoU {metrics['sources']['ade20k_sub']['iou']['value']:.3f}" in text


def test_every_row_says_whether_and_why() -> None:
    assert {row.comparable for row in PUBLISHED} <= {"yes", "partly", "no"}
    assert all(row.why for row in PUBLISHED)
    assert all((row.source is None) == (row.comparable == "no") == (not row.metrics) for row in PUBLISHED)


def test_metrics_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train/evaluate.py"):
        list(measure(PublishedConfig(models=(tmp_path,))))
