"""ExecuTorch in an environment of its own: exported, quantized, run by the backend, and measured."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.artifact.artifact import Artifact, read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.errors import InputError
from export import to_executorch
from export.consumers import environments
from export.pipeline import ExportConfig

pytestmark = pytest.mark.slow
Run = Callable[..., "subprocess.CompletedProcess[str]"]
# One and two threads take turns, which replaces ExecuTorch's pool each time; then four threads share one backend.
TURNS = """
import sys, threading
from pathlib import Path
import numpy as np
from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends import open_backend
artifact = read_artifact(Path(sys.argv[1]))
golden, backends = artifact.golden(), [open_backend(artifact, threads) for threads in (1, 2, 1)]
for _ in range(5):
    for backend in backends:
        assert np.abs(backend.run(golden.input) - golden.output).max() <= 1e-5
images = [np.roll(golden.input, 7 * index, axis=1) for index in range(4)]
expected, right = [backends[0].run(image) for image in images], []
def work(index):
    for _ in range(10):
        assert np.array_equal(backends[0].run(images[index]), expected[index])
    right.append(index)
workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
[worker.start() for worker in workers]
[worker.join(60) for worker in workers]
print(sorted(right))
"""


@pytest.fixture(scope="module")
def run(project_root: Path) -> Run:
    """Return a function that runs words with the interpreter of ExecuTorch's environment; it is made by the first run."""
    python = environments.make("executorch")

    def call(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([python, *map(str, words)], cwd=project_root, capture_output=True, text=True, timeout=600)
        assert done.returncode == code, done.stderr
        return done

    return call


@pytest.fixture(scope="module")
def exported(run: Run, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return a float32 artifact with a wide input."""
    out = tmp_path_factory.mktemp("executorch") / "fp32"
    run("export/to_executorch.py", "--checkpoint", tiny_checkpoint, "--size", "96x64", "--out", out)
    return read_artifact(out)


@pytest.mark.full
def test_artifact_is_what_the_contract_asks_for(exported: Artifact, run: Run) -> None:
    spec = exported.spec
    assert (spec.name, spec.format, list(spec.files)) == ("unet_lite_s-96x64-fp32-executorch", "executorch", ["model"])
    assert spec.input.shape == (1, 3, 64, 96) and spec.provenance["versions"]["executorch"]
    assert spec.metrics["parity"]["max_abs"] <= 1e-4 and spec.metrics["parity"]["agreement"] > 0.999
    assert "executorch, max abs difference 0, " in run("-m", "edge_runtime.verify", exported.folder).stdout
    assert str(Path.home()).encode() + b"/" not in exported.file("model").read_bytes()


@pytest.mark.full
def test_threads_take_turns_and_share(exported: Artifact, run: Run) -> None:
    assert run("-c", TURNS, exported.folder).stdout == "[0, 1, 2, 3]\n"


@pytest.mark.full
def test_int8_keeps_chosen_layers(run: Run, exported: Artifact, scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    flags = ("--checkpoint", tiny_checkpoint, "--size", "96x64", "--format", "executorch", "--calib", scene_dir)
    run("quantize/int8.py", *flags, "--min-agreement", "0.9", "--keep-float", "head", "--out", tmp_path / "int8")
    made = read_artifact(tmp_path / "int8")
    assert made.precision == "int8" and made.spec.provenance["kept_float"] == ["head"]
    assert made.spec.quantization.weights == "per_channel_symmetric, 1 layers float32"
    assert made.size_bytes < 0.45 * exported.size_bytes
    run("-m", "edge_runtime.verify", made.folder)
    refused = run("quantize/int8.py", *flags, "--method", "entropy", "--out", tmp_path / "entropy", code=2)
    assert "got --method entropy for executorch, expected none" in refused.stderr and not (tmp_path / "entropy").exists()


@pytest.mark.full
def test_benchmark_has_a_row(exported: Artifact, run: Run, artifacts: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    run("-m", "edge_runtime.benchmark", "--quick", "--models", exported.folder, artifacts["onnx-fp32"], "--out", out)
    results = json.loads(out.read_text())
    assert [row["runtime"] for row in results["rows"]] == ["executorch", "onnxruntime"]
    assert results["machine"]["versions"]["executorch"]


@pytest.mark.full
def test_damaged_files_are_refused(exported: Artifact, run: Run, tmp_path: Path) -> None:
    for name, content in (("empty", b""), ("foreign", b"x" * 999), ("half", exported.file("model").read_bytes()[:99_999])):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.pte").write_bytes(content)
        script = (
            "import dataclasses, sys; from pathlib import Path; from edge_runtime.errors import InputError\n"
            "from edge_runtime.artifact.artifact import read_artifact; from edge_runtime.backends import open_backend\n"
            "try: open_backend(dataclasses.replace(read_artifact(Path(sys.argv[1])), folder=Path(sys.argv[2])))\n"
            "except InputError as error: print(error)"
        )
        said = run("-c", script, exported.folder, tmp_path / name).stdout
        assert said.startswith("executorch cannot load ") and said.endswith("; export the artifact again\n")


@pytest.mark.full
def test_a_missing_interpreter_is_named(exported: Artifact) -> None:
    with pytest.raises(InputError, match=r"cannot import executorch.runtime .*; install it: pip install 'skyedge\[executorch\]'"):
        open_backend(exported)


def test_what_the_exporter_refuses(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="got --precision fp16 for executorch, expected fp32"):
        to_executorch.export(ExportConfig(tiny_checkpoint, precision="fp16", out=tmp_path / "half"))
    with pytest.raises(InputError, match=r"pip install 'skyedge\[executorch\]'"):
        to_executorch.export(ExportConfig(tiny_checkpoint, out=tmp_path / "full"))
    assert not list(tmp_path.iterdir())
