"""Golden pairs on an x86 CPU without VNNI, whose kernels add int8 products in 16 bits and may saturate."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.full  # minutes: an emulated processor
@pytest.mark.parametrize("kind", ["onnx-int8", "tflite-int8", "ncnn-int8"])
def test_golden_pair_holds_on_haswell(kind: str, project_root: Path) -> None:
    emulator = shutil.which("qemu-x86_64")
    if emulator is None:
        pytest.skip("qemu-x86_64 is not installed; run `make packages`")
    words = [emulator, "-cpu", "Haswell", sys.executable, "-m", "edge_runtime.verify", f"models/unet_lite_s/{kind}"]
    result = subprocess.run(words, cwd=project_root, capture_output=True, text=True, timeout=1800)
    assert result.returncode == 0, result.stderr
    assert result.stdout.rstrip().endswith("ok"), result.stdout
