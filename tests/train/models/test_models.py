"""The networks are what they are said to be, and checkpoints are safe to read."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_runtime.errors import InputError
from train.models import MODELS, Checkpoint, all_maps, count_macs, count_parameters, load_checkpoint, save_checkpoint
from train.models.u2net import u2net, u2netp
from train.models.unet_lite import UNetLite, teacher, unet_lite, unet_lite_s


@pytest.fixture(scope="module")
def small() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint("unet_lite_s", 192, unet_lite_s().state_dict(), "Apache-2.0", {"steps": [1, 2], "seed": 0})


def test_u2net_parameters_are_those_of_the_paper() -> None:
    assert count_parameters(u2netp()) == 1_131_181
    assert count_parameters(u2net()) == 44_009_869


def test_u2netp_macs() -> None:
    assert count_macs(u2netp(), 256) / 1e9 == pytest.approx(12.6, abs=0.1)


@pytest.mark.parametrize(
    ("build", "size", "parameters", "gmacs"), [(unet_lite, 256, 1.2e6, 0.40), (unet_lite_s, 192, 0.40e6, 0.15)]
)
def test_lite_networks_stay_in_their_budget(build: Any, size: int, parameters: float, gmacs: float) -> None:
    model = build()
    assert 0.5 * parameters < count_parameters(model) <= parameters
    assert 0.5 * gmacs < count_macs(model, size) / 1e9 <= gmacs
    assert model.training, "counting left the network in another mode"


def test_macs_by_hand() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, stride=2, padding=1), torch.nn.Conv2d(8, 8, 5, padding=2, groups=8))
    assert count_macs(model, 32) == 16 * 16 * (8 * 3 * 9 + 8 * 25)


@pytest.mark.parametrize("name", ["unet_lite", "unet_lite_s", "u2netp", "teacher"])
@pytest.mark.parametrize("shape", [(64, 64), (32, 96)])
def test_logits_have_the_size_of_the_input(name: str, shape: tuple[int, int]) -> None:
    model = MODELS[name]().eval()
    with torch.no_grad():
        x = torch.randn(2, 3, *shape)
        maps = all_maps(model, x)
        assert torch.equal(model(x), maps[0])
    assert len(maps) == (7 if name == "u2netp" else 1)  # six sides and their fusion, all supervised
    assert all(logits.shape == (2, 1, *shape) for logits in maps)


def test_u2netp_takes_odd_sizes() -> None:
    with torch.no_grad():
        assert u2netp().eval()(torch.randn(1, 3, 75, 101)).shape == (1, 1, 75, 101)


def test_u2netp_pools_leave_no_pixel_over() -> None:
    """Its pools round down; the published network's round up. At multiples of 32 they are the same."""
    torch.manual_seed(0)
    model, x = u2netp().eval(), torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        down = model(x)
        for part in model.modules():
            if isinstance(part, torch.nn.MaxPool2d):
                assert not part.ceil_mode
                part.ceil_mode = True
        assert torch.equal(model(x), down)


def test_every_map_of_u2netp_learns() -> None:
    torch.manual_seed(0)
    model = u2netp()
    maps = model.forward_all(torch.randn(2, 3, 64, 64))
    sum(logits.square().mean() for logits in maps).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_the_lite_networks_see_the_whole_image() -> None:
    """A change in one corner moves the logits of the opposite corner."""
    torch.manual_seed(0)
    model = unet_lite().eval()
    x = torch.randn(1, 3, 256, 256)
    changed = x.clone()
    changed[..., :96, :96] = 3.0
    with torch.no_grad():
        moved = (model(x) - model(changed)).abs()[0, 0]
    assert moved[160:, 160:].max() > 0


@pytest.mark.parametrize("build", [unet_lite, unet_lite_s, teacher])
def test_imagenet_weights_reach_the_encoder_alone(build: Any) -> None:
    torch.manual_seed(0)
    model: UNetLite = build()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_imagenet()
    for key, value in model.state_dict().items():
        encoder = key.startswith(("stem.", "blocks.") if build is teacher else "blocks.")  # the stem at stride 4 is our own
        if key.endswith("num_batches_tracked"):
            continue
        assert torch.equal(value, before[key]) != encoder, key


def test_checkpoint_round_trip(small: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "checkpoint.pt"
    save_checkpoint(small, path)
    assert [file.name for file in path.parent.iterdir()] == ["checkpoint.pt"]
    read = load_checkpoint(path)
    assert (read.arch, read.size, read.weights_license, read.training) == (
        small.arch,
        small.size,
        small.weights_license,
        small.training,
    )
    assert read.weights.keys() == small.weights.keys()
    assert all(torch.equal(value, small.weights[key]) for key, value in read.weights.items())
    assert not read.build().training


class Exploit:
    """Runs a command where a file is unpickled carelessly."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_checkpoint_cannot_run_code(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for save in (torch.save, lambda value, path: path.write_bytes(pickle.dumps(value, protocol=2))):
        save({"arch": Exploit(mark)}, tmp_path / "checkpoint.pt")
        with pytest.raises(InputError, match="cannot read"):
            load_checkpoint(tmp_path / "checkpoint.pt")
        assert not mark.exists()
