"""TFLite files as they are released: metadata, the label behind the model, and ends of other types."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.images.network_input import Size
from export.graphs.tflite_graph import ENDS, IoType, finish, read_graph, tidy

pytestmark = pytest.mark.slow
RELEASED = Path(__file__).parents[2] / "models" / "unet_lite_s" / "tflite-int8"


def _run(content: bytes, tensor: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], tensor)
    interpreter.invoke()
    return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))


@pytest.mark.parametrize("io_type", ENDS)
def test_ends_of_another_type_give_the_same_mask(io_type: IoType) -> None:
    artifact = read_artifact(RELEASED)
    content, image = tidy(artifact.file("model").read_bytes()), artifact.golden().input[None]
    expected = _run(content, (image.astype(int) - 128).astype(np.int8)).astype(int) + 128
    made = finish(content, "unet_lite_s", Size(*artifact.size), "terms", io_type)
    graph = read_graph(made)
    assert (graph.input, graph.output) == ENDS[io_type] and "TRANSPOSE" not in graph.operators
    assert graph.operators.get("QUANTIZE", 0) == {"int8": 0, "uint8": 2}[io_type]
    got = _run(made, {"int8": (image.astype(int) - 128).astype(np.int8), "uint8": image}[io_type])
    assert got.dtype == np.dtype(io_type) and np.array_equal(got.astype(int) + {"int8": 128, "uint8": 0}[io_type], expected)


def test_the_label_lies_behind_the_model_and_files_are_the_same_every_time() -> None:
    content = (RELEASED / "model.tflite").read_bytes()
    made = finish(tidy(content), "unet_lite_s", Size(192, 192), "terms")
    assert made == finish(tidy(content), "unet_lite_s", Size(192, 192), "terms")
    with zipfile.ZipFile(io.BytesIO(made)) as files:
        assert files.namelist() == ["labels.txt"] and files.read("labels.txt") == b"sky\n"
    assert b"M001" in made and b"TFLITE_METADATA" in made and len(made) - len(content) < 2000
