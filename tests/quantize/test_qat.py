"""Training under int8: what comes out is a plain checkpoint whose weights moved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import InputError
from quantize.int8 import Int8Config, quantize
from quantize.qat import QatConfig, train
from train.models import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.mark.full  # NNCF compiles its C++ functions at the first use, which takes minutes
def test_checkpoint_is_plain_and_quantizes(
    tiny_checkpoint: Path, scene_dir: Path, split_scenes: Callable[..., Path], tmp_path: Path
) -> None:
    data = split_scenes(tmp_path / "data", train=6)
    path = train(QatConfig(tiny_checkpoint, (data,), tmp_path / "out", steps=3, batch=2))
    before, after = load_checkpoint(tiny_checkpoint), load_checkpoint(path)
    assert after.weights.keys() == before.weights.keys() and (after.arch, after.size) == (before.arch, before.size)
    moved = [key for key, value in after.weights.items() if not torch.equal(value, before.weights[key])]
    assert "stem.1.weight" in moved and not [key for key in moved if "running" in key], "batch norm keeps its statistics"
    assert max(float((after.weights[key] - before.weights[key]).abs().max()) for key in moved) < 1e-2
    history = json.loads((tmp_path / "out" / "qat.json").read_text())
    assert len(history["loss"]) == 3
    with pytest.raises(InputError, match="which exists already"):
        train(QatConfig(tiny_checkpoint, (data,), tmp_path / "out"))
    quantize(Int8Config(scene_dir, path, format=("ncnn",), out=tmp_path / "ncnn"))
    assert read_artifact(tmp_path / "ncnn").spec.metrics["agreement"]["value"] > 0.95


def test_bad_words_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    for wrong, message in (({"steps": 0}, "--steps 0"), ({"distill": 2.0}, "--distill 2.0"), ({"lr": float("nan")}, "--lr nan")):
        with pytest.raises(InputError, match=f"got {message}, expected"):
            train(QatConfig(tiny_checkpoint, (tmp_path,), tmp_path / "out", **wrong))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="got no labeled image in --data"):
        train(QatConfig(tiny_checkpoint, (), tmp_path / "out"))
    assert not (tmp_path / "out").exists()
