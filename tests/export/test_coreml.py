"""Core ML: converted in an environment of its own, and its description checked. Core ML itself runs on macOS only."""

from __future__ import annotations

import platform
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends import open_backend
from edge_runtime.backends.coreml import MEMBERS, pack, unpacked
from edge_runtime.errors import InputError
from export import to_coreml
from export.consumers import environments
from export.pipeline import ExportConfig

pytestmark = pytest.mark.slow
# What Xcode shows of the package, and its weights.
LOOK = """
import sys
from pathlib import Path
import coremltools
from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends.coreml import unpacked
with unpacked(read_artifact(Path(sys.argv[1])).file("model")) as package:
    spec = coremltools.utils.load_spec(str(package))
(function,) = spec.mlProgram.functions.values()
(block,) = function.block_specializations.values()
print(sorted({each.type for each in block.operations} - {"const"}))
print(spec.description.metadata.license, spec.description.metadata.userDefined["mean"])
"""


@pytest.mark.full
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_package_holds_the_network(precision: str, tiny_checkpoint: Path, project_root: Path, tmp_path: Path) -> None:
    python, out = environments.make("coreml"), tmp_path / "out"
    words = ["export/to_coreml.py", "--checkpoint", tiny_checkpoint, "--size", "96x64", "--precision", precision, "--out", out]
    done = subprocess.run([python, *words], cwd=project_root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    artifact = read_artifact(out)
    assert (artifact.spec.name, artifact.spec.format) == (f"unet_lite_s-96x64-{precision}-coreml", "coreml")
    assert (artifact.spec.input.shape, artifact.spec.input.dtype) == ((1, 64, 96, 3), "uint8")
    assert artifact.size_bytes == pytest.approx({"fp32": 1_400_000, "fp16": 740_000}[precision], rel=0.1)
    seen = subprocess.run([python, "-c", LOOK, out], cwd=project_root, capture_output=True, text=True, timeout=600)
    assert "'conv'" in seen.stdout and "'sigmoid'" in seen.stdout and "'pixel_shuffle'" in seen.stdout, seen.stderr
    assert seen.stdout.splitlines()[1] == "research, non-commercial 127, 127, 127"
    assert ("'cast'" in seen.stdout) == (precision == "fp16")
    if platform.system() != "Darwin":
        assert artifact.spec.metrics["parity"] == {"to": "torch fp32", "not_run": to_coreml.NOT_RUN}
        assert "parity not run: Core ML predicts only on macOS" in done.stdout
        with pytest.raises(InputError, match="got an artifact of format coreml on Linux, expected macOS"):
            open_backend(artifact)


def test_packages_are_packed_and_nothing_else_is_unpacked(tmp_path: Path) -> None:
    package, path = tmp_path / "model.mlpackage", tmp_path / "model.mlpackage.zip"
    content = {name: np.random.default_rng(number).bytes(999) for number, name in enumerate(sorted(MEMBERS))}
    for name, values in content.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(values)
    pack(package, path)
    assert not package.exists()
    with unpacked(path) as found:
        assert {name: (found.parent / name).read_bytes() for name in MEMBERS} == content
    for extra in ("../outside", f"{package.name}/Data/more", "/etc/outside"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(extra, b"x")
        with pytest.raises(InputError, match="with other members than"), unpacked(path):
            pass
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="no whole zip file"), unpacked(path):
        pass
    assert not (tmp_path.parent / "outside").exists()


def test_a_missing_coremltools_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pip install 'skyedge\[coreml\]'"):
        to_coreml.export(ExportConfig(tiny_checkpoint, out=tmp_path / "out"))
    assert not list(tmp_path.iterdir())
