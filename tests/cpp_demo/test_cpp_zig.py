"""The core compiles for systems that are not here, with Zig's compiler and its headers of their C libraries.

Nothing is linked or run for macOS, Windows and 32-bit Arm; `make dist` links for Linux on two processors.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.full


@pytest.mark.parametrize("target", ["aarch64-macos", "x86_64-windows-gnu", "arm-linux-musleabihf"])
def test_the_core_compiles(target: str, zig: Path, build: Path, project_root: Path, tmp_path: Path) -> None:
    subprocess.run(
        ["cmake", "--install", build, "--prefix", tmp_path], check=True, stdout=subprocess.DEVNULL
    )  # with ncnn's headers
    folders = (
        project_root / "cpp_demo",
        tmp_path / "include",
        tmp_path / "include" / "ncnn",
        build / "headers",
    )
    include = [f"-I{folder}" for folder in folders]
    for source in sorted((project_root / "cpp_demo" / "core").rglob("*.cpp")):
        words = [zig, "c++", "-target", target, "-std=c++17", "-Wall", "-Wextra", *include]
        done = subprocess.run([*words, "-c", source, "-o", tmp_path / "o.o"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-2000:]
