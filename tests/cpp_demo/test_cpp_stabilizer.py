"""The stabilizer in C++ beside Python's, on a camera that stands, pans, turns and cuts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.images.formats import read_rgb
from edge_runtime.masks import stabilize

pytestmark = pytest.mark.slow
FRAMES, SIDE = 12, 192


def clip(image: np.ndarray, motion: str) -> list[np.ndarray]:
    """Return frames of a camera over an image."""
    frames = []
    for number in range(FRAMES):
        shift = {"stands": 0.0, "pans": 2.3 * number, "turns": 1.0 * number, "cuts": 0.0}[motion]
        angle = 0.8 * number if motion == "turns" else 0.0
        matrix = cv2.getRotationMatrix2D((SIDE / 2, SIDE / 2), angle, 1.0)
        matrix[0, 2] -= shift
        frame = cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        frames.append(frame[:, ::-1].copy() if motion == "cuts" and number >= FRAMES // 2 else frame)
    return frames


@pytest.mark.parametrize("motion", ["stands", "pans", "turns", "cuts"])
def test_it_follows_pythons(build: Path, scene_dir: Path, tmp_path: Path, motion: str) -> None:
    rng = np.random.default_rng(5)
    image = read_rgb(sorted((scene_dir / "test" / "images").iterdir())[1])
    frames = clip(image, motion)
    steady = stabilize.Stabilizer()
    stream, expected, rough = b"", [], []
    for frame in frames:
        smooth = cv2.GaussianBlur(frame[..., 2].astype(np.float32) / 255, (0, 0), 3)
        p = np.clip(smooth + rng.normal(0, 0.15, smooth.shape), 0, 1).astype(np.float32)
        stream += frame.tobytes() + p.tobytes()
        rough.append(p)
        expected.append(steady(frame, p).copy())
    (tmp_path / "in").write_bytes(stream)
    program = build / "tests" / "dump_stabilized"
    done = subprocess.run([program, str(SIDE), str(SIDE), tmp_path / "in", tmp_path / "out"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    got = np.frombuffer((tmp_path / "out").read_bytes(), np.float32).reshape(FRAMES, SIDE, SIDE)
    changed = np.abs(np.array(expected) - np.array(rough)).mean()
    apart = np.abs(got - np.array(expected)).mean()
    print(f"{motion}: Python changes {changed:.4f}, C++ differs from it by {apart:.4f}")
    assert changed > 0.03 and apart < 0.02 * changed
    assert done.stdout == f"{steady.cuts} cuts\n" and steady.cuts == (motion == "cuts")
