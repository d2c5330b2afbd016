"""A network that predicts, whatever file it comes from: a checkpoint or an artifact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edge_runtime.artifact.artifact import SPEC_FILE
from edge_runtime.cores import limit_threads
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.resize import resize_probability, resize_rgb
from edge_runtime.segmenter import Segmenter
from train.data.datasets import to_tensor
from train.models import load_checkpoint


@dataclass(frozen=True)
class Model:
    """A network that is ready to predict.

    Attributes
    ----------
    label
        Short name for folders and titles.
    facts
        What metrics.json says of it.
    predict
        Maps (H, W, 3) uint8 RGB to (H, W) float32 probability of sky.
    """

    label: str
    facts: dict[str, Any]
    predict: Callable[[np.ndarray], np.ndarray]


def open_model(path: Path, threads: int = 1, arch: str | None = None) -> Model:
    """Open a checkpoint file or an artifact folder; raises `InputError` where it is neither. `arch`: see `load_checkpoint`."""
    if path.is_dir() and not (path / SPEC_FILE).is_file() and (path / "checkpoint.pt").is_file():
        raise InputError(f"got the folder {path}, expected an artifact folder or a file; name {path / 'checkpoint.pt'}")
    if path.is_dir():
        return _open_artifact(path, threads)
    return _open_checkpoint(path, threads, arch)


def _open_artifact(path: Path, threads: int) -> Model:
    segmenter = Segmenter.load(path, threads)
    artifact = segmenter.artifact
    facts = {
        "name": artifact.spec.name,
        "arch": artifact.spec.arch,
        "format": artifact.spec.format,
        "precision": artifact.precision,
        "input_height": artifact.size[0],
        "input_width": artifact.size[1],
        "sha256": artifact.sha256,
        "weights_license": artifact.spec.weights_license,
    }
    return Model(artifact.spec.name, facts, segmenter)


def _open_checkpoint(path: Path, threads: int, arch: str | None) -> Model:
    checkpoint = load_checkpoint(path, arch)
    limit_threads(threads)
    network = checkpoint.build()

    def predict(image: np.ndarray) -> np.ndarray:
        small = resize_rgb(image, checkpoint.size, checkpoint.size)
        with torch.inference_mode():
            probability = torch.sigmoid(network(to_tensor(small)[None]))[0, 0].numpy()
        return resize_probability(probability, *image.shape[:2])

    facts = {
        "name": f"{checkpoint.name}-{checkpoint.size}",
        "arch": checkpoint.name,
        "format": "checkpoint",
        "precision": "fp32",
        "input_height": checkpoint.size,
        "input_width": checkpoint.size,
        "sha256": file_sha256(path),
        "weights_license": checkpoint.weights_license,
    }
    where = path.resolve()
    label = where.parent.name if where.name == "checkpoint.pt" else f"{where.parent.name}-{where.stem}"
    return Model(label, facts, predict)
