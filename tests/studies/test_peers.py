"""The study of the way from file to file, on small photos and without the tools of other environments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from export.consumers import environments
from studies import peers


@pytest.mark.slow
def test_each_tool_and_step_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "FOLDER", tmp_path / "none")
    monkeypatch.setattr(peers, "MEGAPIXELS", (0.05, 0.2))
    models = Path(__file__).resolve().parents[2] / "models"
    config = peers.PeersConfig(public=models / "unet_lite_s" / "onnx-fp32", runs=1, out=tmp_path / "out")
    peers.STUDY.main(config)
    for name in ("0.05_megapixels", "0.2_megapixels"):
        found = json.loads((tmp_path / "out" / f"{name}.json").read_text())
        assert len(found["cpu_ms"]) == 5 and min(found["cpu_ms"].values()) > 0 and found["photos"] == 8
        for steps in found["steps"].values():
            assert list(steps) == ["read", "resize", "network", "enlarge", "write"] and sum(steps.values()) > 0
        assert min(found["peak_bytes"].values()) > 10 << 20
    with pytest.raises(InputError, match="got no --public"):
        peers.STUDY.main(peers.PeersConfig(out=tmp_path))
