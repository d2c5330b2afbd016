"""The study of decoding at reduced size, run on scenes."""

from __future__ import annotations

import json
from pathlib import Path

from studies.fast_decode import STUDY, FastDecodeConfig


def test_both_ways_find_the_sky(scene_dir: Path, tmp_path: Path) -> None:
    STUDY.main(FastDecodeConfig(data=scene_dir, models=("unet_lite_s/onnx-fp32",), limit=3, scenes=1, out=tmp_path))
    result = json.loads((tmp_path / "unet_lite_s-192-fp32-onnx.json").read_text())
    assert [row["images"] for row in result["rows"]] == [3, 1]
    for row in result["rows"]:
        assert row["equal_pixels"] > 0.98 and abs(row["iou_fast"] - row["iou_full"]) < 0.02 < row["iou_full"]
        assert row["equal_pixels"] < 1  # the reduced image is another one
