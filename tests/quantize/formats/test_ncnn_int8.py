"""ncnn in int8 as the command writes it; tests/quantize/test_ncnn_layers.py holds its layers to the arithmetic."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from edge_runtime.artifact.artifact import SCHEMA_PATH, Artifact, format_spec, read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.errors import GateError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.network_input import Size
from edge_runtime.segmenter import Segmenter
from export.parity import built_in_scenes
from quantize.formats import ncnn_int8
from quantize.formats.ncnn_file import DEPTHWISE, Net, Weights, parse_param, read_net, write_net
from quantize.formats.ncnn_int8 import find_limits
from quantize.int8 import Int8Config, quantize

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(scene_dir: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Artifact, str]:
    """Return the artifact that the command wrote, and what it printed."""
    out = tmp_path_factory.mktemp("int8") / "out"
    words = ["--calib", scene_dir, "--checkpoint", tiny_checkpoint, "--format", "ncnn", "--out", out]
    result = subprocess.run(
        [sys.executable, "quantize/int8.py", *map(str, words), "--eval", str(scene_dir), "--split", "test", "--max-drop", "5"],
        cwd=Path(__file__).resolve().parents[3], capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return read_artifact(out), result.stdout


def test_command_writes_what_the_contract_asks_for(made: tuple[Artifact, str], artifacts: dict[str, Path]) -> None:
    spec = made[0].spec
    jsonschema.validate(json.loads(format_spec(spec)), json.loads(SCHEMA_PATH.read_text()), jsonschema.Draft202012Validator)
    assert (spec.name, spec.format) == ("unet_lite_s-192-int8-ncnn", "ncnn")
    assert (spec.input.dtype, spec.input.quant, spec.output.dtype, spec.output.quant) == ("float32", None, "float32", None)
    assert (spec.input.name, spec.output.name, spec.input.layout) == ("in0", "out0", "NCHW")
    stored = spec.quantization
    assert (stored.precision, stored.activations) == ("int8", "per_tensor")
    assert stored.weights == "per_channel_symmetric, first and depthwise layers float16"
    assert stored.calibration is not None and stored.calibration.count == 9
    assert made[0].size_bytes < 0.32 * read_artifact(artifacts["ncnn-fp32"]).size_bytes
    assert spec.metrics["agreement"]["value"] > 0.97 and spec.metrics["agreement"]["images"] == 3
    assert f"agreement {spec.metrics['agreement']['value']:.4f} on 3 images" in made[1] and "drop" in made[1]
    layers = parse_param(made[0].file("param").read_text())
    left = [layer for layer in layers if layer.is_convolution and "8" not in layer.params]
    assert [layer.kind for layer in left] == ["Convolution"] + [DEPTHWISE] * 13
    golden = made[0].golden()
    assert np.array_equal(open_backend(made[0]).run(golden.input), golden.output)


def test_cpp_program_gives_the_same_masks(
    made: tuple[Artifact, str], project_root: Path, scene_dir: Path, tmp_path: Path
) -> None:
    program = project_root / "cpp_demo" / "build" / "skyedge"
    if not program.is_file():
        pytest.skip("cpp_demo/build/skyedge is not built; run `make cpp`")
    segmenter = Segmenter.load(made[0].folder)
    for path in sorted((scene_dir / "test" / "images").iterdir())[:4]:
        copy, output = tmp_path / "image.png", tmp_path / "mask.png"
        pixels = read_rgb(path)
        cv2.imwrite(str(copy), pixels[..., ::-1])  # decoders of JPEG differ
        words = [program, "segment", "--model", made[0].folder, "--input", copy, "--output", output]
        done = subprocess.run(words, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        expected = np.rint(segmenter(pixels) * 255).astype(int)
        assert np.abs(cv2.imread(str(output), cv2.IMREAD_UNCHANGED).astype(int) - expected).max() <= 2


def test_collapsed_network_is_refused(
    scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Limits so wide that every value rounds to 0: the masks are blank.
    monkeypatch.setattr(ncnn_int8, "find_limits", lambda *words: dict.fromkeys(find_limits(*words), 1e6))
    config = Int8Config(scene_dir, tiny_checkpoint, format=("ncnn",), out=tmp_path / "out")
    with pytest.raises(
        GateError, match=r"ncnn: agreement with fp32 is 0\.\d+ on images kept back, expected at least 0.95; nothing was written"
    ):
        quantize(config)
    assert not (tmp_path / "out").exists()


def test_network_with_undefined_values_is_refused(artifacts: dict[str, Path], tmp_path: Path) -> None:
    exported = read_artifact(artifacts["ncnn-fp32"])
    net = read_net(exported.file("param"), exported.file("bin"))
    # A ReLU6 would make a number of NaN, so a layer without one.
    name = next(layer.name for layer in net.layers if layer.is_convolution and not layer.integer(9, 0))
    broken = np.full_like(net.weights[name].values, np.nan)
    bad = Net(net.layers, {**net.weights, name: Weights(broken, net.weights[name].bias)})
    files = {"param": tmp_path / "param", "bin": tmp_path / "bin"}
    write_net(bad, files["param"], files["bin"])
    with pytest.raises(GateError, match="got no finite values in .*Train the network again"):
        find_limits(bad, files, built_in_scenes(Size.square(192))[:1])
    files["bin"].write_bytes(b"")
    with pytest.raises(GateError, match="ncnn cannot load the float network"):
        find_limits(net, files, built_in_scenes(Size.square(192))[:1])
