"""All four backends on real exports: golden pairs, agreement with each other, and refusal of what does not fit."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edge_runtime import Segmenter, backends
from edge_runtime.artifact.artifact import (
    Artifact,
    Calibration,
    FileEntry,
    GoldenPair,
    ModelSpec,
    Quant,
    Quantization,
    format_spec,
    read_artifact,
    write_artifact,
)
from edge_runtime.backends import open_backend
from edge_runtime.backends.tensors import InputEncoder
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.images.resize import resize_rgb

FORMATS = ("onnx", "tflite", "ncnn", "torch")
INTERPRETERS = {"onnx": "onnxruntime", "tflite": "ai_edge_litert", "ncnn": "ncnn", "torch": "torch"}


@pytest.fixture(scope="module")
def segmenters(artifacts: dict[str, Path]) -> dict[str, Segmenter]:
    """Return the fp32 artifacts, opened, by format."""
    return {name: Segmenter.load(artifacts[f"{name}-fp32"]) for name in FORMATS}


@pytest.fixture(scope="module")
def scenes(scene_dir: Path, segmenters: dict[str, Segmenter]) -> list[np.ndarray]:
    """Return images at the network's input size: four scenes, black, white and noise."""
    height, width = segmenters["onnx"].artifact.size
    inputs = [read_pair(pair).image for pair in find_pairs(scene_dir, "test")[:4]]
    inputs += [np.full((9, 9, 3), value, np.uint8) for value in (0, 255)]
    inputs.append(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    return [resize_rgb(each, height, width) for each in inputs]


@pytest.fixture(scope="module")
def int8_artifact(artifacts: dict[str, Path], scenes: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return a full-integer TFLite artifact, quantized here from the fp32 one."""
    from ai_edge_litert.interpreter import Interpreter
    from ai_edge_quantizer import quantizer, recipe

    source = read_artifact(artifacts["tflite-fp32"])
    encode = InputEncoder(source.spec.input)
    job = quantizer.Quantizer(str(source.file("model")))
    job.load_quantization_recipe(recipe.static_wi8_ai8())
    ((key, signature),) = Interpreter(str(source.file("model"))).get_signature_list().items()
    calibration = job.calibrate({key: [{signature["inputs"][0]: encode(scene)} for scene in scenes]})
    folder = tmp_path_factory.mktemp("int8")
    (folder / "raw.tflite").write_bytes(job.quantize(calibration).quantized_model)
    interpreter = Interpreter(str(folder / "raw.tflite"))
    scale_in, zero_in = interpreter.get_input_details()[0]["quantization"]
    scale_out, zero_out = interpreter.get_output_details()[0]["quantization"]
    spec = source.spec
    draft = dataclasses.replace(
        spec,
        name=spec.name.replace("fp32", "int8"),
        files={},
        input=dataclasses.replace(spec.input, dtype="int8", quant=Quant(float(scale_in), int(zero_in))),
        output=dataclasses.replace(spec.output, dtype="int8", quant=Quant(float(scale_out), int(zero_out))),
        quantization=Quantization("int8", "per_channel_symmetric", "per_tensor", Calibration("0" * 64, len(scenes))),
    )
    golden = GoldenPair(scenes[0], source.golden().output)
    return write_artifact(folder / "artifact", draft, {"model": folder / "raw.tflite"}, golden)


def altered(
    folder: Path, out: Path, change: Callable[[ModelSpec], ModelSpec] | None = None, content: bytes | None = None
) -> Artifact:
    """Copy an artifact with another spec, or with other model files whose SHA-256 the spec names."""
    shutil.copytree(folder, out)
    spec = read_artifact(folder).spec
    if content is not None:
        files = {}
        for role, entry in spec.files.items():
            (out / entry.path).write_bytes(content)
            files[role] = FileEntry(entry.path, file_sha256(out / entry.path), len(content))
        spec = dataclasses.replace(spec, files=files)
    (out / "model.json").write_text(format_spec(change(spec) if change else spec))
    return read_artifact(out)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_golden_pair_holds(segmenters: dict[str, Segmenter], name: str) -> None:
    segmenter = segmenters[name]
    golden = segmenter.artifact.golden()
    result = segmenter.backend.run(golden.input)
    assert result.dtype == np.float32 and result.shape == segmenter.artifact.size
    assert np.abs(result - golden.output).max() <= segmenter.artifact.spec.golden.atol
    assert segmenter.backend.name == INTERPRETERS[name]


@pytest.mark.slow
def test_all_backends_agree(segmenters: dict[str, Segmenter], scenes: list[np.ndarray]) -> None:
    for scene in scenes:
        results = {name: segmenter.backend.run(scene) for name, segmenter in segmenters.items()}
        for name, result in results.items():
            assert result.min() >= 0 and result.max() <= 1
            assert np.abs(result - results["torch"]).max() <= 1e-4, name
    assert np.ptp(segmenters["torch"].backend.run(scenes[0])) > 0.5  # a mask, not a constant


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_results_are_repeatable_and_own_their_memory(
    segmenters: dict[str, Segmenter], scenes: list[np.ndarray], name: str
) -> None:
    backend = segmenters[name].backend
    first = backend.run(scenes[0])
    kept = first.copy()
    backend.run(scenes[1])
    assert np.array_equal(first, kept)
    assert np.array_equal(backend.run(scenes[0]), kept)
    assert np.array_equal(backend.run(np.ascontiguousarray(scenes[0][:, ::-1])[:, ::-1]), kept)  # a view with strides
    first[:] = 0  # the caller may write into it
    assert np.array_equal(backend.run(scenes[0]), kept)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_two_threads_give_the_same(artifacts: dict[str, Path], segmenters: dict[str, Segmenter], name: str) -> None:
    golden = segmenters[name].artifact.golden()
    two = open_backend(segmenters[name].artifact, threads=2).run(golden.input)
    assert np.abs(two - segmenters[name].backend.run(golden.input)).max() <= 1e-5


@pytest.mark.slow
def test_threads_reach_the_interpreter(segmenters: dict[str, Segmenter]) -> None:
    two = {name: open_backend(segmenters[name].artifact, threads=2) for name in ("onnx", "ncnn", "torch")}
    assert two["onnx"].session.get_session_options().intra_op_num_threads == 2  # type: ignore[attr-defined]
    assert two["ncnn"].net.opt.num_threads == 2  # type: ignore[attr-defined]
    golden = segmenters["torch"].artifact.golden()
    two["torch"].run(golden.input)
    assert torch.get_num_threads() == 2
    segmenters["torch"].backend.run(golden.input)  # torch has one setting in a process: every run sets its own
    assert torch.get_num_threads() == 1


@pytest.mark.slow
def test_ncnn_computes_in_float32_everywhere(segmenters: dict[str, Segmenter]) -> None:
    options = segmenters["ncnn"].backend.net.opt  # type: ignore[attr-defined]
    assert not (options.use_fp16_packed or options.use_fp16_storage or options.use_fp16_arithmetic)
    assert not (options.use_bf16_storage or options.use_vulkan_compute)


@pytest.mark.slow
def test_int8_tflite(int8_artifact: Artifact, segmenters: dict[str, Segmenter], scenes: list[np.ndarray]) -> None:
    backend = open_backend(int8_artifact)
    output = int8_artifact.spec.output.quant
    assert output is not None
    for scene in scenes[:4]:
        result, expected = backend.run(scene), segmenters["tflite"].backend.run(scene)
        assert result.dtype == np.float32 and result.min() >= 0 and result.max() <= 1
        steps = result / output.scale  # dequantized: whole steps of the scale
        assert np.abs(steps - np.rint(steps)).max() < 1e-3
        assert np.mean((result > 0.5) == (expected > 0.5)) > 0.9


def replace_input(**changes: object) -> Callable[[ModelSpec], ModelSpec]:
    return lambda spec: dataclasses.replace(spec, input=dataclasses.replace(spec.input, **changes))


def replace_output(**changes: object) -> Callable[[ModelSpec], ModelSpec]:
    return lambda spec: dataclasses.replace(spec, output=dataclasses.replace(spec.output, **changes))


def half_size(spec: ModelSpec) -> ModelSpec:
    shape = tuple(side // 2 if side > 3 else side for side in spec.input.shape)
    return dataclasses.replace(spec, input=dataclasses.replace(spec.input, shape=shape))


def other_layout(spec: ModelSpec) -> ModelSpec:
    batch, *sides = spec.input.shape
    if spec.input.layout == "NHWC":
        return replace_input(layout="NCHW", shape=(batch, sides[2], *sides[:2]))(spec)
    return replace_input(layout="NHWC", shape=(batch, *sides[1:], sides[0]))(spec)


def as_int8(spec: ModelSpec) -> ModelSpec:
    return replace_input(dtype="int8", quant=Quant(1 / 128, -1))(spec)


MISMATCHES: dict[str, Callable[[ModelSpec], ModelSpec]] = {
    "input name": replace_input(name="photo"),
    "output name": replace_output(name="mask"),
    "size": half_size,
    "layout": other_layout,
    "input dtype": as_int8,
    "output dtype": replace_output(dtype="int8", quant=Quant(1 / 256, -128)),
}


# torch.export names no outputs, and an ncnn network takes any size (see the test after this one).
CASES = [(name, case) for name in FORMATS for case in MISMATCHES]
CASES = [case for case in CASES if case not in (("torch", "output name"), ("ncnn", "size"))]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mismatch"), CASES)
def test_a_spec_of_another_model_is_refused(artifacts: dict[str, Path], tmp_path: Path, name: str, mismatch: str) -> None:
    artifact = altered(artifacts[f"{name}-fp32"], tmp_path / "a", MISMATCHES[mismatch])
    with pytest.raises(InputError, match="export it again"):
        open_backend(artifact)


FORKED = """
import os, sys
from skyedge import InputError, Segmenter
two, one = (Segmenter.load("unet_lite_s/ncnn-fp16", threads=count) for count in (2, 1))
image = two.artifact.golden().input
two.backend.run(image)
if os.fork() == 0:
    one.backend.run(image)
    try:
        two.backend.run(image)
    except InputError as error:
        os._exit(0 if "forked after ncnn" in str(error) and "threads=1" in str(error) else 3)
    os._exit(4)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_ncnn_with_threads_refuses_a_forked_process() -> None:
    """OpenMP's threads do not come along, and the child would wait for them for ever; with one thread there are none."""
    assert subprocess.run([sys.executable, "-c", FORKED], timeout=300).returncode == 0


@pytest.mark.slow
def test_ncnn_of_another_size_fails_its_golden_pair(artifacts: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="golden input"):
        altered(artifacts["ncnn-fp32"], tmp_path / "a", half_size).golden()


@pytest.mark.slow
def test_int8_quantization_is_checked_against_the_model(int8_artifact: Artifact, tmp_path: Path) -> None:
    quant = int8_artifact.spec.input.quant
    assert quant is not None
    for index, wrong in enumerate((Quant(quant.scale * 1.01, quant.zero_point), Quant(quant.scale, 5))):
        artifact = altered(int8_artifact.folder, tmp_path / str(index), replace_input(quant=wrong))
        with pytest.raises(InputError, match="quantization"):
            open_backend(artifact)


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_corrupt_model_is_refused(artifacts: dict[str, Path], tmp_path: Path, name: str) -> None:
    """The checksum is right here, so that it is the interpreter that meets the damage."""
    for index, content in enumerate((b"not a model" * 100, artifacts_bytes(artifacts[f"{name}-fp32"])[:1000])):
        artifact = altered(artifacts[f"{name}-fp32"], tmp_path / str(index), content=content)
        with pytest.raises(InputError, match="export the artifact again"):
            open_backend(artifact)


def artifacts_bytes(folder: Path) -> bytes:
    artifact = read_artifact(folder)
    return artifact.file(sorted(artifact.spec.files)[-1]).read_bytes()


@pytest.mark.slow
def test_a_missing_interpreter_names_the_extra(artifacts: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, module in (("onnx", "onnxruntime"), ("ncnn", "ncnn"), ("torch", "torch")):
        artifact = read_artifact(artifacts[f"{name}-fp32"])
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, module, None)  # Python's way to say that it cannot be imported
            with pytest.raises(InputError, match=rf"pip install 'skyedge\[{name}\]'"):
                open_backend(artifact)
    with monkeypatch.context() as patch:
        for module in backends.FORMATS["tflite"].installed():
            patch.setitem(sys.modules, module, None)
        with pytest.raises(InputError, match=r"pip install 'skyedge\[tflite\]'"):
            open_backend(read_artifact(artifacts["tflite-fp32"]))


@pytest.mark.slow
def test_threads_and_devices_are_checked(artifacts: dict[str, Path]) -> None:
    for name in FORMATS:
        artifact = read_artifact(artifacts[f"{name}-fp32"])
        with pytest.raises(InputError, match="got 0 threads"):
            open_backend(artifact, threads=0)
        with pytest.raises(InputError, match="got device 'npu', expected cpu"):
            open_backend(artifact, device="npu")
        if name not in ("torch", "onnx"):
            with pytest.raises(InputError, match=f"got device 'cuda', expected cpu for an artifact of format {name}"):
                open_backend(artifact, device="cuda")


@pytest.mark.slow
def test_torch_on_cuda(artifacts: dict[str, Path]) -> None:
    artifact = read_artifact(artifacts["torch-fp32"])
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA GPU here; use --device cpu"):
            open_backend(artifact, device="cuda")
        return
    golden = artifact.golden()
    assert np.abs(open_backend(artifact, device="cuda").run(golden.input) - golden.output).max() <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_images_of_another_size_are_refused(segmenters: dict[str, Segmenter], name: str) -> None:
    height, width = segmenters[name].artifact.size
    for wrong in (np.zeros((height - 1, width, 3), np.uint8), np.zeros((height, width, 3), np.float32)):
        with pytest.raises(InputError, match="resize it with resize_rgb"):
            segmenters[name].backend.run(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (7, 5), (240, 320), (333, 999)])
def test_segmenter_gives_the_images_own_size(segmenters: dict[str, Segmenter], shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3), np.uint8)
    result = segmenters["onnx"](image)
    assert result.shape == shape and result.dtype == np.float32
    assert result.min() >= 0 and result.max() <= 1


def test_interpreters_are_found_without_importing_them() -> None:
    code = (
        "import sys; from edge_runtime.backends import FORMATS; found = FORMATS['tflite'].installed(); "
        "assert found[0] == 'ai_edge_litert.interpreter', found; assert 'ai_edge_litert' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
