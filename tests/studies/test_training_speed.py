"""The speed of training: real steps, a table, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies.training_speed import Config, main, measure


def test_it_measures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "speed.json"
    main(Config(("unet_lite_s",), ("fp32", "bf16"), batch=1, rounds=2, out=out))
    result = json.loads(out.read_text())
    assert [row["variant"] for row in result["rows"]] == ["fp32", "bf16"]
    assert all(len(row["step_s"]) == 2 and row["images_per_s"] > 0 for row in result["rows"])
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 4 and table[2].endswith("| 1.00 |")


def test_refusals() -> None:
    for config in (Config(("resnet",)), Config(variants=("int4",)), Config(rounds=0)):
        with pytest.raises(InputError, match="expected networks unet_lite"):
            measure(config)
