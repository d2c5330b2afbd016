"""Pruned networks: as small as asked, the same without the pruning library, and the same after a kill."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edge_runtime.errors import InputError
from train.engine.channel_choice import Group, _Cost, choose, prune_to
from train.engine.presets import PruneConfig
from train.models import MODELS, Checkpoint, count_macs, load_checkpoint, plan_of, save_checkpoint
from train.models.channel_plan import apply_plan
from train.prune import parts_left, prune

pytestmark = pytest.mark.slow


def pruned(arch: str, share: float, size: int = 64) -> torch.nn.Module:
    torch.manual_seed(0)
    model = MODELS[arch]().eval()
    for parameter in model.parameters():  # the gradient of a loss that is the sum of the squared weights, by half
        parameter.grad = parameter.detach().clone()
    prune_to(model, size, share * count_macs(model, size), 4)
    return model


def test_channels_go_where_least_is_lost_per_mac() -> None:
    """Two layers in a row: the first at 10 times the MACs of the second, with three times the importance."""
    costs = {"a": _Cost(8, 3, False, 100), "b": _Cost(8, 8, False, 10), "head": _Cost(1, 8, False, 10)}
    groups = [
        Group("a", torch.full((8,), 3.0), ["a"], ["b"], 8),
        Group("b", torch.full((8,), 1.0), ["b"], ["head"], 8),
    ]
    total = sum(cost.macs for cost in costs.values())
    assert choose(groups, costs, total - 1, 4) == {"a": 4, "b": 0}
    assert costs["a"].macs == 4 * 3 * 100 and costs["b"].macs == 8 * 4 * 10  # the second reads what the first writes


@pytest.fixture(scope="module")
def small() -> dict[str, torch.nn.Module]:
    return {"u2netp": pruned("u2netp", 0.25), "unet_lite": pruned("unet_lite", 0.55)}


@pytest.mark.parametrize(("arch", "share"), [("u2netp", 0.25), ("unet_lite", 0.55)])
def test_macs_and_widths_are_what_was_asked_for(arch: str, share: float, small: dict[str, torch.nn.Module]) -> None:
    model = small[arch]
    full = count_macs(MODELS[arch](), 64)
    assert 0.8 * share * full < count_macs(model, 64) <= share * full
    plan = plan_of(model, arch)
    assert plan and all(count % 4 == 0 for name, counts in plan.items() for count in counts if count not in (1, 3))


def test_full_resolution_stages_of_u2netp_are_pruned_hardest(small: dict[str, torch.nn.Module]) -> None:
    model = small["u2netp"]
    left = dict(parts_left(Checkpoint("u2netp", 64, model.state_dict(), "Apache-2.0", {}, plan_of(model, "u2netp"))))
    hard = [left[path] for path in ("encoder.0", "decoder.0", "decoder.1")]
    assert max(hard) < min(left[path] for path in ("encoder.3", "encoder.4", "encoder.5", "decoder.3", "decoder.4"))


def test_too_small_is_refused() -> None:
    with pytest.raises(InputError, match="expected .* or more with numbers of channels that are multiples of 4"):
        pruned("unet_lite_s", 0.001)


def test_loads_without_the_pruning_library(small: dict[str, torch.nn.Module], tmp_path: Path) -> None:
    model, path = small["u2netp"], tmp_path / "checkpoint.pt"
    save_checkpoint(Checkpoint("u2netp", 64, model.state_dict(), "Apache-2.0", {}, plan_of(model, "u2netp")), path)
    code = (
        "import sys, torch; sys.modules['torch_pruning'] = None\n"
        "from pathlib import Path; from train.models import load_checkpoint\n"
        f"found, (x, y) = load_checkpoint(Path({str(path)!r})), torch.load({str(tmp_path / 'pair')!r})\n"
        "print(found.name, float((found.build()(x) - y).detach().abs().max()))"
    )
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 64)
        torch.save([x, model(x)], tmp_path / "pair")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert said[0].startswith("u2netp_p2") and float(said[1]) < 1e-4


def test_bad_plans_are_refused(tmp_path: Path) -> None:
    for plan, message in (
        ({"nowhere.0": [4, 4]}, "the name of a convolution or batch norm"),
        ({"stem.1": [64, 48]}, r"up to \[32, 48\] channels"),
        ({"stem.1": [0, 48]}, "1 or more"),
        ({"stem.1": ["8", 48]}, "1 or more"),
        ({"stem.1": [16, 48]}, "do not fit each other"),
        ({"blocks.0.depthwise.0": [16, 8]}, "as many outputs as inputs"),
        ([1], "expected a mapping"),
    ):
        with pytest.raises(InputError, match=message):
            apply_plan(MODELS["unet_lite_s"](), plan)  # type: ignore[arg-type]
    path = tmp_path / "checkpoint.pt"
    weights = MODELS["unet_lite_s"]().state_dict()
    save_checkpoint(Checkpoint("unet_lite_s", 64, weights, "Apache-2.0", {}, {"stem.1": [16, 48]}), path)
    with pytest.raises(InputError, match="the weights of .* do not fit unet_lite_s: the widths of the channel plan"):
        load_checkpoint(path)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory, project_root: Path) -> Path:
    folder = tmp_path_factory.mktemp("pruning")
    for split, count in (("train", "6"), ("val", "2")):
        words = ["-m", "scenes.render", "--out", folder, "--count", count, "--size", "96", "128", "--split", split]
        subprocess.run([sys.executable, *map(str, words)], cwd=project_root, check=True)
    return folder


def test_a_killed_run_ends_in_the_same_weights(scenes: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = PruneConfig(
        tiny_checkpoint,
        (scenes,),
        macs=0.7,
        size=64,
        rounds=2,
        steps=2,
        final_steps=3,
        batch=2,
        val_count=2,
        out=tmp_path / "one",
    )
    whole = load_checkpoint(prune(config))
    sliced = replace(config, out=tmp_path / "two")
    for stop in (1, 2, 4):
        prune(replace(sliced, stop_at_step=stop, resume=stop > 1))
    other = load_checkpoint(prune(replace(sliced, resume=True)))
    assert whole.plan == other.plan and whole.plan
    assert all(torch.equal(value, other.weights[key]) for key, value in whole.weights.items())
    assert count_macs(whole.build(), 64) <= 0.7 * count_macs(MODELS["unet_lite_s"](), 64)
    rounds = json.loads((tmp_path / "two" / "rounds.json").read_text())
    assert [row["round"] for row in rounds] == [0, 1, 1, 2, 2] and rounds[-1]["macs_left"] <= 0.7
    with pytest.raises(InputError, match="--resume with another macs"):
        prune(replace(sliced, macs=0.6, resume=True))


def test_bad_words_are_refused(tiny_checkpoint: Path, scenes: Path) -> None:
    for wrong, message in (
        ({"macs": 1.5}, "--macs 1.5"), ({"size": 50}, "got size 50"), ({"rounds": 0}, "got --rounds 0"),
        ({"data": ()}, "no labeled image"), ({"distill": 0.0, "teacher": tiny_checkpoint}, "which leaves it out"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            prune(replace(PruneConfig(tiny_checkpoint, (scenes,)), **wrong))
