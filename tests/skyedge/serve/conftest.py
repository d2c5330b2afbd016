"""A server as it runs by default."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def serve_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address of a server and the file with its log."""
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as file:
        words = [sys.executable, "-m", "skyedge", "serve", "--port", "0"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=file, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1], log
    process.terminate()
    process.wait(timeout=60)
