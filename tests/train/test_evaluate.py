"""`train/evaluate.py` on scenes: what it writes, that it repeats itself, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs
from edge_runtime.metrics.iou import METRIC_NAMES, ImageMetrics, evaluate_image
from train.evaluate import EvaluateConfig, evaluate
from train.evaluation.model import open_model
from train.evaluation.plots import worst_first, worst_sheet

pytestmark = pytest.mark.slow
FILES = {"metrics.json", "per_image.csv", "reliability.png", "worst.png"}


def run_cli(project_root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(project_root / "train" / "evaluate.py"), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def read_report(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def evaluated(
    project_root: Path, tiny_checkpoint: Path, scene_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Results of the command on a checkpoint, and what it printed."""
    out = tmp_path_factory.mktemp("evaluation") / "deep" / "out"
    done = run_cli(project_root, tiny_checkpoint, "--data", scene_dir, "--out", out)
    assert done.returncode == 0, done.stderr
    return out, done


def test_command_writes_everything_and_nothing_else(evaluated: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    out, done = evaluated
    assert {path.name for path in out.iterdir()} == FILES
    assert [path.name for path in out.parent.iterdir()] == ["out"]  # no temporary folder is left
    assert done.stdout.strip().splitlines()[-1] == str(out)
    for word in ("source", "images", "boundary IoU", "all"):
        assert word in done.stdout
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(out / name) as image:
                assert image.width > 300 and image.height > 150
                assert np.asarray(image.convert("L")).std() > 5  # something is drawn


def test_metrics_json(evaluated: tuple[Path, subprocess.CompletedProcess[str]], tiny_checkpoint: Path, scene_dir: Path) -> None:
    report = read_report(evaluated[0])
    assert set(report) == {"model", "data", "method", "pooled", "sources", "tags", "per_image", "calibration"}
    assert report["model"]["arch"] == "unet_lite_s" and len(report["model"]["sha256"]) == 64
    assert report["data"] == {"folders": [scene_dir.name], "split": "test", "count": 12}
    assert str(scene_dir.parent) not in json.dumps(report), "a place of this machine is in the results"
    assert sum(values["count"] for values in report["sources"].values()) == report["pooled"]["count"] == 12
    assert 0 < report["tags"]["street"]["count"] + report["tags"]["nature"]["count"] < 12
    assert 0.0 <= report["calibration"]["ece"] < 0.2 and len(report["calibration"]["sky"]) == 16
    assert sum(report["calibration"]["pixels"]) == 12 * 240 * 320
    for values in (report["pooled"], *report["sources"].values()):
        assert set(values) == {"count", "count_sky", *METRIC_NAMES}
        for name in METRIC_NAMES:
            metric = values[name]
            assert set(metric) == {"value", "low", "high"}
            if metric["value"] is None:
                assert metric["low"] is metric["high"] is None
            elif metric["low"] is not None:
                assert 0.0 <= metric["low"] <= metric["high"] <= 1.0
    assert report["pooled"]["iou"]["low"] < report["pooled"]["iou"]["value"] < report["pooled"]["iou"]["high"]


def test_per_image_rows_add_up(evaluated: tuple[Path, subprocess.CompletedProcess[str]], scene_dir: Path) -> None:
    with (evaluated[0] / "per_image.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [pair.id for pair in find_pairs(scene_dir, "test")]
    tp, fp, fn = (sum(int(row[name]) for row in rows) for name in ("tp", "fp", "fn"))
    pooled = read_report(evaluated[0])["pooled"]
    assert pooled["iou"]["value"] == pytest.approx(tp / (tp + fp + fn), abs=1e-6)
    ious = [float(row["iou"]) for row in rows if row["iou"]]
    figures = read_report(evaluated[0])["per_image"]
    assert figures["sky"]["iou"] == {"mean": pytest.approx(np.mean(ious), abs=1e-5), "std": pytest.approx(np.std(ious), abs=1e-5)}
    accuracies = [(int(row["tp"]) + int(row["tn"])) / int(row["pixels"]) for row in rows]
    assert figures["accuracy"]["mean"] == pytest.approx(np.mean(accuracies), abs=1e-5)
    counts = [{name: int(row[name]) for name in ("tp", "fp", "fn", "tn")} for row in rows]
    others = [each["tn"] / (each["tn"] + each["fn"]) for each in counts if each["tn"] + each["fp"] and each["tn"] + each["fn"]]
    assert figures["other"]["precision"]["mean"] == pytest.approx(np.mean(others), abs=1e-5)
    assert pooled["count_sky"] == len(ious)
    assert pooled["iou_per_image"]["value"] == pytest.approx(np.mean(ious), abs=1e-5)


def test_again_gives_the_same_files(
    evaluated: tuple[Path, subprocess.CompletedProcess[str]], tiny_checkpoint: Path, scene_dir: Path, tmp_path: Path
) -> None:
    out = evaluate(EvaluateConfig(tiny_checkpoint, (scene_dir,), out=tmp_path / "again"))
    for name in FILES:
        assert (out / name).read_bytes() == (evaluated[0] / name).read_bytes(), name


def test_folder_without_splits_and_several_folders(
    evaluated: tuple[Path, subprocess.CompletedProcess[str]], tiny_checkpoint: Path, scene_dir: Path, tmp_path: Path
) -> None:
    flat = tmp_path / "flat"
    shutil.copytree(scene_dir / "test", flat)
    out = evaluate(EvaluateConfig(tiny_checkpoint, (flat, scene_dir / "test"), split="none", out=tmp_path / "out"))
    report, whole = read_report(out), read_report(evaluated[0])
    assert report["data"] == {"folders": ["flat", "test"], "split": None, "count": 24}
    assert set(report["sources"]) == {"flat", "test"}  # without a manifest a source is named after its folder
    assert report["sources"]["flat"]["iou"] == whole["pooled"]["iou"]
    assert report["pooled"]["iou"]["value"] == whole["pooled"]["iou"]["value"]


def test_sources_in_brackets_are_no_markup(
    tiny_checkpoint: Path, scene_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(scene_dir / "test", tmp_path / "data" / "test")
    first, second, *_ = (path.stem for path in sorted((tmp_path / "data" / "test" / "images").iterdir()))
    (tmp_path / "data" / "manifest.csv").write_text(f"id,source,split\n{first},[/x],test\n{second},[red],test\n")
    evaluate(EvaluateConfig(tiny_checkpoint, (tmp_path / "data",), out=tmp_path / "out", worst=1))
    said = capsys.readouterr().out
    assert "[/x]" in said and "[red]" in said


def test_artifact_measures_like_its_checkpoint(
    project_root: Path,
    evaluated: tuple[Path, subprocess.CompletedProcess[str]],
    artifacts: dict[str, Path],
    scene_dir: Path,
    tmp_path: Path,
) -> None:
    done = run_cli(project_root, artifacts["onnx-fp32"], "--data", scene_dir, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    report, expected = read_report(tmp_path / "out"), read_report(evaluated[0])
    assert (report["model"]["format"], report["model"]["precision"]) == ("onnx", "fp32")
    for name in METRIC_NAMES:
        assert report["pooled"][name]["value"] == pytest.approx(expected["pooled"][name]["value"], abs=2e-3), name


def test_other_files_of_the_out_folder_stay(tiny_checkpoint: Path, scene_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "metrics.json").write_text("old")
    with pytest.raises(InputError, match="metrics.json, which exists already, and not as this command writes it"):
        evaluate(EvaluateConfig(tiny_checkpoint, (scene_dir,), out=tmp_path))
    for overwrite in (True, False):  # then it is ours
        evaluate(EvaluateConfig(tiny_checkpoint, (scene_dir,), out=tmp_path, overwrite=overwrite, worst=1))
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert read_report(tmp_path)["pooled"]["count"] == 12


def test_a_failure_leaves_nothing(tiny_checkpoint: Path, scene_dir: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(scene_dir, data)
    last = sorted((data / "test" / "masks").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:60])
    with pytest.raises(InputError, match=last.name):
        evaluate(EvaluateConfig(tiny_checkpoint, (data,), out=tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def test_refusals(project_root: Path, tiny_checkpoint: Path, scene_dir: Path, tmp_path: Path) -> None:
    done = run_cli(project_root, tmp_path / "absent.pt", "--data", scene_dir)
    assert done.returncode == 2 and "expected a checkpoint.pt" in done.stderr and "Traceback" not in done.stderr
    shutil.copy(tiny_checkpoint, tmp_path / "checkpoint.pt")
    with pytest.raises(InputError, match=r"name .*checkpoint\.pt"):
        open_model(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"model\.json"):
        open_model(tmp_path / "empty")
    with pytest.raises(InputError, match="has the splits test"):
        evaluate(EvaluateConfig(tiny_checkpoint, (scene_dir,), split="val", out=tmp_path / "out"))
    with pytest.raises(InputError, match="--split none"):
        evaluate(EvaluateConfig(tiny_checkpoint, (scene_dir / "test",), out=tmp_path / "out"))
    with pytest.raises(InputError, match="existing folder"):
        evaluate(EvaluateConfig(tiny_checkpoint, (tmp_path / "absent",), out=tmp_path / "out"))
    with pytest.raises(InputError, match="threads 0"):
        evaluate(EvaluateConfig(tiny_checkpoint, (scene_dir,), threads=0))
    assert not (tmp_path / "out").exists()


def metrics_of(predicted: float, target: float) -> ImageMetrics:
    sky = np.full((10, 10), 0.0, np.float32)
    sky[: int(target * 10)] = 1.0
    probability = np.zeros((10, 10), np.float32)
    probability[: int(predicted * 10)] = 1.0
    return evaluate_image(probability, sky, np.ones((10, 10), dtype=bool))


def test_order_of_the_worst() -> None:
    images = [metrics_of(0.5, 0.5), metrics_of(0.9, 0.0), metrics_of(0.0, 0.1), metrics_of(0.2, 0.4)]
    assert worst_first(images) == [1, 3, 2, 0]


def test_sheet_of_little(scene_dir: Path, tmp_path: Path) -> None:
    """One image, and nothing to show."""
    pair = find_pairs(scene_dir, "test")[0]
    for images in ([metrics_of(0.5, 0.5)], []):
        path = tmp_path / f"{len(images)}.png"
        worst_sheet(lambda image: np.zeros(image.shape[:2], np.float32), [pair] * len(images), images, 4, path)
        assert path.is_file()
