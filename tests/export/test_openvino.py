"""OpenVINO: exported, quantized by NNCF, and run by the backend."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.artifact.artifact import Artifact
from edge_runtime.backends import open_backend
from edge_runtime.errors import InputError
from export import to_openvino
from export.network import load_network
from export.parity import parity_images
from export.pipeline import ExportConfig
from quantize.int8 import Int8Config, quantize

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Return a float32 artifact with a wide input."""
    return to_openvino.export(ExportConfig(tiny_checkpoint, "96x64", out=tmp_path_factory.mktemp("openvino") / "fp32"))


def test_artifact_is_what_the_contract_asks_for(exported: Artifact) -> None:
    spec = exported.spec
    assert (spec.name, spec.format, sorted(spec.files)) == ("unet_lite_s-96x64-fp32-openvino", "openvino", ["bin", "xml"])
    assert (spec.input.shape, spec.input.name, spec.output.name) == ((1, 3, 64, 96), "image", "sky")
    assert spec.metrics["parity"]["max_abs"] <= 1e-4 and spec.provenance["versions"]["openvino"]
    golden = exported.golden()
    assert np.abs(open_backend(exported).run(golden.input) - golden.output).max() <= 1e-6
    assert all(str(Path.home()) + "/" not in (exported.folder / name).read_text() for name in ("model.xml", "model.json"))


def test_fp16_stores_half(exported: Artifact, tiny_checkpoint: Path, tmp_path: Path) -> None:
    half = to_openvino.export(ExportConfig(tiny_checkpoint, "96x64", "fp16", tmp_path / "half"))
    sizes = [artifact.file("bin").stat().st_size for artifact in (half, exported)]
    assert sizes[0] < 0.55 * sizes[1] and half.spec.metrics["parity"]["agreement"] >= 0.999


def test_threads_share_a_backend(exported: Artifact, tiny_checkpoint: Path) -> None:
    backend, images = open_backend(exported), parity_images(load_network(tiny_checkpoint, "96x64").size)
    expected, wrong = [backend.run(image) for image in images], []

    def work(index: int) -> None:
        for _ in range(20):
            if not np.array_equal(backend.run(images[index]), expected[index]):
                wrong.append(index)

    workers = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not wrong and not any(worker.is_alive() for worker in workers)


def test_nncf_quantizes_and_keeps_chosen_layers(scene_dir: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = Int8Config(
        scene_dir, tiny_checkpoint, "96x64", ("openvino",), min_agreement=0.9, keep_float=("head",), out=tmp_path / "int8"
    )
    (made,) = quantize(config)
    assert made.precision == "int8" and made.spec.provenance["kept_float"] == ["head"]
    assert made.file("bin").stat().st_size < 600_000  # of 1.28 MB
    types = made.file("xml").read_text()
    assert types.count('type="FakeQuantize"') > 50
    with pytest.raises(InputError, match="got --method entropy for openvino, expected none"):
        quantize(Int8Config(scene_dir, tiny_checkpoint, "96x64", ("openvino",), method="entropy"))


def test_a_damaged_model_is_refused(exported: Artifact, tmp_path: Path) -> None:
    import dataclasses
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(exported.folder, copy)
    (copy / "model.xml").write_text("<net></net>")
    with pytest.raises(InputError, match="openvino cannot load .*model.xml: .*; export the artifact again"):
        open_backend(dataclasses.replace(exported, folder=copy))
