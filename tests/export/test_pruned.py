"""A pruned network goes through every exporter and every int8 quantizer like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.images.network_input import Size
from export import to_ncnn, to_onnx, to_tflite, to_torch
from export.network import SkyProbability
from export.parity import built_in_scenes, run_torch
from export.pipeline import ExportConfig
from quantize.int8 import Int8Config, quantize
from train.engine.channel_choice import prune_to
from train.models import Checkpoint, count_macs, load_checkpoint, plan_of, save_checkpoint

pytestmark = pytest.mark.slow
SIZE = 64


@pytest.fixture(scope="module")
def narrow(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the smallest network with 40 % of its MACs, at a small input; nothing is trained."""
    whole = load_checkpoint(tiny_checkpoint)
    model = whole.build()
    for parameter in model.parameters():  # the gradient of a loss that is the sum of the squared weights, by half
        parameter.grad = parameter.detach().clone()
    prune_to(model, SIZE, 0.4 * count_macs(model, SIZE), 4)
    # Untrained, it finds no sky anywhere, and the gates want masks that hold sky and ground: half of all pixels become sky.
    probability = run_torch(SkyProbability(model).eval(), built_in_scenes(Size.square(SIZE)))
    with torch.no_grad():
        model.head.bias -= float(np.median(np.log(probability / (1 - probability))))
    path = tmp_path_factory.mktemp("pruned") / "checkpoint.pt"
    save_checkpoint(Checkpoint(whole.arch, SIZE, model.state_dict(), "Apache-2.0", {}, plan_of(model, whole.arch)), path)
    return path


@pytest.mark.parametrize("exporter", [to_torch, to_onnx, to_tflite, to_ncnn])
def test_every_exporter_takes_it(exporter, narrow: Path, tmp_path: Path) -> None:  # noqa: ANN001
    artifact = exporter.export(ExportConfig(narrow, out=tmp_path / "out"))  # parity is gated
    left = round(100 * artifact.spec.provenance["macs"] / count_macs(load_checkpoint(narrow).build(), SIZE))
    assert left == 100 and artifact.spec.arch.startswith("unet_lite_s_p") and artifact.spec.name.startswith(artifact.spec.arch)


@pytest.mark.parametrize("artifact_format", ["onnx", "ncnn", pytest.param("tflite", marks=pytest.mark.full)])
def test_every_quantizer_takes_it(artifact_format: str, narrow: Path, scene_dir: Path, tmp_path: Path) -> None:
    # The weights are not trained after pruning, so agreement says little here: the gate is open.
    config = Int8Config(scene_dir, narrow, format=(artifact_format,), min_agreement=0.0, out=tmp_path / "out")  # type: ignore[arg-type]
    quantize(config)
    spec = read_artifact(tmp_path / "out").spec
    assert spec.quantization.precision == "int8" and spec.arch.startswith("unet_lite_s_p")
