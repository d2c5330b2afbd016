"""The camera for 20 minutes: memory must not grow."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

MINUTES = 20
PAGE_GROWTH_MIB = 10  # of the page and its workers, between the second and the last quarter
GROWTH_MIB = 200  # of all processes, which move between two levels about 110 apart; one frame has 1.2


@pytest.mark.full
@pytest.mark.timeout(60 * MINUTES + 300)
def test_camera_runs_for_20_minutes_without_growth(
    web_demo: Path, chromium: str, node: str, project_root: Path, moving_clip: Path, tmp_path: Path
) -> None:
    job = tmp_path / "job.json"
    job.write_text(
        json.dumps({"demo": str(web_demo), "folder": str(tmp_path), "clip": str(moving_clip), "minutes": MINUTES}),
        encoding="utf-8",
    )
    script = project_root / "tests" / "web_demo" / "soak.mjs"
    subprocess.run(
        [node, str(script), str(job)], check=True, timeout=60 * MINUTES + 240, env={**os.environ, "CHROMIUM": chromium}
    )
    soak = json.loads((tmp_path / "soak.json").read_text(encoding="utf-8"))
    assert soak["errors"] == [] and soak["status"] == ""
    frames = [sample["frames"] for sample in soak["samples"]]
    assert all(later > earlier for earlier, later in zip(frames, frames[1:], strict=False)), "the camera stood still"
    for name, most in (("pageMib", PAGE_GROWTH_MIB), ("mib", GROWTH_MIB)):
        mib = np.array([sample[name] for sample in soak["samples"]])
        quarter = len(mib) // 4
        assert np.median(mib[-quarter:]) - np.median(mib[quarter : 2 * quarter]) < most, name
