"""A network of somebody's own goes through every step, and nothing runs its file without being asked to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge_runtime.errors import InputError
from export import to_onnx
from export.consumers import environments
from export.network import fold_batch_norm
from export.pipeline import ExportConfig
from quantize.int8 import Int8Config, quantize
from quantize.sensitivity import SensitivityConfig, measure
from train.distill import DistillConfig, soften
from train.engine.presets import FitConfig, PruneConfig
from train.evaluate import EvaluateConfig, evaluate
from train.fit import fit
from train.models import MODELS, Checkpoint, add_network, load_checkpoint, save_checkpoint
from train.prune import prune

OWN = '''
from dataclasses import dataclass
from torch import nn

@dataclass(frozen=True)
class Widths:
    inner: int = 16

class Own(nn.Module):
    """Two convolutions whose batch norm stands before the activation that it follows in the list."""

    def __init__(self):
        super().__init__()
        inner = Widths().inner
        self.first = nn.Conv2d(3, inner, 3, 2, padding=1)
        self.norm = nn.BatchNorm2d(inner)
        self.second = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.after = nn.BatchNorm2d(inner)
        self.head = nn.Conv2d(inner, 1, 1)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, x):
        x = self.norm(self.first(x).relu())
        return self.up(self.head(self.after(self.second(x)).relu()))

def own():
    return Own()

def maps():
    return nn.Conv2d(3, 21, 1)

def broken():
    raise RuntimeError("no weights")
'''


@pytest.fixture
def arch(tmp_path: Path) -> str:
    (tmp_path / "nets.py").write_text(OWN)
    return f"{tmp_path / 'nets.py'}:own"


def test_a_checkpoint_names_its_file_and_asks_for_it(arch: str, tmp_path: Path) -> None:
    assert add_network(arch) == "nets.py:own"
    saved = Checkpoint("nets.py:own", 64, MODELS["nets.py:own"]().state_dict(), "MIT")
    save_checkpoint(saved, tmp_path / "checkpoint.pt")
    del MODELS["nets.py:own"]
    with pytest.raises(InputError, match=r"for 'nets.py:own', .*; it runs code, so name its file: --arch nets.py:own"):
        load_checkpoint(tmp_path / "checkpoint.pt")
    found = load_checkpoint(tmp_path / "checkpoint.pt", arch)
    assert found.name == "own" and torch.equal(found.weights["head.weight"], saved.weights["head.weight"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("own", "nothing"), "got no 'nothing' from"), (("own", "maps"), r"got \(1, 21, 64, 64\) of \(1, 3, 64, 64\)"),
        (("own", "broken"), "got RuntimeError: no weights"), (("nets.py", "none.py"), "of an existing file"),
    ],
)  # fmt: skip
def test_other_functions_are_refused(change: tuple[str, str], message: str, arch: str) -> None:
    with pytest.raises(InputError, match=message):
        add_network(arch.replace(*change))


def test_a_batch_norm_after_the_activation_is_not_folded_away(arch: str) -> None:
    torch.manual_seed(0)
    network = MODELS[add_network(arch)]().train()
    network(torch.randn(8, 3, 64, 64))  # statistics that are not the identity's
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(fold_batch_norm(network)(image), network.eval()(image))


@pytest.mark.slow
def test_every_step_takes_it(arch: str, split_scenes: Callable[..., Path], scene_dir: Path, tmp_path: Path) -> None:
    data = split_scenes(tmp_path / "data", train=6, val=2)
    config = FitConfig(
        arch, (data,), out=tmp_path / "fit", sizes=(64,), steps=(20,), batches=(4,), lr=1e-2, warmup=2, ema=0.5, precision="fp32"
    )
    checkpoint = fit(config)
    MODELS.pop("nets.py:own")
    soften(DistillConfig((checkpoint,), data=(data,), out=tmp_path / "softened", arch=arch))
    narrow = prune(
        PruneConfig(checkpoint, (data,), macs=0.7, rounds=1, final_steps=2, batch=2, out=tmp_path / "narrow", arch=arch)
    )
    assert load_checkpoint(narrow).name.startswith("own_p")
    evaluate(EvaluateConfig(narrow, (scene_dir,), out=tmp_path / "evaluation", worst=1, arch=arch))
    artifact = to_onnx.export(ExportConfig(checkpoint, out=tmp_path / "onnx", arch=arch))
    assert artifact.spec.arch == "own" and artifact.spec.metrics["parity"]["max_abs"] < 1e-4
    config8 = Int8Config(scene_dir, checkpoint, format=("onnx",), min_agreement=0.0, out=tmp_path / "int8", arch=arch)
    assert quantize(config8)[0].spec.arch == "own"
    assert measure(SensitivityConfig(scene_dir, checkpoint, count=8, arch=arch))


@pytest.mark.full
@pytest.mark.parametrize("name", ["fcn_resnet50", "deeplabv3_resnet50", "unet_resnet50", "unet_vgg16", "unet_vgg19"])
def test_networks_of_torchvision_and_smp_train_and_export(
    name: str, project_root: Path, split_scenes: Callable[..., Path], tmp_path: Path
) -> None:
    """In an environment with the CUDA build of torch, for which torchvision's wheels are made."""
    python, arch = environments.make("networks"), f"studies/networks.py:{name}"
    data = split_scenes(tmp_path / "data", train=4)

    def run(*words: str | Path) -> str:
        done = subprocess.run([python, *words], cwd=project_root, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr
        return done.stdout

    flags = ["--data", data, "--sizes", "64", "--steps", "2", "--batches", "2", "--precision", "fp32", "--out", tmp_path / "run"]
    run("train/fit.py", "unet", "--arch", arch, *flags)
    said = run(
        "export/to_onnx.py", "--arch", arch, "--checkpoint", tmp_path / "run" / "checkpoint.pt", "--out", tmp_path / "onnx"
    )
    assert "agreement" in said
