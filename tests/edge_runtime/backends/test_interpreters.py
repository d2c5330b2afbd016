"""Every TFLite interpreter that a device may have replays the golden pairs, each in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# tflite-runtime was built against numpy 1, and so needs an OpenCV of that time.
ENVIRONMENTS = {
    "tflite_runtime": ["tflite-runtime==2.14.0", "numpy==1.26.4", "opencv-python-headless==4.11.0.86"],
    "tensorflow": ["tensorflow-cpu==2.21.0", "numpy==2.4.6", "opencv-python-headless==5.0.0.93"],
}


@pytest.mark.full
@pytest.mark.parametrize("interpreter", ENVIRONMENTS)
def test_golden_pairs_replay(interpreter: str, project_root: Path, artifacts: dict[str, Path], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    wanted = [*ENVIRONMENTS[interpreter], "pillow==13.0.0", "tyro==0.9.17"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", project_root], check=True)
    released = sorted(project_root.glob("models/*/tflite-*"))
    result = subprocess.run(
        [python, "-m", "edge_runtime.verify", artifacts["tflite-fp32"], *released],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    name = subprocess.run(
        [python, "-c", "from edge_runtime.backends import FORMATS; print(FORMATS['tflite'].installed()[0])"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert name.stdout.strip().startswith(interpreter.split("_")[0])
