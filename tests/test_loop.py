"""What `make check` promises: it installs nothing, and leaves out what is marked `slow`."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("words", [(sys.executable, "-m", "pip", "--version"), ("npm", "--version"), ("/usr/bin/apt-get", "-v")])
def test_a_quick_test_cannot_start_a_package_manager(words: tuple[str, ...]) -> None:
    with pytest.raises(pytest.fail.Exception, match="`slow` or `full`"):
        subprocess.run(words, capture_output=True)


@pytest.mark.slow
def test_a_slow_test_can() -> None:
    assert subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode == 0
