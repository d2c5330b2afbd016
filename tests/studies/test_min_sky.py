"""The measured error of "no sky here": rates and the recommended share from known figures, and the whole command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.segmenter import load_models
from studies.min_sky import SHARES, STUDY, Judged, MinSkyConfig, rates, recommend, room_seeds

pytestmark = pytest.mark.slow
EMPTY = [Judged(0.0, found) for found in (0.0, 0.0, 0.004, 0.3)]
SKY = [Judged(true, found) for true, found in ((0.01, 0.0), (0.02, 0.018), (0.4, 0.41), (0.5, 0.012))]
ROOMS = [Judged(0.0, found) for found in (0.0, 0.06)]


def test_rates() -> None:
    assert rates([*EMPTY, *SKY], ROOMS, 0.015) == {
        "min_sky": 0.015,
        "false_alarms_real": 0.25,
        "false_alarms_rooms": 0.5,
        "misses": 0.5,
        "misses_little_sky": 0.5,
        "misses_more_sky": 0.5,
    }
    never = rates([*EMPTY, *SKY], ROOMS, 0.0)  # always says sky
    assert (never["false_alarms_real"], never["false_alarms_rooms"], never["misses"]) == (1.0, 1.0, 0.0)
    assert rates(SKY, [], 0.1)["false_alarms_rooms"] is None


def test_the_share_with_fewest_errors_is_recommended() -> None:
    rows = [rates([*EMPTY, *SKY], ROOMS, share) for share in SHARES]
    errors = {row["min_sky"]: row["misses"] + row["false_alarms_real"] for row in rows}
    assert errors[0.005] == 0.5 and errors[0.001] == 0.75 and errors[0.015] == 0.75
    assert recommend(rows) == 0.01  # as good as 0.005, and the larger
    for one_sort in (EMPTY, SKY):
        with pytest.raises(InputError, match="got no image with sky, or none without"):
            recommend([rates(one_sort, ROOMS, share) for share in SHARES])


def test_rooms_of_val_and_test_differ() -> None:
    config = MinSkyConfig(data=Path("."), rooms=12, seed=50)
    val, test = room_seeds(config, "val"), room_seeds(config, "test")
    assert (len(val), len(test)) == (3, 12) and not set(val) & set(test)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On drawn images the color method makes no mistake, so every figure is known."""
    blue, brown = (110, 160, 230), (96, 78, 54)
    for split in ("val", "test"):
        for name in ("images", "masks"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
        for stem, rows in (("sky", 60), ("empty", 0)):
            image, mask = np.full((120, 160, 3), brown, np.uint8), np.zeros((120, 160), np.uint8)
            image[:rows], mask[:rows] = blue, 255
            Image.fromarray(image).save(tmp_path / "data" / split / "images" / f"{stem}.png")
            Image.fromarray(mask).save(tmp_path / "data" / split / "masks" / f"{stem}.png")
    out = tmp_path / "min_sky.json"
    models = ("classical:color", "classical:contour+classical:color")
    STUDY.main(MinSkyConfig(data=tmp_path / "data", models=models, out=tmp_path, rooms=2))
    results = json.loads(out.read_text())
    first = results["models"][0]
    assert first["recommended_min_sky"] == max(SHARES)  # no mistake anywhere: the sky fills half of its image
    assert first["images"]["test"] == {"empty": 1, "rooms": 2, "sky": 1, "little_sky": 0}
    row = next(row for row in first["test"] if row["min_sky"] == 0.1)
    assert (row["false_alarms_real"], row["misses"], row["misses_little_sky"]) == (0.0, 0.0, None)
    assert len(results["models"][1]["model_sha256"]) == 2
    assert str(tmp_path) not in out.read_text()
    assert out.with_suffix(".md").read_text() == STUDY.markdown(results)
    assert capsys.readouterr().out.endswith(f"{out.with_suffix('.md')}\n")


def test_bad_flags(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got --rooms 0"):
        STUDY.main(MinSkyConfig(data=tmp_path, rooms=0))
    with pytest.raises(InputError, match="expected an artifact folder"):
        STUDY.main(MinSkyConfig(data=tmp_path, models=("absent",)))
    assert load_models(["classical:color"]).threshold == 0.5
