"""Weights that may ship: every image, first weights and teacher of the `_open` checkpoints has terms that allow it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.files import file_sha256
from train.models import load_checkpoint

MODELS = Path(__file__).parents[1] / "models"
OPEN = sorted(path.parent.name for path in MODELS.glob("*_open/checkpoint.pt"))
# Sources of images whose written terms allow commercial use (CC0, public domain, CC BY, MIT, Apache-2.0, CDLA-Permissive, free
# photo licenses), and our own scenes.
OPEN_SOURCES = frozenset({
    "azure", "carnd", "comma10k", "dali", "edge", "edgecity", "elem", "lomiri", "ls", "max", "mscomp", "mslearn", "mstoolkit",
    "msxaml", "polyhaven", "trapai", "trident", "uwp", "wall_oceanic", "weavly", "winui", "wp",
    "horizon_uav", "sea_liao", "neon_snow", "canopy_imageseg", "scenes",
})  # fmt: skip
# First weights from elsewhere: what their training says, and their terms.
OPEN_WEIGHTS = {"u2netp_public_384.pt": {"source": "public"}}  # MIT


def faults(training: dict[str, Any], terms: str) -> list[str]:
    """Return what a training took part of that is not open."""
    found = [f"terms {terms}"] if "research" in terms or "commercial" in terms else []
    seen = training.get("sources_seen") or training.get("sources") or ["all sources"]
    found += [f"source {name}" for name in seen if name not in OPEN_SOURCES]
    init = training.get("init")
    if init is not None and not (init in OPEN_WEIGHTS and training.get("before") == OPEN_WEIGHTS[init]):
        found += [f"{init}: {fault}" for fault in faults(training.get("before") or {}, "")]
    if "started_from" in training:
        found.append(f"first weights {training['started_from']}")
    for teacher in training.get("teachers", ()):
        if teacher["sha256"] in {file_sha256(MODELS / name / "checkpoint.pt") for name in OPEN}:
            continue  # judged by its own name
        of_teacher = faults(teacher.get("training") or {}, teacher.get("weights_license", "unknown"))
        found += [f"teacher {teacher.get('name', teacher['sha256'])}: {fault}" for fault in of_teacher]
    return found


@pytest.mark.parametrize("name", OPEN)
def test_only_open_images_and_networks_took_part(name: str) -> None:
    path = MODELS / name / "checkpoint.pt"
    checkpoint = load_checkpoint(path)
    assert faults(checkpoint.training, checkpoint.weights_license) == []
    for spec in map(json.loads, (each.read_text() for each in MODELS.glob(f"{name}/*/model.json"))):
        assert spec["provenance"]["checkpoint_sha256"] == file_sha256(path), spec["name"]
        assert spec["weights_license"] == checkpoint.weights_license


def test_anything_else_is_found() -> None:
    good = {"sources": ["max", "scenes"], "sources_seen": ["scenes"], "init": None, "teachers": []}
    assert OPEN and faults(good, "CC BY 4.0") == []
    public = good | {"init": "u2netp_public_384.pt", "before": {"source": "public"}}
    taught = good | {"teachers": [{"name": "t", "sha256": "1", "weights_license": "MIT", "training": public}]}
    assert faults(public, "MIT") == [] and faults(taught, "MIT") == []
    assert faults(good, "research, non-commercial") == ["terms research, non-commercial"]
    assert faults(good | {"sources_seen": ["scenes", "camvid"]}, "MIT") == ["source camvid"]
    assert faults({"sources": []}, "MIT") == ["source all sources"]
    assert faults(public | {"before": {"sources": ["ade20k_sub"]}}, "MIT") == ["u2netp_public_384.pt: source ade20k_sub"]
    assert faults(good | {"teachers": [{"sha256": "12"}]}, "MIT") == ["teacher 12: source all sources"]
    released = {"sha256": file_sha256(MODELS / OPEN[0] / "checkpoint.pt")}
    assert faults(good | {"teachers": [released]}, "MIT") == []
    research = load_checkpoint(MODELS / "unet_lite" / "checkpoint.pt")
    assert faults(research.training, research.weights_license)


def test_readme_shows_both_kinds_with_the_figures_of_their_cards() -> None:
    readme = (MODELS.parent / "README.md").read_text()
    for name in ("unet_lite", "unet_lite_s", "u2netp", *OPEN):
        metrics = json.loads((MODELS / name / "metrics.json").read_text())
        pooled, night = metrics["pooled"], metrics["tags"]["night"]["iou"]["value"]
        figures = (*(pooled[key]["value"] for key in ("iou", "boundary_iou")), 100 * pooled["nosky_fpr"]["value"], night)
        terms = load_checkpoint(MODELS / name / "checkpoint.pt").weights_license
        cells = " | ".join(f"{value:.{digits}f}" for value, digits in zip(figures, (3, 3, 1, 3), strict=True))
        assert f"| [{name}](models/{name}/README.md) | {terms} | {cells} |" in readme
