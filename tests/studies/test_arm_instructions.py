"""The instruction counts: the plugin counts, and the result file is about the artifacts that are released."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies.arm_instructions import CPUS, PROGRAM, STUDY, build_plugin, count

pytestmark = pytest.mark.slow


def test_one_program_has_one_count(tmp_path: Path) -> None:
    program = PROGRAM.parent.parent / "skyedge"
    if not program.is_file() or shutil.which("qemu-aarch64") is None:
        pytest.skip("cpp_demo/build/aarch64/skyedge or qemu-aarch64 is missing; run `make cpp-arm`")
    plugin = build_plugin(tmp_path)
    version, again = (count(plugin, "cortex-a53", program, "--version") for _ in range(2))
    assert version == again > 1000
    assert count(plugin, "cortex-a53", program, "--help") != version
    with pytest.raises(InputError, match="failed"):
        count(plugin, "cortex-a53", program, "--nonsense")


def test_the_result_is_about_the_released_artifacts(project_root: Path) -> None:
    result = json.loads((project_root / "results" / "arm_instructions" / "arm_instructions.json").read_text())
    assert "Not a latency" in STUDY.markdown(result)
    released = {}
    for path in (project_root / "models").glob("*/ncnn-*/model.json"):
        spec = json.loads(path.read_text())
        released[spec["name"]] = {role: entry["sha256"] for role, entry in spec["files"].items()}
    rows = result["rows"]
    assert {(row["artifact"], row["cpu"]) for row in rows} == {(name, cpu) for name in released for cpu in CPUS}
    for row in rows:
        assert row["files"] == released[row["artifact"]], f"{row['artifact']}: run python studies/arm_instructions.py again"
        assert row["instructions"] > 1e6
