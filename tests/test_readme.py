"""Every command and snippet that the README shows is run, in the README's order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


def _blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", readme, flags=re.M | re.S)


def test_readme_commands_run(project_root: Path) -> None:
    readme = (project_root / "README.md").read_text()
    commands = [line[2:] for block in _blocks(readme, "console") for line in block.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 10
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    snippets_due = _blocks(readme, "python")
    for command in commands:
        words = shlex.split(command)
        if not (project_root / words[0]).exists() and words[0] != "python":
            pytest.fail(f"README runs {words[0]}, which is not here; `make cpp` builds the C++ demo")
        result = subprocess.run(words, cwd=project_root, env=environment, capture_output=True, text=True, timeout=600)
        assert result.returncode == 0, f"$ {command}\n{result.stdout}{result.stderr}"
        while snippets_due and (project_root / "build/scenes/test/images").is_dir():
            snippet = subprocess.run(
                [sys.executable, "-c", snippets_due.pop(0)], cwd=project_root, capture_output=True, text=True
            )
            assert snippet.returncode == 0, snippet.stderr
    assert not snippets_due
