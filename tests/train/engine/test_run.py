"""Nothing of a run is lost or silently wrong: bad states, other data, full disks, signals, losses that are not finite."""

from __future__ import annotations

import dataclasses
import math
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from edge_runtime.errors import GateError, InputError
from train.engine.presets import FitConfig
from train.fit import fit

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def begun(split_scenes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> FitConfig:
    """A run of 3 steps that was stopped after the first."""
    folder = tmp_path_factory.mktemp("begun")
    config = FitConfig("unet_lite_s", data=(split_scenes(folder / "data", train=3),), sizes=(64,), steps=(3,), batches=(2,))
    config = dataclasses.replace(config, out=folder / "run", precision="fp32", warmup=0)
    fit(dataclasses.replace(config, stop_at_step=1))
    return config


@pytest.fixture
def run(begun: FitConfig, tmp_path: Path) -> FitConfig:
    """The same in a folder of the test's own, to be resumed."""
    assert begun.out is not None
    shutil.copytree(begun.out, tmp_path / "run")
    return dataclasses.replace(begun, out=tmp_path / "run", resume=True)


def content(config: FitConfig) -> dict[str, bytes]:
    assert config.out is not None
    return {path.name: path.read_bytes() for path in config.out.iterdir()}


def change_state(config: FitConfig, change: Callable[[dict[str, Any]], Any]) -> None:
    assert config.out is not None
    state = torch.load(config.out / "resume.pt", weights_only=True)
    change(state)
    torch.save(state, config.out / "resume.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update(step=4), "got step 4 .* expected at most 3"),
        (lambda state: state.update(step=-1), "got step -1"),
        (lambda state: state.update(step="1"), "got 'step' of type str"),
        (lambda state: state.update(model=[1]), "got 'model' of type list"),
        (lambda state: state.pop("average"), "without the field 'average'"),
        (lambda state: state["model"].update({"head.bias": torch.zeros(7)}), "does not fit this network"),
        (lambda state: state["model"].update({"head.bias": "text"}), "got 'head.bias' of type str"),
        (lambda state: state["average"]["head.bias"].fill_(math.nan), "NaN or infinity in 'head.bias'"),
        (lambda state: state["optimizer"].pop("state"), "does not fit this network"),
        (lambda state: state["optimizer"]["state"][0].update(exp_avg=torch.zeros(5)), "exp_avg of the optimizer has shape"),
        (lambda state: state["log"].clear(), "got a log of 0 rows"),
        (lambda state: state.update(log=["row"]), "got a log of 1 rows"),
        (lambda state: state["facts"].update(lr=0.5), "another lr than"),
    ],
)
def test_damaged_states_are_refused(run: FitConfig, change: Callable[[dict[str, Any]], Any], message: str) -> None:
    change_state(run, change)
    before = content(run)
    with pytest.raises(InputError, match=message):
        fit(run)
    assert content(run) == before


def test_files_that_are_no_states_are_refused(run: FitConfig) -> None:
    assert run.out is not None
    state = run.out / "resume.pt"
    whole = state.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], (run.out / "checkpoint.pt").read_bytes()):
        state.write_bytes(damaged)
        with pytest.raises(InputError, match=r"resume\.pt.*Start the run again with --overwrite"):
            fit(run)


def test_other_data_under_the_same_name_is_refused(run: FitConfig, tmp_path: Path) -> None:
    shutil.copytree(run.data[0], tmp_path / "data")
    same = dataclasses.replace(run, data=(tmp_path / "data",))
    fit(dataclasses.replace(same, stop_at_step=2))
    masks = sorted((tmp_path / "data" / "train" / "masks").iterdir())
    shutil.copy(masks[0], masks[1])
    with pytest.raises(InputError, match="another content of --data"):
        fit(same)


def test_a_run_is_replaced_only_when_asked(run: FitConfig) -> None:
    before = content(run)
    fresh = dataclasses.replace(run, resume=False, seed=5)
    with pytest.raises(InputError, match=r"holds checkpoint\.pt and resume\.pt .*--resume goes on .*--overwrite replaces"):
        fit(fresh)
    assert content(run) == before
    fit(dataclasses.replace(fresh, overwrite=True, stop_at_step=1))
    assert content(run)["checkpoint.pt"] != before["checkpoint.pt"]


def test_a_loss_that_is_not_finite_ends_the_run(run: FitConfig) -> None:
    change_state(run, lambda state: state["model"]["head.bias"].fill_(3e38))
    before = content(run)
    with pytest.raises(GateError, match="in step 2, expected finite numbers; .* Lower --lr"):
        fit(run)
    assert content(run) == before


def test_a_full_disk_keeps_the_old_state(run: FitConfig) -> None:
    before = content(run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))  # writing more fails as on a full disk
    try:
        with pytest.raises(InputError, match=r"cannot write .*resume\.pt: .* MB are free there.* Free some space"):
            fit(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert content(run) == before, "a partial file is left, or an old one was touched"


LOOP = """
import os, sys
from rich.console import Console
from train.engine.loop import Pace, run_loop

done, saved = [], []

def step(batch, _stop):
    if batch == 3:
        os.kill(os.getpid(), int(sys.argv[1]))
    done.append(batch)
    return 0.0

try:
    run_loop(range(10), step, lambda: saved.append(len(done)), Pace("test", 10), Console(quiet=True))
except BaseException as left:
    print(type(left).__name__, done, saved)
"""


@pytest.mark.parametrize(
    ("number", "leaves"), [(signal.SIGTERM, "Terminated"), (signal.SIGHUP, "Terminated"), (signal.SIGINT, "KeyboardInterrupt")]
)
def test_signals_end_the_loop_after_the_step_and_save(number: int, leaves: str, project_root: Path) -> None:
    # A process of its own: under nohup SIGHUP is ignored, which a child inherits.
    words = [sys.executable, "-c", LOOP, str(int(number))]
    ended = subprocess.run(
        words, cwd=project_root, capture_output=True, text=True, timeout=300,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )  # fmt: skip
    assert ended.stdout.strip() == f"{leaves} [0, 1, 2, 3] [4]", ended.stderr


def test_terminated_training_keeps_all_steps(begun: FitConfig, tmp_path: Path, project_root: Path) -> None:
    words = [
        "train/fit.py",
        "unet_lite_s",
        "--data",
        begun.data[0],
        "--val",
        tmp_path / "val",
        "--sizes",
        "64",
        "--steps",
        "9999",
    ]
    words += ["--batches", "2", "--val-every", "1", "--save-minutes", "999", "--workers", "1", "--out", tmp_path / "run"]
    shutil.copytree(begun.data[0] / "train", tmp_path / "val" / "val")
    process = subprocess.Popen([sys.executable, *map(str, words)], cwd=project_root, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if line.startswith("step 2:"):
                break
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(timeout=120) == 143 and "--resume" in rest and "Traceback" not in rest
    finally:
        process.kill()
        process.wait()
    assert torch.load(tmp_path / "run" / "resume.pt", weights_only=True)["step"] >= 2
