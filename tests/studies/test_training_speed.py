"""The speed of training: real steps, a table, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies.training_speed import STUDY, TrainingSpeedConfig, measure

pytestmark = pytest.mark.slow


def test_it_measures(tmp_path: Path) -> None:
    settings = {"networks": ("unet_lite_s",), "variants": ("fp32", "bf16"), "batch": 1, "rounds": 2}
    STUDY.main(TrainingSpeedConfig(**settings, out=tmp_path))
    result = json.loads((tmp_path / "unet_lite_s.json").read_text())
    assert [row["variant"] for row in result["rows"]] == ["fp32", "bf16"]
    assert all(len(row["step_s"]) == 2 and row["images_per_s"] > 0 for row in result["rows"])
    assert "| fp32 |" in (tmp_path / "unet_lite_s.md").read_text()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TrainingSpeedConfig(networks=("resnet",)), "got --networks resnet, expected some of unet_lite"),
        (TrainingSpeedConfig(variants=("int4",)), "got --variants int4, expected some of fp32"),
        (TrainingSpeedConfig(rounds=0), "got --rounds 0, expected 1 or more"),
    ],
)
def test_refusals(config: TrainingSpeedConfig, message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(measure(config))
