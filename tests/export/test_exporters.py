"""The four exporters: what they write, and that they write nothing when they fail."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.errors import GateError
from edge_runtime.segmenter import Segmenter
from export import to_ncnn, to_onnx, to_tflite, to_torch
from export.graphs.tflite_graph import read_graph
from export.network import Network, load_network
from export.pipeline import Converted, ExportConfig, run_export
from train.models import Checkpoint, load_checkpoint, save_checkpoint

pytestmark = pytest.mark.slow
EXPORTERS = {"onnx": to_onnx, "tflite": to_tflite, "ncnn": to_ncnn, "torch": to_torch}


@pytest.mark.parametrize("artifact_format", EXPORTERS)
def test_artifact_is_what_the_contract_asks_for(artifact_format: str, artifacts: dict[str, Path], tiny_checkpoint: Path) -> None:
    artifact = read_artifact(artifacts[f"{artifact_format}-fp32"])
    spec, network = artifact.spec, load_network(tiny_checkpoint, None)
    assert spec.name == f"unet_lite_s-192-fp32-{artifact_format}"
    nhwc = artifact_format == "tflite"
    assert spec.input.shape == ((1, 192, 192, 3) if nhwc else (1, 3, 192, 192))
    assert (spec.input.name, spec.output.name) == (("in0", "out0") if artifact_format == "ncnn" else ("image", "sky"))
    assert (spec.input.mean, spec.input.std, spec.input.quant) == ((127.0,) * 3, (128.0,) * 3, None)
    assert (spec.provenance["parameters"], spec.provenance["macs"]) == (network.parameters, network.macs)
    assert spec.provenance["checkpoint_sha256"] == network.sha256
    assert spec.metrics["parity"]["max_abs"] <= 1e-4
    assert spec.weights_license == network.checkpoint.weights_license


@pytest.mark.parametrize("artifact_format", EXPORTERS)
def test_golden_pair_replays_exactly_here(artifact_format: str, artifacts: dict[str, Path]) -> None:
    artifact = read_artifact(artifacts[f"{artifact_format}-fp32"])
    golden = artifact.golden()
    assert np.abs(open_backend(artifact).run(golden.input) - golden.output).max() <= 1e-6
    assert golden.output.max() > 0.9 and golden.output.min() < 0.1, "a golden scene should hold sky and ground"


@pytest.mark.parametrize("artifact_format", EXPORTERS)
def test_no_folder_of_this_machine_is_in_any_file(artifact_format: str, artifacts: dict[str, Path], project_root: Path) -> None:
    for path in artifacts[f"{artifact_format}-fp32"].iterdir():
        content = path.read_bytes()
        assert str(project_root).encode() not in content, path.name
        assert str(Path.home()).encode() + b"/" not in content, path.name
        assert tempfile.gettempdir().encode() + b"/" not in content, path.name


def test_tflite_graph_has_no_transposes_and_short_names(artifacts: dict[str, Path]) -> None:
    graph = read_graph((artifacts["tflite-fp32"] / "model.tflite").read_bytes())
    assert "TRANSPOSE" not in graph.operators
    assert set(graph.operators) == {
        "SPACE_TO_DEPTH", "CONV_2D", "DEPTHWISE_CONV_2D", "PAD", "ADD", "RESIZE_BILINEAR", "DEPTH_TO_SPACE", "LOGISTIC",
    }  # fmt: skip


def test_tflite_weights_are_aligned_and_inside_the_flatbuffer(artifacts: dict[str, Path]) -> None:
    from ai_edge_litert.schema_py_generated import Model

    content = np.frombuffer((artifacts["tflite-fp32"] / "model.tflite").read_bytes(), np.uint8)
    model = Model.GetRootAs(content, 0)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    weights = [buffer.DataAsNumpy() for buffer in buffers if buffer.DataLength()]
    assert len(weights) > 50 and not any(buffer.Offset() for buffer in buffers)
    start = content.__array_interface__["data"][0]
    assert all((array.__array_interface__["data"][0] - start) % 16 == 0 for array in weights)


def test_onnx_graph_is_plain_and_folded(artifacts: dict[str, Path]) -> None:
    import onnx

    model = onnx.load(artifacts["onnx-fp32"] / "model.onnx")
    operators = Counter(node.op_type for node in model.graph.node)
    assert set(operators) == {"Conv", "Clip", "Add", "Resize", "Sigmoid", "Reshape", "Transpose", "DepthToSpace"}
    assert operators["Transpose"] == operators["DepthToSpace"] == 1  # the blocks of pixels of stem and head
    assert [tensor.name for tensor in (*model.graph.input, *model.graph.output)] == ["image", "sky"]


@pytest.mark.parametrize("artifact_format", ["onnx", "tflite", "ncnn"])
def test_fp16_is_smaller_and_agrees(
    artifact_format: str, artifacts: dict[str, Path], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    full = read_artifact(artifacts[f"{artifact_format}-fp32"])
    config = ExportConfig(tiny_checkpoint, precision="fp16", out=tmp_path / "half")
    half = EXPORTERS[artifact_format].export(config)
    assert half.size_bytes < 0.6 * full.size_bytes
    assert (half.precision, half.spec.quantization.weights) == ("fp16", "float16")
    assert half.spec.metrics["parity"]["agreement"] >= 0.999
    assert half.spec.metrics["parity"]["max_abs"] > full.spec.metrics["parity"]["max_abs"]


@pytest.mark.parametrize("artifact_format", EXPORTERS)
def test_other_sizes_and_shapes_can_be_asked_for(artifact_format: str, tiny_checkpoint: Path, tmp_path: Path) -> None:
    artifact = EXPORTERS[artifact_format].export(ExportConfig(tiny_checkpoint, size="128x96", out=tmp_path / "wide"))
    assert artifact.size == (96, 128) and artifact.spec.name == f"unet_lite_s-128x96-fp32-{artifact_format}"
    assert "--size 128x96" in artifact.spec.provenance["command"]
    assert artifact.spec.provenance["macs"] == load_network(tiny_checkpoint, "96x128").macs
    segmenter = Segmenter.load(artifact.folder)
    assert segmenter(artifact.golden().input).shape == (96, 128) and segmenter(np.zeros((50, 40, 3), np.uint8)).shape == (50, 40)


def test_failed_gate_leaves_nothing_and_spares_what_is_there(
    artifacts: dict[str, Path], tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, out = tmp_path / "scratch", tmp_path / "out"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def convert_wrongly(network: Network, precision: str, folder: Path) -> Converted:
        network.folded.network.head.bias.add_(0.01)  # what a converter with a rounding fault would do
        return to_onnx.convert(network, precision, folder)

    with pytest.raises(GateError, match="parity with torch is"):
        run_export(ExportConfig(tiny_checkpoint, out=out), "onnx", convert_wrongly)
    assert list(tmp_path.iterdir()) == [scratch] and not list(scratch.glob("skyedge-*"))

    good = to_onnx.export(ExportConfig(tiny_checkpoint, out=out))
    with pytest.raises(GateError):
        run_export(ExportConfig(tiny_checkpoint, out=out), "onnx", convert_wrongly)
    assert read_artifact(out).sha256 == good.sha256
    assert sorted(tmp_path.iterdir()) == [out, scratch] and not list(scratch.glob("skyedge-*"))


def test_command_exits_with_1_where_half_precision_overflows(tiny_checkpoint: Path, tmp_path: Path, project_root: Path) -> None:
    checkpoint = load_checkpoint(tiny_checkpoint)
    weights = checkpoint.weights | {"head.weight": checkpoint.weights["head.weight"] * 1e8}
    steep = tmp_path / "steep.pt"
    save_checkpoint(Checkpoint(checkpoint.arch, checkpoint.size, weights, "test"), steep)
    words = ["--checkpoint", steep, "--precision", "fp16", "--out", tmp_path / "out"]
    result = subprocess.run(
        [sys.executable, project_root / "export" / "to_onnx.py", *map(str, words)], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 1, result.stderr
    assert result.stderr.splitlines()[-1].startswith("gate failed: ") and result.stdout == ""
    said = result.stderr.splitlines()[:-1]
    assert said == ["unet_lite_s at 192: converting to onnx fp16", "comparing with torch on 7 images"], "no chatter"
    assert list(tmp_path.iterdir()) == [steep]


def test_no_argument_exports_the_released_network_from_any_folder(tmp_path: Path, project_root: Path) -> None:
    result = subprocess.run(
        [sys.executable, project_root / "export" / "to_torch.py"], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr
    out = project_root / "build" / "unet_lite-256-fp32-torch"
    assert result.stdout.startswith(f"{out}  ") and len(result.stdout.splitlines()) == 1
    assert read_artifact(out).spec.arch == "unet_lite"
    assert not list(tmp_path.iterdir())


def test_commands_refuse_with_2_and_explain_themselves(tmp_path: Path, project_root: Path) -> None:
    words = {"help": ["--help"], "size": ["--size", "100"], "precision": ["--precision", "int8"], "half": ["--precision", "fp16"]}
    words["out"] = ["--out", str(project_root / "docs"), "--size", "100"]  # refused before anything is read
    running = {
        (name, case): subprocess.Popen(
            [sys.executable, project_root / "export" / f"to_{name}.py", *words[case]],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        )
        for name, case in [
            *((name, "help") for name in EXPORTERS), ("onnx", "size"), ("ncnn", "precision"), ("torch", "half"), ("onnx", "out"),
        ]
    }  # fmt: skip
    for (name, case), process in running.items():
        stdout, stderr = process.communicate(timeout=120)
        assert process.returncode == (0 if case == "help" else 2), f"{name} {case}: {stderr}"
        if case == "help":
            assert all(flag in stdout for flag in ("--checkpoint", "--size", "--precision", "--out"))
        if case == "size":
            assert "error: got --size 100, expected multiples of 32 up to 2048" in stderr
        if case == "out":
            assert "docs holds " in stderr and "expected an artifact or an empty or new folder" in stderr
        if case == "half":
            assert "got --precision fp16 for torch, the reference, expected fp32" in stderr


QUIET_SCRIPT = """
import logging, subprocess, sys
from export.pipeline import quiet
with quiet():
    print("python")
    logging.warning("a logger that a converter sets up")
    subprocess.run([sys.executable, "-c", "print('child')"], check=True)
    {last}
logging.warning("later")
print("result")
"""


@pytest.mark.parametrize("last", ["pass", "raise RuntimeError('broken')"])
def test_quiet_speaks_only_of_failures(last: str) -> None:
    result = subprocess.run([sys.executable, "-c", QUIET_SCRIPT.format(last=last)], capture_output=True, text=True)
    if last == "pass":
        assert (result.stdout, result.stderr) == ("result\n", "WARNING:root:later\n")
    else:
        assert result.returncode == 1 and result.stdout == ""
        assert all(word in result.stderr for word in ("python\n", "child\n", "a logger that", "RuntimeError: broken"))


def test_nothing_is_held_back_with_debug() -> None:
    words = [sys.executable, "-c", QUIET_SCRIPT.format(last="pass"), "--debug"]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0 and result.stdout == "python\nchild\nresult\n" and "a logger that" in result.stderr
