"""The proof of refinement: one small run of the command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from studies.refinement import KINDS, METHODS

pytestmark = pytest.mark.slow


def test_the_command(project_root: Path, tmp_path: Path) -> None:
    words = ["studies/refinement.py", "--parts", "scenes", "--scenes", "1", "--scene-size", "96", "128"]
    words += ["--out", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=project_root, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "unet_lite.json").read_text())
    assert set(report) == {"model", "scenes"}
    for maps in ("network_map", "exact_map"):
        assert set(report["scenes"][maps]) == set(KINDS)
        assert all(set(found) == set(METHODS) for found in report["scenes"][maps].values())
    with Image.open(tmp_path / "example.jpg") as example:
        assert example.size == (3 * 96, 96)
    done = subprocess.run([sys.executable, *words[:1], "--parts", "data"], cwd=project_root, capture_output=True, text=True)
    assert done.returncode == 2 and "got no --data" in done.stderr
