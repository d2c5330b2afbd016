"""Fixtures of the C++ demo's tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def build(project_root: Path) -> Path:
    """Return the folder that `make cpp` fills."""
    folder = project_root / "cpp_demo" / "build"
    if not (folder / "skyedge").is_file():
        pytest.skip("cpp_demo/build/skyedge is not built; run `make cpp`")
    return folder


@pytest.fixture(scope="session")
def skyedge(build: Path) -> Path:
    """Return the program that `make cpp` builds."""
    return build / "skyedge"


@pytest.fixture(scope="session")
def jni(build: Path, project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return libskyedge_jni.so of the Android project, built against a JDK and the installed package."""
    java = shutil.which("javac")
    if java is None:
        pytest.skip("no JDK is here")
    folder = tmp_path_factory.mktemp("jni")
    sources = project_root / "cpp_demo" / "android" / "skyedge" / "src" / "main" / "cpp"
    for words in (
        ["cmake", "--install", build, "--prefix", folder / "package"],
        ["cmake", "-S", sources, "-B", folder / "b", f"-DCMAKE_PREFIX_PATH={folder / 'package'}"],
        ["cmake", "--build", folder / "b"],
    ):
        environment = os.environ | {"JAVA_HOME": str(Path(java).resolve().parents[1])}
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "b" / "libskyedge_jni.so"
