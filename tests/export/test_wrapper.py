"""The network before any converter sees it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from edge_runtime.errors import InputError
from edge_runtime.images.network_input import Size
from export.network import SkyProbability, fold_batch_norm, load_network
from train.models import MODELS, count_parameters, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("arch", ["unet_lite", "unet_lite_s", "u2netp"])
def test_folding_batch_norm_changes_nothing(arch: str) -> None:
    torch.manual_seed(3)
    network = MODELS[arch]()
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):  # as after training: no batch norm is the identity
            part.running_mean.uniform_(-0.2, 0.2)
            part.running_var.uniform_(0.5, 2.0)
            part.weight.data.uniform_(0.5, 1.5)
            part.bias.data.uniform_(-0.2, 0.2)
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    folded = fold_batch_norm(network)
    with torch.no_grad():
        expected, got = SkyProbability(network.eval())(image), SkyProbability(folded)(image)
    assert float((expected - got).abs().max()) < 1e-5
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    assert any(isinstance(part, nn.BatchNorm2d) for part in network.modules()), "the original must stay as it was"


def test_network_knows_its_size_and_cost(tiny_checkpoint: Path) -> None:
    network = load_network(tiny_checkpoint, 96)
    assert network.size == Size.square(96) and tuple(network.example.shape) == (1, 3, 96, 96)
    assert tuple(load_network(tiny_checkpoint, "128x96").example.shape) == (1, 3, 96, 128)
    assert network.parameters == count_parameters(MODELS["unet_lite_s"]())
    assert load_network(tiny_checkpoint, 192).macs == 4 * network.macs


@pytest.mark.parametrize("size", ["0", "-32", "16", "100", "32768", "64x100", "2080x64", "wide"])
def test_size_must_suit_the_networks(tiny_checkpoint: Path, size: str) -> None:
    with pytest.raises(InputError, match=f"got --size {size}, expected"):
        load_network(tiny_checkpoint, size)


def test_weights_that_are_not_finite_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    checkpoint.weights["head.bias"][0] = float("nan")
    save_checkpoint(checkpoint, tmp_path / "nan.pt")
    with pytest.raises(InputError, match="got NaN or infinity in 'head.bias' of .*nan.pt, expected finite weights"):
        load_network(tmp_path / "nan.pt", None)


def test_missing_checkpoint_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="train one with"):
        load_network(tmp_path / "none.pt", None)
