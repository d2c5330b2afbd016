"""The released int8 TFLite files are integers from end to end, and run in XNNPACK as one piece."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_edge_litert.interpreter import Interpreter

from edge_runtime.artifact.artifact import read_artifact
from export.graphs.tflite_graph import read_graph

pytestmark = pytest.mark.slow
MODELS = Path(__file__).parents[2] / "models"
INTEGER = sorted(path.relative_to(MODELS).as_posix() for path in MODELS.glob("*/tflite-int8*"))
EVERY = sorted(path.parent.relative_to(MODELS).as_posix() for path in MODELS.glob("*/*/model.json"))


@pytest.mark.parametrize("name", INTEGER)
def test_int8_is_integer_and_one_piece(name: str) -> None:
    content = (MODELS / name / "model.tflite").read_bytes()
    graph = read_graph(content)
    assert graph.float_tensors == 0 and graph.input is not None and graph.output is not None
    assert not {"RESHAPE", "TRANSPOSE", "RESIZE_NEAREST_NEIGHBOR"} & set(graph.operators)
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    left = [operator["op_name"] for operator in interpreter._get_ops_details()]
    assert left.count("DELEGATE") == 1


@pytest.mark.parametrize("name", EVERY)
def test_a_bare_file_tells_its_terms(name: str) -> None:
    artifact = read_artifact(MODELS / name)
    terms, ncnn = artifact.spec.weights_license, artifact.spec.format == "ncnn"
    content = artifact.file("param" if ncnn else "model").read_bytes()
    assert (terms.replace(" ", "_") if ncnn else terms).encode() in content and b"127" in content
    assert ncnn or (b"Copyright (c) 2021 xiongzhu666" in content) == terms.startswith("CC BY"), "credits of the open weights"


@pytest.mark.parametrize(("name", "limit"), [("unet_lite_s", 450_000), ("unet_lite", 1_300_000)])
def test_int8_files_stay_small(name: str, limit: int) -> None:
    for folder in MODELS.glob(f"{name}*/*-int8*"):
        size = sum(path.stat().st_size for path in folder.iterdir() if path.suffix in (".onnx", ".tflite", ".bin", ".param"))
        if folder.parent.name.removesuffix("_open") == name:
            assert size <= limit, folder
