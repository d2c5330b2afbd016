"""The ablation: folds that never part a group, runs that go on, and a table of what was measured."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair
from studies.ablation import STUDY, AblationConfig, measure, part_by_group

pytestmark = pytest.mark.slow


def pair(number: int, source: str, group: str) -> Pair:
    return Pair(f"{source}{number}", Path(f"{number}.png"), None, source, "", group)


def test_groups_stay_together_and_sources_are_spread() -> None:
    pairs = [pair(number, "a", f"street{number % 7}") for number in range(42)]
    pairs += [pair(number, "b", f"b{number}") for number in range(9)]
    parts = part_by_group(pairs, 3, 0)
    assert sorted(each.id for part in parts for each in part) == sorted(each.id for each in pairs)
    for source in ("a", "b"):
        homes: dict[str, set[int]] = {}
        for fold, part in enumerate(parts):
            for each in part:
                if each.source == source:
                    homes.setdefault(each.group, set()).add(fold)
        assert all(len(home) == 1 for home in homes.values())
    assert [Counter(each.source for each in part)["b"] for part in parts] == [3, 3, 3]
    assert max(map(len, parts)) - min(map(len, parts)) <= 6
    assert part_by_group(pairs, 3, 0) == parts and part_by_group(pairs, 3, 1) != parts


@pytest.fixture(scope="module")
def data(split_scenes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_scenes(tmp_path_factory.mktemp("ablation"), train=6)


def test_it_runs_and_goes_on(data: Path, tmp_path: Path) -> None:
    settings = {"variants": ("none", "fog"), "folds": 2, "size": 32, "steps": 2, "batch": 2}
    config = AblationConfig(data=(data,), **settings, runs=tmp_path / "runs", out=tmp_path)
    STUDY.main(config)
    result = json.loads((tmp_path / "ablation.json").read_text())
    assert set(result["variants"]) == {"none", "fog"} and result["images"] == 6
    assert all(len(row["per_fold_iou"]) == 2 for row in result["variants"].values())
    assert (tmp_path / "ablation.md").read_text().count("\n| ") == 3
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/checkpoint.pt")}
    assert len(stamps) == 4
    shutil.rmtree(tmp_path / "runs" / "fog-1")
    ((_, again),) = measure(config)
    assert again["variants"] == result["variants"]
    assert sum(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()) == 3


def test_refusals(data: Path, tmp_path: Path) -> None:
    config = AblationConfig(data=(data,), runs=tmp_path / "runs", out=tmp_path)
    with pytest.raises(InputError, match="variants snow, expected some of other_sky"):
        list(measure(dataclasses.replace(config, variants=("snow",))))
    with pytest.raises(InputError, match="got --folds 1, expected 2 or more"):
        list(measure(dataclasses.replace(config, folds=1)))
    with pytest.raises(InputError, match="too few groups"):
        list(measure(dataclasses.replace(config, folds=7)))
    assert not (tmp_path / "runs").exists()
