"""Which programs take an artifact: real ones are run, and the rules for others are tried on graphs that break them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.errors import GateError, InputError
from export import lint
from export.consumers import onnx_checks, tflite_checks
from export.consumers.verdict import Verdict, replay
from export.lint import BEGIN, END, LintConfig, markdown


def test_every_program_takes_the_float_onnx(artifacts: dict[str, Path]) -> None:
    found = {verdict.consumer: verdict for verdict in lint.lint(read_artifact(artifacts["onnx-fp32"]))}
    assert {name for name, verdict in found.items() if verdict.how == "run"} == {"onnxruntime", "OpenVINO", "OpenCV DNN"}
    assert all(verdict.takes for verdict in found.values()), found
    assert all(verdict.agreement == 1.0 for verdict in found.values() if verdict.how == "run")
    assert "103 of 103 nodes in 1 partitions" in found["onnxruntime NNAPI"].why


def test_float_tflite_runs_whole_in_xnnpack_and_elsewhere(artifacts: dict[str, Path]) -> None:
    found = {verdict.consumer: verdict for verdict in lint.lint(read_artifact(artifacts["tflite-fp32"]))}
    assert found["LiteRT, XNNPACK"].why == "1 XNNPACK partition" and found["TFLite GPU delegate"].takes
    assert found["OpenVINO"].takes and found["OpenVINO"].agreement == 1.0
    assert found["MediaPipe Tasks"].takes is not False


def test_rules_of_programs_that_are_not_here() -> None:
    point = helper.make_tensor("point", TensorProto.UINT8, [], [3])
    scale = helper.make_tensor("scale", TensorProto.FLOAT, [], [1.0])
    nodes = [
        helper.make_node("MaxPool", ["image"], ["a"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        helper.make_node("QuantizeLinear", ["a", "scale", "point"], ["b"]),
        helper.make_node("Einsum", ["b"], ["sky"], equation="ij->ji"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("image", "sky")]
    model = helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], [scale, point]))
    web, tensorrt = onnx_checks._webgpu(model), onnx_checks._tensorrt(model)
    assert not web.takes and "MaxPool with ceil_mode (1)" in web.why and "Einsum, QuantizeLinear run in WebAssembly" in web.why
    assert not tensorrt.takes and "unknown: Einsum" in tensorrt.why and "symmetric int8" in tensorrt.why


def test_exported_resizes_have_no_input_without_a_name(artifacts: dict[str, Path]) -> None:
    graph = onnx.load(artifacts["onnx-fp32"] / "model.onnx").graph
    resizes = [node for node in graph.node if node.op_type == "Resize"]
    assert len(resizes) == 5 and all(all(node.input) for node in resizes)


@pytest.fixture
def artifact(artifacts: dict[str, Path]) -> Artifact:
    return read_artifact(artifacts["onnx-fp32"])


@pytest.mark.parametrize(
    ("output", "agreed", "why"),
    [
        (lambda golden: golden.output, 1.0, ""),
        (lambda golden: 1.0 - golden.output, 0.0, "wrong probabilities, off by up to 1.00, without an error"),
        (
            lambda golden: golden.output * np.nan,
            None,
            "got network output from nan to nan, expected 0 to 1",
        ),
    ],
)
def test_wrong_masks_are_told_from_refusals(
    output: Callable[..., np.ndarray], agreed: float | None, why: str, artifact: Artifact
) -> None:
    verdict = replay("it", artifact, lambda: lambda _: output(artifact.golden()))
    assert verdict.agreement == agreed and verdict.why.startswith(why) and verdict.takes is (why == "")


def test_command_fills_the_page_and_fails_on_silent_faults(
    artifacts: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    lint.main(LintConfig((artifacts["ncnn-fp32"],), page))
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("after\n") and "old" not in text and "| yes, 1.0000 |" in text
    assert capsys.readouterr().out in text
    page.write_text("no marks")
    with pytest.raises(InputError, match="without the marks"):
        lint.main(LintConfig((artifacts["ncnn-fp32"],), page))
    monkeypatch.setattr(lint, "lint", lambda _: [Verdict("it", "run", False, 0.2, "wrong")])
    with pytest.raises(GateError, match="wrong masks without an error: unet_lite_s-192-fp32-ncnn in it"):
        lint.main(LintConfig((artifacts["ncnn-fp32"],)))
    with pytest.raises(InputError, match="got no artifact"):
        lint.main(LintConfig(()))


def test_table_names_what_differs(artifact: Artifact) -> None:
    table = markdown([(artifact, [Verdict("A", "run", True, 0.99951, ""), Verdict("B", "checker", False, None, "no such node")])])
    assert "| unet_lite_s-192-fp32-onnx | yes, 0.9995 | **no** (checker) |" in table
    assert table.endswith("- B: no such node (unet_lite_s-192-fp32-onnx)\n")


def test_an_int8_file_for_mediapipe_needs_other_ends(project_root: Path, tmp_path: Path) -> None:
    folder = project_root / "models" / "unet_lite_s" / "tflite-int8"
    verdict = tflite_checks.mediapipe(read_artifact(folder))
    assert verdict.takes in (None, False) and ("INT8" in verdict.why or "not installed" in verdict.why)
    shutil.copytree(folder, tmp_path / "copy")  # an artifact may lie anywhere
    assert tflite_checks.partitions(tmp_path / "copy" / "model.tflite") >= 1
