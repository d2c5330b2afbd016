"""Runs other programs, for the tools of this folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edge_runtime.errors import InputError

PROJECT = Path(__file__).resolve().parents[1]


def run(*words: str | Path, folder: Path = PROJECT) -> str:
    """Run a command in `folder` and return what it prints; raises `InputError` with the end of its messages where it fails."""
    done = subprocess.run([str(word) for word in words], cwd=folder, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-1000:]
        raise InputError(f"{Path(words[0]).name} failed (exit {done.returncode}): {said}; correct what it names")
    return done.stdout
