"""Two processes under torchrun train as one does with the same global batch."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from train.engine.parallel import GlobalBatchNorm2d, globalise
from train.models import MODELS, load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(split_scenes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return split_scenes(tmp_path_factory.mktemp("parallel"), train=8, val=4)


def train(root: Path, processes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return launch(root / "train" / "fit.py", processes, *words)


def launch(script: Path, processes: int, *words: str | Path) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable]
    if processes > 1:
        launcher += ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--rdzv_backend", "c10d"]
        launcher += ["--rdzv_endpoint", "localhost:0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launcher, str(script), *map(str, words)], capture_output=True, text=True, timeout=300, env=environment
    )


def losses(folder: Path) -> np.ndarray:
    return np.array([json.loads(line)["loss"] for line in (folder / "log.jsonl").read_text().splitlines()])


@pytest.mark.parametrize("arch", ["unet_lite_s", "u2netp"])
def test_two_processes_follow_the_curve_of_one(arch: str, project_root: Path, data: Path, tmp_path: Path) -> None:
    """Batches of 5: the halves are unequal, and void pixels and sky are spread unevenly, so every mean must be global."""
    words = [arch, "--data", data, "--sizes", "64", "--steps", "8", "--batches", "5", "--warmup", "2", "--precision", "fp32"]
    # Adam takes full steps from gradients that are all rounding, so two curves of a high rate part for no other reason.
    words += ["--val-every", "8", "--lr", "3e-5"]
    for processes in (1, 2):
        done = train(project_root, processes, *words, "--out", tmp_path / str(processes))
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("checkpoint.pt") == 1, "each process spoke for itself"
    one, two = losses(tmp_path / "1"), losses(tmp_path / "2")
    assert len(one) == 8 and one.std() > 0.01
    np.testing.assert_allclose(two, one, rtol=1e-2)
    weights = [load_checkpoint(tmp_path / name / "checkpoint.pt").weights for name in ("1", "2")]
    assert weights[0].keys() == weights[1].keys()
    moved = torch.cat([weights[0][key].flatten().float() for key in weights[0]])
    apart = torch.cat([(weights[0][key] - weights[1][key]).flatten().float() for key in weights[0]])
    assert apart.norm() < 0.01 * moved.norm()


GRADIENTS = """
import sys
import torch
from train.engine.losses import sky_loss
from train.models import MODELS
from train.engine.parallel import join_world, leave_world, spread

world = join_world()
torch.manual_seed(0)
model = MODELS[sys.argv[1]]().double().train()
maps = spread(model, world)
draw = torch.Generator().manual_seed(1)
x = torch.randn(5, 3, 64, 64, generator=draw).double()
sky, valid = (torch.rand(5, 1, 64, 64, generator=draw).double() for _ in range(2))
valid = (valid > torch.linspace(0.0, 0.8, 5)[:, None, None, None]).double()
mine = slice(world.rank, None, world.size)
sky_loss(maps(x[mine]), sky[mine], valid[mine]).backward()
if world.first:
    torch.save({name: parameter.grad for name, parameter in model.named_parameters()}, sys.argv[2])
leave_world()
"""


@pytest.mark.parametrize("arch", ["unet_lite_s", "u2netp"])
def test_gradients_are_those_of_the_whole_batch(arch: str, project_root: Path, tmp_path: Path) -> None:
    """In float64, where rounding does not hide a wrong mean; halves are unequal, and void grows from image to image."""
    script = tmp_path / "gradients.py"
    script.write_text(GRADIENTS)
    for processes in (1, 2):
        done = launch(script, processes, arch, tmp_path / f"{processes}.pt")
        assert done.returncode == 0, done.stderr
    one, two = (torch.load(tmp_path / f"{processes}.pt") for processes in (1, 2))
    size = torch.cat([gradient.flatten() for gradient in one.values()]).norm()
    for name, expected in one.items():
        assert (two[name] - expected).norm() < 1e-9 * size, name


def test_two_processes_resume(project_root: Path, data: Path, tmp_path: Path) -> None:
    words = ["unet_lite_s", "--data", data, "--sizes", "64", "--steps", "4", "--batches", "4", "--precision", "fp32"]
    assert train(project_root, 2, *words, "--out", tmp_path / "whole").returncode == 0
    assert train(project_root, 2, *words, "--out", tmp_path / "cut", "--stop-at-step", "2").returncode == 0
    assert train(project_root, 2, *words, "--out", tmp_path / "cut", "--resume").returncode == 0
    np.testing.assert_allclose(losses(tmp_path / "cut"), losses(tmp_path / "whole"), rtol=1e-4)


def test_a_batch_too_small_is_refused(project_root: Path, data: Path, tmp_path: Path) -> None:
    words = ["unet_lite_s", "--data", data, "--sizes", "64", "--steps", "2", "--batches", "1", "--out", tmp_path / "run"]
    refused = train(project_root, 2, *words)
    assert refused.returncode != 0 and "expected an image or more for each" in refused.stderr
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_global_batch_norm_alone_is_torchs() -> None:
    torch.manual_seed(0)
    network = MODELS["unet_lite_s"]()
    mine = copy.deepcopy(network)
    globalise(mine)
    assert any(isinstance(layer, GlobalBatchNorm2d) for layer in mine.modules())
    x = torch.randn(3, 3, 64, 64)
    for model in (network, mine):
        model.train()
    torch.testing.assert_close(mine(x), network(x), rtol=1e-3, atol=1e-3)
    for (name, expected), got in zip(network.state_dict().items(), mine.state_dict().values(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4, msg=name)
    for model in (network, mine):
        model.eval()
    torch.testing.assert_close(mine(x), network(x), rtol=1e-3, atol=1e-3)
    assert not isinstance(next(layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)), GlobalBatchNorm2d)
