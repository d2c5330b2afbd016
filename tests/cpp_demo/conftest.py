"""Fixtures of the C++ demo's tests."""

from __future__ import annotations

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
