"""skyedge.batch, in an environment with Ray of its own: the files inside_*.py here are test files for its pytest."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export.consumers import environments

HERE = Path(__file__).parent


@pytest.mark.full
@pytest.mark.parametrize("name", [path.stem for path in sorted(HERE.glob("inside_*.py"))])
@pytest.mark.timeout(1800)
def test_in_the_environment_of_ray(name: str, project_root: Path, tmp_path: Path) -> None:
    python = environments.make("ray")
    words = [python, "-m", "pytest", HERE / f"{name}.py", "-q", "-p", "no:cacheprovider", "--basetemp", tmp_path / "inside"]
    environment = os.environ | {"PYTHONPATH": str(project_root), "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
    done = subprocess.run(list(map(str, words)), cwd=project_root, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout[-20_000:] + done.stderr[-5_000:]


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is here")
def test_without_ray_the_extra_is_named(project_root: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "skyedge.batch", tmp_path, "--model", "unet_lite_s", "--out", tmp_path / "out"]
    done = subprocess.run(list(map(str, words)), cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 2 and "pip install 'skyedge[batch]'" in done.stderr
    assert not (tmp_path / "out").exists()
