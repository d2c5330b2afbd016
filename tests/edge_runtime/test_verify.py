"""`python -m edge_runtime.verify`: every artifact is tried, and the exit code says what was found."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime import Segmenter
from edge_runtime.artifact.golden import Replay, pack_mask, replay, unpack_mask
from edge_runtime.errors import GateError, InputError
from edge_runtime.segmenter import load_models

MODELS = Path(__file__).resolve().parents[2] / "models"


def verify(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge_runtime.verify", *map(str, words)], capture_output=True, text=True)


@pytest.fixture
def wrong_golden(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    """Return an artifact whose golden output is another than the model's."""
    folder = tmp_path / "wrong_golden"
    shutil.copytree(artifacts["onnx-fp32"], folder)
    sky = np.load(folder / "golden_out.npy")
    np.save(folder / "golden_out.npy", (1 - sky).astype(np.float32))
    values = json.loads((folder / "model.json").read_text())
    del values["provenance"]["golden_sha256"]  # else the digest tells
    (folder / "model.json").write_text(json.dumps(values))
    return folder


@pytest.fixture
def damaged(artifacts: dict[str, Path], tmp_path: Path) -> Path:
    """Return an artifact with one wrong byte in its model."""
    folder = tmp_path / "damaged"
    shutil.copytree(artifacts["onnx-fp32"], folder)
    content = bytearray((folder / "model.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.onnx").write_bytes(content)
    return folder


@pytest.mark.slow
def test_golden_pairs_hold(artifacts: dict[str, Path]) -> None:
    folders = [artifacts[f"{name}-fp32"] for name in ("onnx", "tflite", "ncnn", "torch")]
    result = verify(*folders, "--threads", "2")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    for folder, line in zip(folders, lines, strict=True):
        assert line.startswith(f"{folder}: ") and line.endswith(", ok")
        assert "max abs difference" in line and "tolerance" in line


@pytest.mark.slow
def test_a_golden_pair_that_does_not_hold(wrong_golden: Path, artifacts: dict[str, Path]) -> None:
    result = verify(wrong_golden, artifacts["onnx-fp32"])
    assert result.returncode == 1
    assert result.stdout.splitlines()[0].endswith(", FAILED") and result.stdout.splitlines()[1].endswith(", ok")
    assert "gate failed" in result.stderr and str(wrong_golden) in result.stderr
    assert str(artifacts["onnx-fp32"]) not in result.stderr
    with pytest.raises(GateError, match=r"does not hold for .*wrong_golden .another result on this machine.*; update the"):
        load_models([artifacts["onnx-fp32"], wrong_golden], check=True)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(wrong_golden.parent / "a.png")
    words = ("a.png", "--model", wrong_golden.name, "--out", "masks")
    command = [sys.executable, "-m", "edge_runtime.segment", *words]
    done = subprocess.run(command, cwd=wrong_golden.parent, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("gate failed: the golden pair does not hold for wrong_golden"), (
        done.stderr
    )
    assert not (wrong_golden.parent / "masks").exists()


@pytest.mark.slow
def test_unreadable_artifacts_and_all_others_tried(
    damaged: Path, wrong_golden: Path, artifacts: dict[str, Path], tmp_path: Path
) -> None:
    result = verify(damaged, tmp_path / "absent", wrong_golden, artifacts["onnx-fp32"])
    assert result.returncode == 2 and "Traceback" not in result.stderr
    lines = result.stdout.splitlines()
    assert [line.rpartition(" ")[2] for line in lines] == ["verified", "verified", "FAILED", "ok"]
    assert "got sha256" in result.stderr and "no such folder" in result.stderr
    assert "2 of 4 artifacts cannot be verified" in result.stderr


def test_usage() -> None:
    result = verify()
    assert result.returncode == 2 and "got no artifact" in result.stderr
    result = verify("--help")
    assert result.returncode == 0 and "golden pairs" in result.stdout and "--threads" in result.stdout


def test_nan_never_passes() -> None:
    assert Replay(0.0, 0.0, 0.5).ok and Replay(1e-5, 1e-4, 0.5, 0.95).ok
    assert not Replay(1e-4, 1e-5, 0.5).ok and not Replay(float("nan"), 0.5, 1.0).ok
    assert not Replay(0.0, 0.25, 0.2).ok  # a constant output would hold
    assert not Replay(0.0, 0.25, 1.0, 0.5).ok and not Replay(0.0, 0.25, 1.0, float("nan")).ok


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", None, 5, {}, "eJw="])
def test_a_broken_fp32_mask_is_refused(text: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="packed mask"):
        unpack_mask(text, (8, 8))


def test_masks_are_packed_and_back() -> None:
    sky = np.random.default_rng(0).random((13, 7)).astype(np.float32)
    assert np.array_equal(unpack_mask(pack_mask(sky), (13, 7)), sky >= 0.5)
    bomb = base64.b64encode(zlib.compress(bytes(10**8))).decode()
    with pytest.raises(InputError, match="3 bytes or more"):  # unpacked no further than the mask goes
        unpack_mask(bomb, (4, 4))


def test_int8_that_lost_the_sky_fails_although_it_repeats_itself(tmp_path: Path) -> None:
    """The golden output of an int8 artifact is its own; what float32 found is what tells that it is wrong."""
    for name, flipped in (("good", False), ("bad", True)):
        folder = tmp_path / name
        shutil.copytree(MODELS / "unet_lite_s" / "onnx-int8", folder)
        values = json.loads((folder / "model.json").read_text())
        sky = np.load(folder / "golden_out.npy")
        values["provenance"]["golden_fp32_mask"] = pack_mask(1 - sky if flipped else sky)
        (folder / "model.json").write_text(json.dumps(values))
        segmenter = Segmenter.load(folder)
        found = replay(segmenter.artifact, segmenter.backend.run)
        assert found.ok is not flipped and found.agreement is not None
    assert "agreement with fp32 is 0.0" in str(found.fault)
