"""Mutated files through every reader of artifacts and configs: each is read or refused with `InputError`, nothing else.

`FUZZ_EXAMPLES=20000 pytest tests/faults/test_fuzz_loaders.py` tries as many files a reader.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.artifact.golden import read_golden, unpack_mask
from edge_runtime.artifact.spec import format_spec, parse_spec
from edge_runtime.backends.checks.file_checks import check_onnx, check_tflite
from edge_runtime.backends.checks.ncnn_check import check_ncnn
from edge_runtime.backends.checks.pt2_graph import read_program
from edge_runtime.errors import InputError

RELEASED = Path(__file__).resolve().parents[2] / "models" / "unet_lite_s"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
FEW = settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
WORDS = st.sampled_from(
    ["2147483647", "-1", "0", "1e308", "NaN", "null", "[]", "{}", '"x"', "18446744073709551616", "=", ",", "\0"]
)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@dataclass(frozen=True)
class Edit:
    """One change of a file, at a share of its length: bytes that are put there, and how many go."""

    at: float
    removed: int
    put: bytes

    def apply(self, content: bytes) -> bytes:
        """Return the changed content."""
        at = int(self.at * len(content))
        return content[:at] + self.put + content[at + self.removed :]


EDITS = st.lists(
    st.builds(
        Edit,
        st.floats(0, 1),
        st.integers(0, 64),
        st.one_of(
            st.binary(max_size=16), WORDS.map(str.encode), st.integers(0, 2**64 - 1).map(lambda n: n.to_bytes(8, "little"))
        ),
    ),
    min_size=1,
    max_size=6,
)


def mutated(content: bytes, edits: list[Edit]) -> bytes:
    """Return `content` after all edits."""
    for edit in edits:
        content = edit.apply(content)
    return content


def read_or_refused(read: Callable[[], object]) -> None:
    """Run a reader; any other error than `InputError` is a fault."""
    try:
        read()
    except InputError as error:
        assert str(error)


def on_disk(content: bytes, name: str, read: Callable[[Path], object]) -> None:
    """Run a reader of files."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        read_or_refused(lambda: read(path))


SPEC = (RELEASED / "onnx-int8" / "model.json").read_bytes()
SHORT_SPEC = json.dumps(json.loads(SPEC) | {"provenance": {}, "metrics": {}}).encode()


@FEW
@given(EDITS)
@example([Edit(0, len(SPEC), b"[" * 100_000)])
@example([Edit(0, len(SPEC), b"1" * 5000)])
def test_specs(edits: list[Edit]) -> None:
    text = mutated(SHORT_SPEC, edits).decode(errors="surrogateescape")
    read_or_refused(lambda: parse_spec(format_spec(parse_spec(text))))


@FEW
@given(JSON)
def test_json_of_any_shape(value: object) -> None:
    read_or_refused(lambda: parse_spec(json.dumps(value)))


@FEW
@given(EDITS, st.sampled_from(["golden_in.npy", "golden_out.npy"]))
def test_golden_arrays(edits: list[Edit], name: str) -> None:
    folder = RELEASED / "onnx-int8"
    start = (folder / name).read_bytes()
    heads = mutated(start[:128], edits) + start[128:]
    other = folder / ("golden_out.npy" if name == "golden_in.npy" else "golden_in.npy")
    pair = (lambda path: (path, other)) if name == "golden_in.npy" else (lambda path: (other, path))
    on_disk(heads, name, lambda path: read_golden(*pair(path), (192, 192)))


@FEW
@given(EDITS)
def test_onnx_files(edits: list[Edit]) -> None:
    on_disk(mutated((RELEASED / "onnx-int8" / "model.onnx").read_bytes(), edits), "model.onnx", check_onnx)


@FEW
@given(EDITS)
def test_tflite_files(edits: list[Edit]) -> None:
    content = (RELEASED / "tflite-int8" / "model.tflite").read_bytes()
    on_disk(mutated(content[:4096], edits) + content[4096:], "model.tflite", check_tflite)


@FEW
@given(EDITS, EDITS)
def test_ncnn_files(param_edits: list[Edit], bin_edits: list[Edit]) -> None:
    artifact = read_artifact(RELEASED / "ncnn-int8")
    param = mutated(artifact.file("param").read_bytes(), param_edits)
    weights = artifact.file("bin").read_bytes()
    read_or_refused(lambda: check_ncnn(param, weights, artifact.size))
    read_or_refused(lambda: check_ncnn(artifact.file("param").read_bytes(), mutated(weights, bin_edits), artifact.size))


@pytest.fixture(scope="module")
def torch_archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a small torch.export archive."""
    path = tmp_path_factory.mktemp("torch") / "model.pt2"
    program = torch.export.export(torch.nn.Conv2d(3, 1, 3, padding=1).eval(), (torch.zeros(1, 3, 8, 8),))
    program.example_inputs = None
    torch.export.save(program, path)
    return path.read_bytes()


@FEW
@given(edits=EDITS)
@example(edits=[Edit(0.0, 1, b"")])  # found here: an OSError of zipfile
def test_torch_archives(torch_archive: bytes, edits: list[Edit]) -> None:
    on_disk(mutated(torch_archive, edits), "model.pt2", lambda path: read_program(path, torch))


@FEW
@given(st.text() | st.integers() | st.none())
def test_packed_masks(text: object) -> None:
    read_or_refused(lambda: unpack_mask(text, (7, 9)))
