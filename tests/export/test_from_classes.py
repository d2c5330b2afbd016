"""A network of many classes becomes a sky artifact that says what the network itself says of its sky classes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import InputError
from edge_runtime.segmenter import Segmenter
from export.from_classes import FromClassesConfig, export, read_class_map
from scenes.render import generate

pytestmark = pytest.mark.slow
MEAN, STD = torch.tensor([103.5, 116.0, 123.7]), torch.tensor([57.0, 58.0, 59.0])  # BGR


class ClassNetwork(nn.Module):
    """19 class maps at a quarter of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.ReLU(), nn.Conv2d(8, 19, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3.0 * self.body(x)


@pytest.fixture(scope="module")
def network() -> ClassNetwork:
    torch.manual_seed(2)
    return ClassNetwork().eval()


@pytest.fixture(scope="module")
def config(network: ClassNetwork, tmp_path_factory: pytest.TempPathFactory) -> FromClassesConfig:
    path = tmp_path_factory.mktemp("classes") / "city.onnx"
    torch.onnx.export(network, (torch.zeros(1, 3, 64, 96),), path, input_names=["image"], output_names=["scores"], dynamo=False)
    return FromClassesConfig(
        path, "cityscapes", mean=tuple(MEAN.tolist()), std=tuple(STD.tolist()), color="BGR", out=path.parent / "sky"
    )  # type: ignore[arg-type]


def test_artifact_gives_the_softmax_of_sky(network: ClassNetwork, config: FromClassesConfig) -> None:
    artifact = export(config)
    assert read_artifact(artifact.folder).spec.input.shape == (1, 3, 64, 96)
    image = generate(4, (64, 96)).image
    x = (torch.from_numpy(image[..., ::-1].astype(np.float32)) - MEAN) / STD
    with torch.no_grad():
        shares = network(x.permute(2, 0, 1)[None]).softmax(1)[:, 10:11]
        expected = nn.functional.interpolate(shares, (64, 96), mode="bilinear", align_corners=False)[0, 0].numpy()
    assert np.ptp(expected) > 0.05, "the example says nothing"
    assert np.abs(Segmenter.load(artifact.folder)(image) - expected).max() < 1e-4


def test_other_maps_and_networks_are_refused(config: FromClassesConfig, tmp_path: Path) -> None:
    out = tmp_path / "never"
    for change, message in (
        ({"classes": "ade20k"}, r"got an output of shape \(1, 19, .*expected \(1, 150"),
        ({"classes": "nowhere"}, "got --classes nowhere, expected one of ade20k"),
        ({"output": "absent"}, "got --output absent, expected one of scores"),
        ({"std": (0.0, 1.0, 1.0)}, "deviations above 0"),
        ({"model": tmp_path / "absent.onnx"}, "cannot read"),
    ):
        with pytest.raises(InputError, match=message):
            export(dataclasses.replace(config, out=out, **change))  # type: ignore[arg-type]
    assert not out.exists()


def test_class_maps(tmp_path: Path) -> None:
    assert read_class_map("ade20k").sky == (2,) and read_class_map("mapillary").classes == 66
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps({"classes": 3, "sky": [0, 2]}))
    assert read_class_map(str(mine)).sky == (0, 2)
    for count, sky in ((3, [3]), (3, [-1]), (3, []), ("3", [0]), (1, [0]), (3, "0"), (3, ["0"])):
        mine.write_text(json.dumps({"classes": count, "sky": sky}))
        with pytest.raises(InputError, match="got .*, expected "):
            read_class_map(str(mine))
