"""The script that fetches and builds ncnn: what it refuses, and that a second call has nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SDIST = "ncnn-1.0.20261020.tar.gz"


def run(project_root: Path, *words: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run get_ncnn.py with no pip settings but `settings` (environment variables)."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    return subprocess.run(
        [sys.executable, project_root / "cpp_demo" / "tools" / "get_ncnn.py", *words],
        env={**inherited, "PIP_CONFIG_FILE": os.devnull, **settings},
        capture_output=True,
        text=True,
    )


def test_help_and_bad_jobs(project_root: Path) -> None:
    assert "--cache" in run(project_root, "--help").stdout
    refused = run(project_root, "--jobs", "0")
    assert refused.returncode == 2
    assert "got --jobs 0, expected 1 or more" in refused.stderr


def test_bad_toolchains(project_root: Path, tmp_path: Path) -> None:
    missing = run(project_root, "--toolchain", tmp_path / "missing.cmake")
    assert missing.returncode == 2
    assert "missing.cmake, expected an existing file such as cpp_demo/cmake/aarch64.cmake" in missing.stderr
    (tmp_path / "empty.cmake").write_text("set(CMAKE_SYSTEM_NAME Linux)\n")
    empty = run(project_root, "--cache", tmp_path, "--toolchain", tmp_path / "empty.cmake")
    assert empty.returncode == 2
    assert "got no line set(CMAKE_CXX_COMPILER ...)" in empty.stderr


def test_without_an_index_it_says_what_to_do(project_root: Path, tmp_path: Path) -> None:
    done = run(project_root, "--cache", tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 2
    assert "pip is set to no-index" in done.stderr and "PIP_INDEX_URL" in done.stderr


def test_another_file_under_the_same_name_is_refused(project_root: Path, tmp_path: Path) -> None:
    page = tmp_path / "index" / "ncnn"
    page.mkdir(parents=True)
    (page / "index.html").write_text(f'<a href="{SDIST}#sha256=0">{SDIST}</a>')
    (page / SDIST).write_bytes(b"something else")
    done = run(project_root, "--cache", tmp_path / "cache", PIP_INDEX_URL=(tmp_path / "index").as_uri())
    assert done.returncode == 2
    assert "sha256 " in done.stderr and "expected ad8cdd63e975" in done.stderr
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_a_second_call_only_looks_into_the_cache(project_root: Path) -> None:
    if not list((project_root / ".cache").glob("ncnn-*/lib/cmake/ncnn")):
        pytest.skip("no ncnn was built here; run `make cpp`")
    done = run(project_root, PIP_NO_INDEX="1")  # the cache needs no index
    assert done.returncode == 0, done.stderr
    assert (Path(done.stdout.strip()) / "ncnnConfig.cmake").is_file()
