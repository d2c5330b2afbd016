"""The notebooks run, and each .ipynb is the executed copy of its .py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path for path in (ROOT / "notebooks").glob("*.py") if path.stem != "common")
CELL = re.compile(r"^# %%(?: \[markdown\])?\n(.*?)(?=^# %%|\Z)", flags=re.M | re.S)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[] if path.stem == "segment" else pytest.mark.full) for path in SCRIPTS],
)
def test_it_runs(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, path], env=os.environ | {"MPLBACKEND": "Agg"}, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_the_pair_is_executed_and_of_this_script(path: Path) -> None:
    cells = json.loads(path.with_suffix(".ipynb").read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    said = "`make notebooks` writes it"
    texts = [re.sub(r"^# ?", "", body, flags=re.M) for body in CELL.findall(path.read_text()) if body.startswith("# ")]
    bodies = [body for body in CELL.findall(path.read_text()) if not body.startswith("# ")]
    assert ["".join(cell["source"]).strip() for cell in code] == [body.strip() for body in bodies], said
    assert ["".join(cell["source"]).strip() for cell in cells if cell not in code] == [text.strip() for text in texts], said
    assert all(cell["execution_count"] for cell in code) and any(cell["outputs"] for cell in code), said
    assert not any(output["output_type"] == "error" for cell in code for output in cell["outputs"])


@pytest.mark.full
def test_make_executes_them() -> None:
    before = {path: path.with_suffix(".ipynb").read_bytes() for path in SCRIPTS}
    try:
        done = subprocess.run(["make", "-s", "notebooks"], cwd=ROOT, capture_output=True, text=True, timeout=550)
        assert done.returncode == 0, done.stderr[-2000:]
    finally:
        for path, content in before.items():
            path.with_suffix(".ipynb").write_bytes(content)
