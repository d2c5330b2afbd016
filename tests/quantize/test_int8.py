"""The int8 command: what it writes, what it measures, and what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.artifact.artifact import Artifact, Quant, read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.backends.tensors import InputEncoder
from edge_runtime.errors import GateError, InputError
from export.graphs.tflite_graph import read_graph
from quantize.calibration.calibration_set import divide, fingerprint
from quantize.int8 import Int8Config, quantize

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(scene_dir: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder that the command filled with both formats, and what it printed."""
    out = tmp_path_factory.mktemp("int8") / "out"
    words = ["--calib", scene_dir, "--checkpoint", tiny_checkpoint, "--eval", scene_dir, "--split", "test", "--out", out]
    result = subprocess.run(
        [sys.executable, "quantize/int8.py", *map(str, words), "--min-agreement", "0.9", "--max-drop", "5"],
        cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return out, result.stdout


@pytest.mark.parametrize("artifact_format", ["onnx", "tflite"])
def test_artifact_is_what_the_contract_asks_for(artifact_format: str, made: tuple[Path, str], scene_dir: Path) -> None:
    spec = read_artifact(made[0] / artifact_format).spec
    assert spec.name == f"unet_lite_s-192-int8-{artifact_format}"
    assert (spec.quantization.weights, spec.quantization.activations) == ("per_channel_symmetric", "per_tensor")
    assert spec.quantization.calibration is not None and spec.quantization.calibration.count == 9
    assert spec.quantization.calibration == fingerprint(divide(scene_dir, 200, 0))
    assert (made[0] / artifact_format / "model.json").stat().st_size < 8000, "no names of images"
    assert spec.provenance["macs"] > 0 and spec.provenance["parameters"] > 0


@pytest.mark.parametrize("artifact_format", ["onnx", "tflite"])
def test_figures_are_printed_and_kept(artifact_format: str, made: tuple[Path, str]) -> None:
    metrics = read_artifact(made[0] / artifact_format).spec.metrics
    (line,) = [line for line in made[1].splitlines() if line.startswith(str(made[0] / artifact_format))]
    assert metrics["agreement"]["images"] == 3 and metrics["eval"]["images"] == 12
    assert f"agreement {metrics['agreement']['value']:.4f} on 3 images" in line
    drop = 100 * (metrics["eval"]["iou_fp32"] - metrics["eval"]["iou"])
    assert metrics["eval"]["drop_points"] == pytest.approx(drop) and f"drop {drop:.2f} points" in line


@pytest.mark.parametrize("artifact_format", ["onnx", "tflite"])
def test_golden_pair_replays_exactly_here(artifact_format: str, made: tuple[Path, str]) -> None:
    artifact = read_artifact(made[0] / artifact_format)
    golden = artifact.golden()
    assert np.array_equal(open_backend(artifact).run(golden.input), golden.output)


def test_tflite_is_integer_throughout_and_takes_bytes(made: tuple[Path, str]) -> None:
    artifact = read_artifact(made[0] / "tflite")
    graph = read_graph(artifact.file("model").read_bytes())
    assert graph.float_tensors == 0 and "TRANSPOSE" not in graph.operators
    assert (graph.input, graph.output) == (Quant(1 / 128, -1), Quant(1 / 256, -128))
    assert (artifact.spec.input.dtype, artifact.spec.output.dtype) == ("int8", "int8")
    image = artifact.golden().input
    assert np.array_equal(InputEncoder(artifact.spec.input)(image)[0], (image.astype(int) - 128).astype(np.int8))


def test_onnx_quantizes_everything_and_the_input_to_its_bytes(made: tuple[Path, str]) -> None:
    model = _load_onnx(read_artifact(made[0] / "onnx"))
    constants = _constants(model)
    first = next(node for node in model.graph.node if node.op_type == "QuantizeLinear")  # after pixels moved into channels
    assert (first.op_type, float(constants[first.input[1]]), int(constants[first.input[2]])) == ("QuantizeLinear", 1 / 128, 127)
    operators = Counter(node.op_type for node in model.graph.node)
    assert operators["Conv"] == 41 and "Clip" not in operators
    assert not [name for name, array in constants.items() if array.dtype == np.float32 and array.ndim > 1]


def test_onnx_weights_cannot_saturate_the_kernels_of_older_x86(made: tuple[Path, str]) -> None:
    model = _load_onnx(read_artifact(made[0] / "onnx"))
    constants = _constants(model)
    source = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    checked = 0
    for node in model.graph.node:
        groups = next((attribute.i for attribute in node.attribute if attribute.name == "group"), 1)
        if node.op_type == "Conv" and groups == 1:
            weights = np.abs(constants[source[node.input[1]].input[0]].astype(int))
            rows = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1)
            assert 255 * (rows[:, :-1] + rows[:, 1:]).max() <= np.iinfo(np.int16).max
            assert rows.max() > 80, "most of the eight bits should be used"
            checked += 1
    assert checked == 28


@pytest.mark.parametrize("gate", [{"min_agreement": 1.0}, {"max_drop": -100.0}])
def test_failed_gate_leaves_nothing_and_spares_what_is_there(
    gate: dict[str, float], made: tuple[Path, str], scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    shutil.copytree(made[0] / "onnx", out)
    labeled = {"eval": scene_dir, "split": "test"} if "max_drop" in gate else {}
    config = Int8Config(scene_dir, tiny_checkpoint, format=("onnx",), out=out, **labeled, **gate)
    with pytest.raises(GateError, match="onnx: .* nothing was written. Calibrate on more"):
        quantize(config)
    assert read_artifact(out).sha256 == read_artifact(made[0] / "onnx").sha256
    assert sorted(tmp_path.iterdir()) == [out, scratch] and not list(scratch.glob("skyedge-*"))


def test_bad_words_are_refused(scene_dir: Path, tiny_checkpoint: Path) -> None:
    good = {"calib": scene_dir, "checkpoint": tiny_checkpoint}
    for wrong, message in (
        ({"format": ("torch",)}, "got --format torch, expected some of onnx, tflite, ncnn"),
        ({"format": ()}, "expected some of onnx, tflite"),
        ({"format": ("onnx", "onnx")}, "expected every format once"),
        ({"min_agreement": 1.5}, "got --min-agreement 1.5"),
        ({"split": "val"}, "got --split val without --eval"),
        ({"calib": scene_dir / "none"}, "expected an existing folder"),
        ({"out": scene_dir, "format": ("onnx",), "checkpoint": None}, "holds .*, expected an artifact or an empty or new folder"),
    ):
        with pytest.raises(InputError, match=message):
            quantize(Int8Config(**(good | wrong)))


def test_broken_image_and_unknown_format_exit_with_2(
    scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path, project_root: Path
) -> None:
    images = tmp_path / "images"
    shutil.copytree(scene_dir / "test" / "images", images)
    broken = sorted(images.iterdir())[0]
    broken.write_bytes(broken.read_bytes()[:200])
    common = ["--calib", images, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "out"]
    running = [
        subprocess.Popen(
            [sys.executable, project_root / "quantize" / "int8.py", *map(str, words)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for words in (common, [*common, "--format", "torch"], ["--help"])
    ]  # fmt: skip
    (_, bad_image), (_, bad_format), (help_text, _) = [process.communicate(timeout=120) for process in running]
    assert [process.returncode for process in running] == [2, 2, 0]
    assert f"cannot read image {broken}" in bad_image and "torch" in bad_format
    assert all(flag in help_text for flag in ("--calib", "--eval", "--max-drop", "--min-agreement", "--count", "--seed"))
    assert not (tmp_path / "out").exists()


def _load_onnx(artifact: Artifact):  # noqa: ANN202  (onnx is imported here only)
    import onnx

    return onnx.load(artifact.file("model"))


def _constants(model) -> dict[str, np.ndarray]:  # noqa: ANN001
    from onnx import numpy_helper

    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
