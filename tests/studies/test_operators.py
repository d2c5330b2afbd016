"""What the profile of an ONNX artifact says of its operators."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies.operators import STUDY, OperatorsConfig, measure
from train.models import count_macs, load_checkpoint

pytestmark = pytest.mark.slow
MODELS = Path(__file__).parents[2] / "models"


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_every_mac_of_the_network_is_found_in_the_graph_that_runs(precision: str) -> None:
    network = load_checkpoint(MODELS / "unet_lite_s" / "checkpoint.pt")
    artifact = MODELS / "unet_lite_s" / f"onnx-{precision}"
    ((name, result),) = measure(OperatorsConfig(model=artifact, runs=3))
    padding = result["macs"] / count_macs(network.build(), network.size)
    assert padding == 1.0 if precision == "int8" else 1.0 < padding < 1.4
    depthwise = [node for node in result["nodes"] if node["operator"].endswith("depthwise")]
    assert len(depthwise) >= 10 and all(node["macs"] % 9 == 0 for node in depthwise)
    page = STUDY.markdown(result)
    assert f"# Operators of {name}" in page and "depthwise" in page and f"{result['macs'] / 1e9:.3f} GMACs" in page


def test_other_formats_and_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="of format tflite, expected onnx"):
        list(measure(OperatorsConfig(model=MODELS / "unet_lite_s" / "tflite-int8")))
    with pytest.raises(InputError, match="got --runs 0, expected 1 or more"):
        list(measure(OperatorsConfig(runs=0)))
    with pytest.raises(InputError, match="got --clock-ghz nan"):
        list(measure(OperatorsConfig(clock_ghz=float("nan"))))
