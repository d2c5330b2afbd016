"""What a command in this process gave: Python's start takes longer than most of what tests of messages do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """Exit code and outputs of a command, as `subprocess.run` returns them."""

    returncode: int
    stdout: str
    stderr: str
