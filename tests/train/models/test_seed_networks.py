"""The networks of the seed documents: published parameter counts, shapes, torchvision's weights, and every export format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edge_runtime.errors import InputError
from export import to_ncnn, to_onnx, to_tflite
from export.network import SkyProbability, fold_batch_norm
from export.pipeline import ExportConfig
from train.models import MODELS, Checkpoint, count_macs, count_parameters, save_checkpoint
from train.models.deeplabv3 import deeplabv3_resnet50
from train.models.encoder_weights import IMAGENET_MEAN, IMAGENET_STD, load_encoder_weights
from train.models.fcn import fcn_resnet50
from train.models.resnet import ResNet50
from train.models.unet import EncoderUNet, UNet, unet_resnet50
from train.models.vgg import VGG

NETWORKS = ("unet", "unet_resnet50", "unet_vgg16", "unet_vgg19", "fcn_resnet50", "deeplabv3_resnet50", "deeplabv3_resnet50_os16")
PARTS = {"fcn_resnet50": 2, "deeplabv3_resnet50": 2, "deeplabv3_resnet50_os16": 2}  # supervised maps


@pytest.mark.parametrize(
    ("build", "parameters"),
    [
        (ResNet50, 25_557_032 - 2_049_000),  # torchvision's resnet50 without its fc
        (lambda: VGG(16), 138_365_992 - 123_642_856),  # vgg16_bn without its classifier
        (lambda: VGG(19), 143_678_248 - 123_642_856),
        (lambda: fcn_resnet50(classes=21), 35_322_218),  # torchvision, with its auxiliary head
        (lambda: deeplabv3_resnet50(classes=21), 42_004_074),
        (unet_resnet50, 32_521_105),  # segmentation_models.pytorch
        (UNet, 31_031_745),  # 31.0 M in the literature; with three input channels and one class
    ],
)
def test_parameters_are_those_that_are_published(build: Callable[[], nn.Module], parameters: int) -> None:
    with torch.device("meta"):
        assert count_parameters(build()) == parameters


def test_macs_of_fcn_are_those_that_are_published() -> None:
    """torchvision states 152.717 GFLOPS (multiply-accumulates) for fcn_resnet50 at 520 x 520, auxiliary head included."""
    auxiliary = 65 * 65 * (1024 * 256 * 9 + 256 * 21)
    total = count_macs(fcn_resnet50(classes=21), 520) + auxiliary
    assert total / 1e9 == pytest.approx(152.717, rel=0.01)


@pytest.mark.parametrize("arch", NETWORKS)
def test_shapes_and_folding(arch: str) -> None:
    torch.manual_seed(0)
    model, image = MODELS[arch]().eval(), torch.rand(2, 3, 64, 96) * 2 - 1
    with torch.no_grad():
        maps = model.forward_all(image)
        folded = SkyProbability(fold_batch_norm(model))(image)
    assert [tuple(logits.shape) for logits in maps] == [(2, 1, 64, 96)] * PARTS.get(arch, 1)
    assert float((folded - torch.sigmoid(maps[0])).abs().max()) < 1e-4


def test_output_stride_is_kept_by_dilation() -> None:
    image = torch.zeros(1, 3, 64, 64)
    with torch.no_grad():
        for stride in (32, 16, 8):
            assert [each.shape[-1] for each in ResNet50(stride).eval()(image)] == [32, 16, 8, max(4, 64 // stride), 64 // stride]


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    """A state dict as torchvision publishes one for ResNet-50."""
    torch.manual_seed(1)
    return ResNet50().state_dict() | {"fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def test_encoder_weights_take_our_input(state: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """On the same pixels, the first stage gives what it gave with ImageNet's normalization, but for the border."""
    torch.save(state, tmp_path / "resnet50.pth")
    model = unet_resnet50()
    load_encoder_weights(model, tmp_path / "resnet50.pth")
    theirs = ResNet50().eval()
    theirs.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})
    pixels = torch.randint(0, 256, (1, 3, 64, 64)).float()
    mean, std = (torch.tensor(values)[:, None, None] for values in (IMAGENET_MEAN, IMAGENET_STD))
    with torch.no_grad():
        expected = theirs((pixels / 255 - mean) / std)[0]
        got = model.encoder.eval()((pixels - 127) / 128)[0]
    assert torch.allclose(expected[..., 2:-2, 2:-2], got[..., 2:-2, 2:-2], atol=1e-4)
    assert torch.equal(model.encoder.layer4[2].conv3.weight, state["layer4.2.conv3.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "1 parameters differ, such as layer1.0.conv1.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "such as extra"),
        (lambda state: state.update({"bn1.weight": torch.zeros(3)}), "such as bn1.weight"),
        (lambda state: state["bn1.weight"].fill_(float("nan")), "NaN or infinity in 'bn1.weight'"),
    ],
)
def test_foreign_encoder_weights_are_refused(
    change: Callable[[dict[str, Any]], Any], message: str, state: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    change(state)
    torch.save(state, tmp_path / "wrong.pth")
    with pytest.raises(InputError, match=message):
        load_encoder_weights(unet_resnet50(), tmp_path / "wrong.pth")
    with pytest.raises(InputError, match="expected a network with a ResNet or VGG encoder"):
        load_encoder_weights(MODELS["unet_lite_s"](), tmp_path / "wrong.pth")


NARROW: dict[str, Callable[[], nn.Module]] = {  # the graphs of the networks with a sixteenth of the channels
    "unet": lambda: UNet(widths=(4, 8, 16, 32, 64)),
    "unet_resnet50": lambda: EncoderUNet(ResNet50(widths=(4, 8, 16, 32))),
    "unet_vgg16": lambda: EncoderUNet(VGG(16, widths=(4, 8, 16, 32, 32))),
    "fcn_resnet50": lambda: fcn_resnet50(widths=(4, 8, 16, 32)),
    "deeplabv3_resnet50_os16": lambda: deeplabv3_resnet50(output_stride=16, widths=(4, 8, 16, 32)),
}


def export(arch: str, exporter: Any, folder: Path) -> None:
    torch.manual_seed(0)
    model = MODELS[arch]()
    for name, value in model.state_dict().items():
        if name.endswith("head.weight") or name in ("classifier.4.weight", "classifier.weight"):
            value.mul_(10.0)  # random weights predict nearly the same everywhere, which parity cannot judge
    save_checkpoint(Checkpoint(arch, 64, model.state_dict(), "Apache-2.0"), folder / "checkpoint.pt")
    artifact = exporter.export(ExportConfig(folder / "checkpoint.pt", out=folder / "artifact"))
    assert artifact.spec.arch == arch and artifact.spec.metrics["parity"]["max_abs"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arch", "exporter"),
    [(arch, to_onnx) for arch in NARROW] + [("unet", to_tflite), ("unet", to_ncnn), ("fcn_resnet50", to_ncnn)],
)
def test_the_graphs_export_with_parity(arch: str, exporter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MODELS, arch, NARROW[arch])
    export(arch, exporter, tmp_path)


@pytest.mark.full  # up to 44 million parameters each
@pytest.mark.parametrize("exporter", [to_onnx, to_tflite, to_ncnn])
@pytest.mark.parametrize("arch", [*NARROW, "u2net"])
def test_whole_networks_export_with_parity(arch: str, exporter: Any, tmp_path: Path) -> None:
    export(arch, exporter, tmp_path)
