"""The script that fetches and builds ncnn: what it refuses, and that a second call has nothing to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
SDIST = "ncnn-1.0.20261020.tar.gz"


def run(project_root: Path, cache: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run get_ncnn.cmake with no pip settings but `settings` (environment variables)."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    script = project_root / "cpp_demo" / "cmake" / "get_ncnn.cmake"
    return subprocess.run(
        ["cmake", f"-DSKYEDGE_CACHE={cache}", f"-DPython3_EXECUTABLE={sys.executable}", *words, "-P", script],
        env={**inherited, "PIP_CONFIG_FILE": os.devnull, **settings},
        capture_output=True,
        text=True,
    )


def test_without_an_index_it_says_what_to_do(project_root: Path, tmp_path: Path) -> None:
    done = run(project_root, tmp_path, PIP_NO_INDEX="1")
    assert done.returncode != 0
    for said in ("pip is set to no-index", "PIP_INDEX_URL", "-DSKYEDGE_NCNN_URL=", "-Dncnn_DIR="):
        assert said in done.stderr, done.stderr


def test_another_file_under_the_same_name_is_refused(project_root: Path, tmp_path: Path) -> None:
    page = tmp_path / "index" / "ncnn"
    page.mkdir(parents=True)
    (page / "index.html").write_text(f'<a href="{SDIST}#sha256=0">{SDIST}</a>')
    (page / SDIST).write_bytes(b"something else")
    for words, settings in (
        ((), {"PIP_INDEX_URL": (tmp_path / "index").as_uri()}),
        ((f"-DSKYEDGE_NCNN_URL={page / SDIST}",), {}),
    ):
        done = run(project_root, tmp_path / "cache", *words, **settings)
        assert done.returncode != 0
        assert "sha256 " in done.stderr and "expected ad8cdd63e975" in done.stderr
        assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def test_a_second_call_only_looks_into_the_cache(project_root: Path) -> None:
    if not list((project_root / ".cache").glob("ncnn-*/lib/cmake/ncnn")):
        pytest.skip("no ncnn was built here; run `make cpp`")
    done = run(project_root, project_root / ".cache", PIP_NO_INDEX="1")  # the cache needs no index
    assert done.returncode == 0, done.stderr
    assert (Path(done.stdout.split()[-1]) / "ncnnConfig.cmake").is_file()
