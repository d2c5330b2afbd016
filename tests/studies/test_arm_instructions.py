"""The instruction counts: the plugin counts, and the result file is about the artifacts that are released."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def script(project_root: Path) -> ModuleType:
    """Return studies/arm_instructions.py as a module."""
    spec = importlib.util.spec_from_file_location("arm_instructions", project_root / "studies" / "arm_instructions.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_program_has_one_count(script: ModuleType, tmp_path: Path) -> None:
    program = script.PROGRAM.parent.parent / "skyedge"
    if not program.is_file() or shutil.which("qemu-aarch64") is None:
        pytest.skip("cpp_demo/build/aarch64/skyedge or qemu-aarch64 is missing; run `make cpp-arm`")
    plugin = script.build_plugin(tmp_path)
    version, again = (script.count(plugin, "cortex-a53", program, "--version") for _ in range(2))
    assert version == again > 1000
    assert script.count(plugin, "cortex-a53", program, "--help") != version
    with pytest.raises(script.CountError, match="failed"):
        script.count(plugin, "cortex-a53", program, "--nonsense")


def test_the_result_is_about_the_released_artifacts(script: ModuleType, project_root: Path) -> None:
    result = json.loads(script.RESULT.read_text())
    assert "Not a latency" in result["what"]
    released = {}
    for path in (project_root / "models").glob("*/ncnn-*/model.json"):
        spec = json.loads(path.read_text())
        released[spec["name"]] = {role: entry["sha256"] for role, entry in spec["files"].items()}
    rows = result["rows"]
    assert {(row["artifact"], row["cpu"]) for row in rows} == {(name, cpu) for name in released for cpu in script.CPUS}
    for row in rows:
        assert row["files"] == released[row["artifact"]], f"{row['artifact']}: run python studies/arm_instructions.py again"
        assert row["instructions"] > 1e6
