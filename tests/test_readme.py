"""Every command and snippet that the README shows is run, in the README's order, and prints what the README says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", flags=re.M | re.S)
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")


def _run(words: list[str], root: Path) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"$ {shlex.join(words)}\n{result.stdout}{result.stderr}"
    return "".join(line.rstrip() + "\n" for line in result.stdout.splitlines() if line.strip())


def _shape(text: str) -> list[str]:
    """Return the lines without what differs from run to run: figures, the space that aligns them, who is the fastest."""
    lines = (re.sub(r"[\s━─]+", " ", NUMBER.sub("#", line)).strip() for line in text.splitlines())
    return sorted(line for line in lines if not line.startswith("warning: "))


def test_readme_commands_print_what_it_says(project_root: Path, request: pytest.FixtureRequest) -> None:
    path = project_root / "README.md"
    readme = path.read_text()
    blocks = BLOCK.findall(readme)
    assert sum(language == "console" for language, _ in blocks) >= 6 and any(language == "python" for language, _ in blocks)
    for language, block in blocks:
        if language == "python":
            _run([sys.executable, "-c", block], project_root)
            continue
        said = ""
        for command in (line[2:] for line in block.splitlines() if line.startswith("$ ")):
            words = shlex.split(command)
            if words[0] != "python" and not (project_root / words[0]).exists():
                pytest.fail(f"README runs {words[0]}, which is not here; `make cpp` builds the C++ demo")
            said += f"$ {command}\n{_run(words, project_root)}"
        if request.config.getoption("--rewrite-readme"):
            readme = readme.replace(f"```console\n{block}```", f"```console\n{said}```")
        else:
            assert _shape(said) == _shape(block), "pytest tests/test_readme.py --rewrite-readme puts in what is printed now"
    if request.config.getoption("--rewrite-readme"):
        path.write_text(readme)


def test_readme_figures_come_from_a_committed_result(project_root: Path, tmp_path: Path) -> None:
    readme = (project_root / "README.md").read_text()
    results = sorted(str(path.relative_to(project_root)) for path in (project_root / "results").glob("*.json"))
    assert results, "no committed result file; make bench writes one"
    again = tmp_path / "README.md"
    again.write_text(re.sub(r"(<!-- benchmark:begin -->).*(<!-- benchmark:end -->)", r"\1\n\2", readme, flags=re.S))
    report = ["-m", "edge_runtime.report", *results, "--out", str(tmp_path / "report"), "--readme", str(again)]
    _run([sys.executable, *report], project_root)
    table = [line for line in again.read_text().splitlines() if line.startswith("| ")]
    assert len(table) > 20 and all(line in readme for line in table)
