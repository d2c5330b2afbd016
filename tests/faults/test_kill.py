"""kill -9 at random moments: what was whole stays whole, and the next run ends with what an undisturbed one gives."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from edge_runtime.benchmark.results import read_results
from edge_runtime.files import STALE

MANY = pytest.param(17, marks=[pytest.mark.full, pytest.mark.timeout(2400)])  # three times: 51 kills


def run(root: Path, *words: str | Path) -> float:
    """Run a command to its end; return its seconds."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, *map(str, words)], cwd=root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def kill(root: Path, after: float, *words: str | Path) -> bool:
    """Run a command and kill it after so many seconds; return whether that came before its end."""
    with subprocess.Popen(
        [sys.executable, *map(str, words)], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.kill()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


def moments(count: int, seconds: float) -> list[float]:
    """Return moments of a run that takes `seconds`, from the first imports to just before its end."""
    draw = random.Random(count)
    return [draw.uniform(0.2, 1.0) * seconds for _ in range(count)]


def leftovers(folder: Path) -> list[str]:
    """Return the partial files in a folder."""
    return [path.name for path in folder.rglob("*") if STALE.fullmatch(path.name)]


@pytest.mark.parametrize("kills", [2, MANY])
def test_segment(kills: int, project_root: Path, scene_dir: Path, tmp_path: Path) -> None:
    words = ["-m", "edge_runtime.segment", scene_dir / "test" / "images", "--model", "unet_lite_s/onnx-int8", "--resume", "--out"]
    seconds = run(project_root, *words, tmp_path / "whole")
    whole = {path.name: path.read_bytes() for path in (tmp_path / "whole").iterdir()}
    killed = 0
    for number, moment in enumerate(moments(kills, seconds)):
        out = tmp_path / str(number)
        killed += kill(project_root, moment, *words, out)
        for path in out.glob("*.png"):
            assert STALE.fullmatch(path.name) or path.read_bytes() == whole[path.name]
        run(project_root, *words, out)
        assert {path.name: path.read_bytes() for path in out.iterdir()} == whole
    assert killed > 0


@pytest.mark.parametrize("kills", [MANY])  # tests/train/test_fit.py has one
def test_fit(kills: int, project_root: Path, split_scenes: Callable[..., Path], tmp_path: Path) -> None:
    data = split_scenes(tmp_path / "data", train=6, val=2)
    words = ["train/fit.py", "unet_lite_s", "--data", data, "--sizes", "64", "--steps", "12", "--batches", "2", "--warmup", "2"]
    words += ["--save-minutes", "0", "--val-every", "4", "--out"]
    seconds = run(project_root, *words, tmp_path / "whole")
    whole = torch.load(tmp_path / "whole" / "resume.pt", weights_only=True)
    killed = 0
    for number, moment in enumerate(moments(kills, seconds)):
        out = tmp_path / str(number)
        killed += kill(project_root, moment, *words, out)
        run(project_root, *words, out, *(["--resume"] if (out / "resume.pt").exists() else []))
        state = torch.load(out / "resume.pt", weights_only=True)
        assert state["step"] == whole["step"] == 12
        for part in ("model", "average"):
            assert all(torch.equal(value, state[part][name]) for name, value in whole[part].items()), (number, moment)
        assert leftovers(out) == []
    assert killed > 0


@pytest.mark.parametrize("kills", [2, MANY])
def test_benchmark(kills: int, project_root: Path, tmp_path: Path) -> None:
    words = ["-m", "edge_runtime.benchmark", "--models", "models/unet_lite_s/onnx-int8", "--quick", "--out", tmp_path / "r.json"]
    seconds = run(project_root, *words)
    before = (tmp_path / "r.json").read_bytes()
    killed = 0
    for moment in moments(kills, seconds):
        killed += kill(project_root, moment, *words)
        if (after := (tmp_path / "r.json").read_bytes()) != before:
            read_results(tmp_path / "r.json")  # it was killed after it had written
            before = after
    assert killed > 0
    run(project_root, *words)
    assert read_results(tmp_path / "r.json").rows and leftovers(tmp_path) == []
