"""What the profile of an ONNX artifact says of its operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies import operators
from studies.operators import Config, markdown, profile
from train.models import count_macs, load_checkpoint

MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_every_mac_of_the_network_is_found_in_the_graph_that_runs(precision: str, tmp_path: Path) -> None:
    network = load_checkpoint(MODELS / "unet_lite_s" / "checkpoint.pt")
    artifact = MODELS / "unet_lite_s" / f"onnx-{precision}"
    result = profile(Config(artifact, runs=3))
    padding = result["macs"] / count_macs(network.build(), network.size)
    assert padding == 1.0 if precision == "int8" else 1.0 < padding < 1.4
    assert result["matrix_product_gmacs"] > result["macs"] / result["ms"] / 1e6 > 0
    depthwise = [node for node in result["nodes"] if node["operator"].endswith("depthwise")]
    assert len(depthwise) >= 10 and all(node["macs"] % 9 == 0 for node in depthwise)
    operators.main(Config(artifact, runs=1, out=tmp_path))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".md"]
    assert "depthwise" in markdown(result) and f"{result['macs'] / 1e9:.3f} GMACs" in markdown(result)


def test_other_formats_and_bad_values_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="of format tflite, expected onnx"):
        profile(Config(MODELS / "unet_lite_s" / "tflite-int8"))
    with pytest.raises(InputError, match="expected a positive clock"):
        profile(Config(MODELS / "unet_lite_s" / "onnx-int8", runs=0))
    assert not list(tmp_path.iterdir())
