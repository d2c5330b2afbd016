"""Artifacts from strangers: nothing in a model file runs code, opens another file or crashes the process."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edge_runtime import Segmenter
from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.artifact.spec import FileEntry
from edge_runtime.backends import open_backend
from edge_runtime.backends.checks.file_checks import check_onnx, check_tflite
from edge_runtime.backends.checks.ncnn_check import check_ncnn
from edge_runtime.backends.checks.pt2_graph import OPERATIONS, read_program
from edge_runtime.errors import InputError

RELEASED = Path(__file__).resolve().parents[3] / "models" / "unet_lite_s"
FORMATS = ("onnx-int8", "tflite-int8", "ncnn-fp16")


class Attack:
    """Pickled, it makes a folder when it is loaded."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.mkdir, (self.place,)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a .pt2 of a small network of every operation that ours have."""
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU6(inplace=True), torch.nn.Conv2d(4, 1, 1), torch.nn.Sigmoid()
    )
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    program = torch.export.export(layers.eval(), (torch.zeros(1, 3, 8, 8),))
    program.example_inputs = None
    torch.export.save(program, path)
    return path


def rewritten(
    archive: Path, out: Path, change: Callable[[str, bytes], bytes | None], more: dict[str, bytes] | None = None
) -> Path:
    """Copy an archive with other members; `change` gets a member's name and content, and returns None to leave it out."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = change(name.partition("/")[2], source.read(name))
            if content is not None:
                target.writestr(name, content)
        for name, content in (more or {}).items():
            target.writestr(f"model/{name}", content)
    return out


def graph_change(change: Callable[[Any], None]) -> Callable[[str, bytes], bytes]:
    """Return a change of the archive's graph."""

    def apply(name: str, content: bytes) -> bytes:
        if name != "models/model.json":
            return content
        values = json.loads(content)
        change(values["graph_module"]["graph"])
        return json.dumps(values).encode()

    return apply


def test_a_torch_program_gives_what_torch_gives(archive: Path) -> None:
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(read_program(archive, torch)(image), torch.export.load(archive).module()(image))


def attacks(place: Path) -> dict[str, tuple[Callable[[str, bytes], bytes | None], dict[str, bytes]]]:
    """Return changes of an archive that run code through `torch.export.load`."""
    buffer = io.BytesIO()
    torch.save(Attack(place), buffer)
    saved, pickled = buffer.getvalue(), pickle.dumps(Attack(place))

    def weights_pickled(name: str, content: bytes) -> bytes:
        if name == "data/weights/model_weights_config.json":
            values = json.loads(content)
            next(iter(values["config"].values()))["use_pickle"] = True
            return json.dumps(values).encode()
        return saved if name == "data/weights/weight_0" else content

    def constant(name: str, content: bytes) -> bytes:
        if name != "data/constants/model_constants_config.json":
            return content
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        return json.dumps({"config": {"c": entry}}).encode()

    def operator(graph: Any) -> None:
        graph["nodes"][0]["target"] = "torch.os.mkdir"
        graph["nodes"][0]["inputs"] = [{"name": "path", "arg": {"as_string": str(place)}, "kind": 1}]

    def expression(graph: Any) -> None:
        text = f"__import__('os').mkdir({str(place)!r})"
        graph["nodes"][0]["inputs"][3]["arg"] = {"as_sym_ints": [{"as_expr": {"expr_str": text, "hint": None}}]}

    same = lambda name, content: content  # noqa: E731
    return {
        "weights": (weights_pickled, {}),
        "legacy weights": (same, {"data/weights/model.pt": saved}),
        "sample inputs": (lambda name, content: saved if name.startswith("data/sample") else content, {}),
        "constants": (constant, {"data/constants/opaque_obj_0": pickled}),
        "compiled code": (same, {"data/aotinductor/model/a.so": b"\x7fELF"}),
        "operator": (graph_change(operator), {}),
        "expression": (graph_change(expression), {}),
    }


@pytest.mark.parametrize("name", list(attacks(Path())))
def test_a_torch_archive_runs_no_code(archive: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / "executed"
    change, more = attacks(place)[name]
    path = rewritten(archive, tmp_path / "model.pt2", change, more)
    with pytest.raises(InputError, match="export the artifact again"):
        read_program(path, torch)
    assert not place.exists()


def test_the_attack_is_one(archive: Path, tmp_path: Path) -> None:
    """Without our reader the same file does run code: else the tests above would prove nothing."""
    change, more = attacks(tmp_path / "executed")["weights"]
    path = rewritten(archive, tmp_path / "model.pt2", change, more)
    subprocess.run([sys.executable, "-c", f"import torch; torch.export.load({str(path)!r})"], capture_output=True)
    assert (tmp_path / "executed").is_dir()


@pytest.mark.parametrize(
    "change",
    [
        lambda graph: graph["nodes"].clear(),
        lambda graph: graph["nodes"].reverse(),
        lambda graph: graph["nodes"].append(graph["nodes"][0]),
        lambda graph: graph["nodes"][0]["inputs"][3].update(arg={"as_ints": [0, 0]}),
        lambda graph: graph["nodes"][0]["inputs"][4].update(arg={"as_ints": [2**40, 2**40]}),
        lambda graph: graph["nodes"][0]["inputs"][4].update(arg={"as_ints": [50_000, 50_000]}),
        lambda graph: graph["nodes"][0]["inputs"][4].update(arg={"as_ints": [-3, -3]}),
        lambda graph: graph["nodes"][0]["inputs"][4].update(name="nonsense"),
        lambda graph: graph["nodes"][1].update(outputs=[]),
        lambda graph: graph["tensor_values"]["input"].update(sizes=[{"as_int": 2**60}]),
        lambda graph: graph["tensor_values"]["input"].update(dtype=99),
    ],
)
def test_a_torch_graph_that_does_not_fit_is_refused(archive: Path, tmp_path: Path, change: Callable[[Any], None]) -> None:
    template = read_artifact(RELEASED / "onnx-int8")
    path = rewritten(archive, tmp_path / "model.pt2", graph_change(change))
    artifact = retold(template, tmp_path / "a", {"model": ("model.pt2", path.read_bytes())}, format="torch", side=8)
    with pytest.raises(InputError):
        open_backend(artifact)


def retold(template: Artifact, out: Path, files: dict[str, tuple[str, bytes]], format: str, side: int) -> Artifact:
    """Write an artifact around model files, with the spec of another one."""
    shutil.copytree(template.folder, out)
    spec = json.loads((out / "model.json").read_text())
    entries = {}
    for role, (name, content) in files.items():
        (out / name).write_bytes(content)
        entries[role] = vars(FileEntry(name, hashlib.sha256(content).hexdigest(), len(content)))
    spec |= {"files": entries, "format": format}
    spec["input"]["shape"] = [1, 3, side, side]
    (out / "model.json").write_text(json.dumps(spec))
    return read_artifact(out)


def test_no_operation_of_the_list_is_missing_in_torch() -> None:
    for target in OPERATIONS:
        name, overload = target.removeprefix("torch.ops.aten.").split(".")
        assert hasattr(getattr(torch.ops.aten, name), overload), target


def onnx_with_external_data(path: Path, inside: str) -> Path:
    """Write an ONNX file whose weights lie beside it: in an initializer, a node's attribute, or a branch of an If."""
    import onnx
    from onnx import TensorProto, helper

    tensor = helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 8, 8])
    node = helper.make_node("Identity", ["image"], ["sky"])
    if inside == "initializer":
        graph = helper.make_graph([node], "g", [image], [], [tensor])
    else:
        constant = helper.make_node("Constant", [], ["c"])
        constant.attribute.append(helper.make_attribute("value", tensor))
        if inside == "branch":
            branch = helper.make_graph([constant], "b", [], [])
            constant = helper.make_node("If", ["image"], ["c"], then_branch=branch, else_branch=branch)
        graph = helper.make_graph([constant, node], "g", [image], [])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    onnx.load(path, load_external_data=False)
    return path


@pytest.mark.parametrize("inside", ["initializer", "attribute", "branch"])
def test_onnx_external_data_is_refused(tmp_path: Path, inside: str) -> None:
    path = onnx_with_external_data(tmp_path / "model.onnx", inside)
    with pytest.raises(InputError, match="external data"):
        check_onnx(path)
    path.write_bytes(path.read_bytes().replace(b"\x08location", b"\x88\x00location"))  # the same length, padded
    with pytest.raises(InputError, match="external data"):
        check_onnx(path)


@pytest.mark.parametrize(("name", "message"), [("FlexReadFile", "custom operation 'FlexReadFile'"), ("MyOp", "custom op: MyOp")])
def test_custom_operations_of_tflite_are_refused(name: str, message: str, tmp_path: Path) -> None:
    import flatbuffers
    from ai_edge_litert.schema_py_generated import ModelT

    artifact = read_artifact(RELEASED / "tflite-int8")
    check_tflite(artifact.file("model"))
    model = ModelT.InitFromPackedBuf(artifact.file("model").read_bytes())
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = 32  # CUSTOM
    code.customCode = name.encode()
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    (tmp_path / "model.tflite").write_bytes(builder.Output())
    with pytest.raises(InputError, match=message):
        open_backend(Artifact(tmp_path, artifact.spec))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000000000,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (1099511627776, 1099511627776, 3), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '|u1', 'fortran_order': True, 'shape': (192, 192, 3), }",
        "[" * 9000,
        "__import__('os').mkdir('executed')",
    ],
)
def test_headers_of_golden_arrays_take_no_memory(tmp_path: Path, header: str) -> None:
    folder = tmp_path / "a"
    shutil.copytree(RELEASED / "onnx-int8", folder)
    text = header.encode() + b"\n"
    (folder / "golden_in.npy").write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text)
    with pytest.raises(InputError, match="golden input"):
        read_artifact(folder).golden()


TINY = "Convolution conv 1 1 in0 1 0=1 1=1 5=1 6=3"
WEIGHTS = bytes(4) + struct.pack("4f", 0.5, -1, 2, 0.25)


def param_of(line: str) -> bytes:
    """Return a `.param` of an input, the layer of `line`, and a sigmoid."""
    return f"7767517\n3 3\nInput in0 0 1 in0\n{line}\nSigmoid sigmoid 1 1 1 out0\n".encode()


@pytest.mark.parametrize(
    "line",
    [
        f"{TINY} 4=2147483647", f"{TINY} 4=30000", f"{TINY} 4=-5", f"{TINY} 8=0.5", f"{TINY} 9=99", f"{TINY} 9=3",
        f"{TINY} 9=2 -23310=0", f"{TINY} 3=0", f"{TINY} 19=1", f"{TINY} 99=1", f"{TINY} 6=3",
        "Convolution conv 1 1 in0 1 0=1 1=3 5=1 6=27", "Convolution conv 1 1 in0 1 0=1 1=1 5=1 6=4",
        "ConvolutionDepthWise conv 1 1 in0 1 0=3 1=1 5=0 6=3 7=2", "Padding conv 1 1 in0 1 0=1048576 1=1048576",
        "Padding conv 1 1 in0 1 0=-100", "Padding conv 1 1 in0 1 0=9 4=2", "Padding conv 1 1 in0 1 0=1 6=3",
        "Interp conv 1 1 in0 1 0=2 3=1048576 4=1048576",
        "Interp conv 1 1 in0 1 0=2 1=1048576 2=1048576", "Interp conv 1 1 in0 1 0=2 1=0 2=0",
        "Interp conv 1 1 in0 1 0=2 1=-1 2=-1", "Interp conv 1 1 in0 1 0=2 3=16384 4=16384", "Reshape conv 1 1 in0 1 0=0",
        "Crop conv 1 1 in0 1 0=1048576", "Pooling conv 1 1 in0 1 1=0", "Pooling conv 1 1 in0 1 0=0 1=64",
        "Pooling conv 1 1 in0 1 1=2 2=0", "Pooling conv 1 1 in0 1 1=2 3=2", "Pooling conv 1 1 in0 1 7=1 8=1048576",
        "Slice conv 1 1 in0 1 -23300=1,100", "Concat conv 1 1 in0 1 0=7", "BinaryOp conv 1 1 in0 1 0=0",
        "ReLU conv 1 1 in0 1", "MemoryData conv 0 1 1 0=8", "Sigmoid conv 1 1 in0 1", "Sigmoid conv 2 1 in0 in0 1",
    ],
)  # fmt: skip
def test_ncnn_files_that_crash_it_are_refused(line: str) -> None:
    weights = WEIGHTS if "onvolution" in line else b""
    with pytest.raises(InputError, match="export the artifact again"):
        check_ncnn(param_of(line), weights, (8, 8))


def test_int8_goes_to_int8_convolutions_alone() -> None:
    """Found by running ncnn on random networks: a float layer that is handed int8 crashes."""
    weights = WEIGHTS + struct.pack("3f", 1, 1, 1)
    with pytest.raises(InputError, match="int8 from the layer before"):
        check_ncnn(param_of(f"{TINY} 8=102"), weights, (8, 8))
    check_ncnn(param_of(f"{TINY} 8=2"), weights[:-4], (8, 8))


def test_ncnn_files_like_ours_are_accepted() -> None:
    check_ncnn(param_of(TINY), WEIGHTS, (8, 8))
    for folder in sorted(RELEASED.parent.glob("*/ncnn-*")):
        artifact = read_artifact(folder)
        check_ncnn(artifact.file("param").read_bytes(), artifact.file("bin").read_bytes(), artifact.size)
        with pytest.raises(InputError):
            check_ncnn(artifact.file("param").read_bytes(), artifact.file("bin").read_bytes()[:-4], artifact.size)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FORMATS, "torch-fp32"])
def test_one_segmenter_serves_many_threads(artifacts: dict[str, Path], name: str) -> None:
    segmenter = Segmenter.load(artifacts[name] if name in artifacts else RELEASED / name)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(6)]
    alone = [segmenter(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for number, result in enumerate(pool.map(lambda k: segmenter(images[k % 6]), range(48))):
            assert np.array_equal(result, alone[number % 6]), number


@pytest.mark.parametrize("threads", [0, -1, 65, 100_000, 2**70])
def test_threads_are_bounded(threads: int) -> None:
    with pytest.raises(InputError, match="expected 1 to 64"):
        Segmenter.load(RELEASED / "ncnn-fp16", threads=threads)
