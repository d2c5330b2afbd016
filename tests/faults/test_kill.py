"""kill -9 at random moments, again and again: what was whole stays whole, and the last run gives what an undisturbed one does."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from edge_runtime.benchmark.results import read_results
from edge_runtime.files import STALE
from train.models import load_checkpoint

pytestmark = pytest.mark.slow

COPIES = 8  # of each scene: then segmenting takes longer than starting


def many(count: int) -> object:
    """Return a parameter for `make test-full`: 50 kills over all tests."""
    return pytest.param(count, marks=[pytest.mark.full, pytest.mark.timeout(3600)])


def run(root: Path, *words: str | Path) -> float:
    """Run a command to its end; return its seconds."""
    start = time.monotonic()
    done = subprocess.run([sys.executable, *map(str, words)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return time.monotonic() - start


def kill(root: Path, after: float, *words: str | Path) -> bool:
    """Run a command and kill it after so many seconds; return whether that came before its end."""
    command = [sys.executable, *map(str, words)]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            errors = process.communicate(timeout=after)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            errors = process.communicate()[1]
    assert process.returncode in (0, -signal.SIGKILL), errors
    return process.returncode != 0


def moments(seconds: float) -> Iterator[float]:
    """Yield moments of a run that takes `seconds`, from the first imports to just before its end."""
    draw = random.Random(50)
    while True:
        yield draw.uniform(0.1, 1.0) * seconds


def whole_files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder, but for partial files."""
    paths = folder.iterdir() if folder.exists() else ()
    return {path.name: path.read_bytes() for path in paths if not STALE.fullmatch(path.name)}


def leftovers(folder: Path) -> list[str]:
    """Return the partial files in a folder."""
    return [path.name for path in folder.rglob("*") if STALE.fullmatch(path.name)]


@pytest.mark.parametrize("kills", [3, many(20)])
def test_segment(kills: int, project_root: Path, scene_dir: Path, tmp_path: Path) -> None:
    images, out = tmp_path / "images", tmp_path / "out"
    images.mkdir()
    for path in (scene_dir / "test" / "images").iterdir():
        for number in range(COPIES):
            shutil.copy(path, images / f"{path.stem}-{number}{path.suffix}")
    words = ["-m", "edge_runtime.segment", images, "--model", "unet_lite_s/onnx-int8", "--resume", "--out"]
    moment = moments(run(project_root, *words, tmp_path / "whole"))
    whole, killed, before, within = whole_files(tmp_path / "whole"), 0, {}, 0
    while killed < kills:
        if kill(project_root, next(moment), *words, out):
            killed += 1
            now = whole_files(out)
            within += len(before) < len(now) < len(whole)
            assert before.items() <= now.items() <= whole.items()
            before = now
        else:  # all masks are there: begin anew
            assert whole_files(out) == whole and leftovers(out) == []
            shutil.rmtree(out)
            before = {}
    run(project_root, *words, out)
    assert whole_files(out) == whole and leftovers(out) == []
    print(f"segment: {killed} kills, {within} of them after some masks and before the last")


@pytest.mark.parametrize("kills", [many(16)])  # tests/train/test_fit.py has one
def test_fit(kills: int, project_root: Path, split_scenes: Callable[..., Path], tmp_path: Path) -> None:
    data, out = split_scenes(tmp_path / "data", train=6, val=2), tmp_path / "out"
    words = ["train/fit.py", "unet_lite_s", "--data", data, "--sizes", "64", "--steps", "12", "--batches", "2", "--warmup", "2"]
    words += ["--save-minutes", "0", "--val-every", "4", "--out"]
    moment = moments(run(project_root, *words, tmp_path / "whole"))
    whole = torch.load(tmp_path / "whole" / "resume.pt", weights_only=True)
    best = load_checkpoint(tmp_path / "whole" / "checkpoint.pt").weights
    log = (tmp_path / "whole" / "log.jsonl").read_text()

    def resume() -> list[str]:
        return ["--resume"] if (out / "resume.pt").exists() else []

    def check_end() -> None:
        state = torch.load(out / "resume.pt", weights_only=True)
        assert state["step"] == 12 and leftovers(out) == [] and (out / "log.jsonl").read_text() == log
        for part in ("model", "average"):
            assert all(torch.equal(value, state[part][name]) for name, value in whole[part].items())
        found = load_checkpoint(out / "checkpoint.pt").weights
        assert all(torch.equal(value, found[name]) for name, value in best.items())

    killed, step, within = 0, 0, 0
    while killed < kills:
        if kill(project_root, next(moment), *words, out, *resume()):
            killed += 1
            reached = torch.load(out / "resume.pt", weights_only=True)["step"] if resume() else 0
            if (out / "checkpoint.pt").exists():
                load_checkpoint(out / "checkpoint.pt")
            if (out / "log.jsonl").exists():
                assert all(map(json.loads, (out / "log.jsonl").read_text().splitlines()))
            assert reached >= step
            within += step < reached < 12
            step = reached
        else:
            check_end()
            shutil.rmtree(out)
            step = 0
    run(project_root, *words, out, *resume())
    check_end()
    print(f"fit: {killed} kills, {within} of them after some steps and before the last")


def benchmark_words(data: Path, out: Path, *models: str) -> list[str | Path]:
    folders = [f"models/{model}" for model in models]
    return ["-m", "edge_runtime.benchmark", "--models", *folders, "--quick", "--data", data, "--out", out, "--overwrite"]


@pytest.mark.parametrize("kills", [2, many(14)])
def test_benchmark(kills: int, project_root: Path, scene_dir: Path, tmp_path: Path) -> None:
    out, part = tmp_path / "r.json", tmp_path / "r.json.part"
    words = benchmark_words(scene_dir, out, "unet_lite_s/onnx-int8")
    moment = moments(run(project_root, *words))

    def resume() -> list[str | Path]:
        return ["--resume", part] if part.exists() else []

    killed, resumed = 0, 0
    while killed < kills:
        if killed % 2:  # every other run finds no file
            out.unlink(missing_ok=True)
        before, flags = whole_files(tmp_path), resume()
        resumed += bool(flags)
        killed += kill(project_root, next(moment), *words, *flags)
        now = whole_files(tmp_path)
        assert set(now) <= {"r.json", "r.json.part"} and set(before) - {"r.json.part"} <= set(now)
        assert all(read_results(tmp_path / name).rows for name in now)
    rows = read_results(part).rows if part.exists() else None
    run(project_root, *words, *resume())
    done = read_results(out)
    assert all(fact.accuracy for fact in done.artifacts) and rows in (None, done.rows)
    assert not part.exists() and leftovers(tmp_path) == []
    print(f"benchmark: {killed} kills, {resumed} runs that went on")


def test_a_benchmark_that_was_stopped_goes_on(project_root: Path, scene_dir: Path, tmp_path: Path) -> None:
    out, part = tmp_path / "r.json", tmp_path / "r.json.part"
    command = [sys.executable, *map(str, benchmark_words(scene_dir, out, "unet_lite_s/onnx-int8", "u2netp/ncnn-fp16"))]
    with subprocess.Popen(command, cwd=project_root, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("accuracy: "):
                break
        process.kill()
    assert not out.exists(), said
    stopped = read_results(part)
    first = {fact.key for fact in stopped.artifacts if fact.accuracy}
    command += ["--resume", str(part)]
    changed = subprocess.run([*command, "--eval-count", "3"], cwd=project_root, capture_output=True, text=True)
    assert changed.returncode == 2 and "other --data, --split or --eval-count, expected" in changed.stderr
    went_on = subprocess.run(command, cwd=project_root, capture_output=True, text=True)
    assert went_on.returncode == 0 and "latency" not in went_on.stderr, went_on.stderr
    assert went_on.stderr.count("accuracy: ") == 2 - len(first)
    done = read_results(out)
    assert (done.rows, done.created_utc) == (stopped.rows, stopped.created_utc)
    assert all(fact.accuracy for fact in done.artifacts) and [path.name for path in tmp_path.iterdir()] == ["r.json"]
