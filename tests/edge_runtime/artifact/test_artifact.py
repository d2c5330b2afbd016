"""Artifacts on disk: what is written is read back, damage is refused, and nothing of value is overwritten."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.artifact.artifact import (
    Artifact,
    Calibration,
    Golden,
    GoldenPair,
    InputSpec,
    ModelSpec,
    OutputSpec,
    Quant,
    Quantization,
    format_spec,
    parse_spec,
    read_artifact,
    write_artifact,
)
from edge_runtime.errors import InputError

SIDE = 8


def draft(artifact_format: str = "tflite") -> ModelSpec:
    """Return a spec as an exporter fills it in: int8 for TFLite, float32 for the others."""
    int8 = artifact_format == "tflite"
    shape, layout = ((1, SIDE, SIDE, 3), "NHWC") if int8 else ((1, 3, SIDE, SIDE), "NCHW")
    dtype = "int8" if int8 else "float32"
    quant_in, quant_out = (Quant(0.0078125, -1), Quant(0.00390625, -128)) if int8 else (None, None)
    mean, std = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
    quantization = (
        Quantization("int8", "per_channel_symmetric", "per_tensor", Calibration("0" * 64, 200))
        if int8
        else Quantization("fp32", "float32", "float32", None)
    )
    return ModelSpec(
        schema_version=1,
        name=f"unet_lite-{SIDE}-{quantization.precision}-{artifact_format}",
        arch="unet_lite",
        format=artifact_format,
        files={},
        input=InputSpec("image", shape, layout, dtype, "RGB", "pillow_bilinear", mean, std, quant_in),
        output=OutputSpec("sky", "probability", 0.5, dtype, quant_out),
        quantization=quantization,
        golden=Golden("", "", 0.01),
        provenance={"torch": "2.13.0", "macs": 1, "nested": {"any": [1, None]}},
        metrics={},
        weights_license="Apache-2.0",
    )


def golden_pair() -> GoldenPair:
    rng = np.random.default_rng(0)
    return GoldenPair(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8), rng.random((SIDE, SIDE), np.float32))


def make(folder: Path, artifact_format: str = "tflite", content: bytes = b"weights") -> Artifact:
    """Write an artifact whose model files hold `content`."""
    folder.parent.mkdir(exist_ok=True)
    source = folder.parent / "source"
    source.write_bytes(content)
    roles = ("param", "bin") if artifact_format == "ncnn" else ("model",)
    return write_artifact(folder, draft(artifact_format), dict.fromkeys(roles, source), golden_pair())


@pytest.mark.parametrize("artifact_format", ["onnx", "tflite", "ncnn", "torch"])
def test_written_is_read_back(tmp_path: Path, artifact_format: str) -> None:
    written = make(tmp_path / "a" / artifact_format, artifact_format)
    read = read_artifact(written.folder)
    assert read == written
    assert read.size == (SIDE, SIDE) and read.precision == read.spec.quantization.precision
    plain = draft(artifact_format)
    assert dataclasses.replace(read.spec, files={}, golden=plain.golden, provenance=plain.provenance) == plain
    assert parse_spec(format_spec(read.spec)) == read.spec
    golden = read.golden()
    assert np.array_equal(golden.input, golden_pair().input) and np.array_equal(golden.output, golden_pair().output)
    digest = hashlib.sha256(b"weights").hexdigest()
    if artifact_format == "ncnn":
        assert read.size_bytes == 14 and read.sha256 == hashlib.sha256((digest * 2).encode()).hexdigest()
    else:
        assert read.size_bytes == 7 and read.sha256 == digest
    assert {path.name for path in (tmp_path / "a").iterdir()} == {artifact_format, "source"}  # nothing else stays
    assert (written.folder.stat().st_mode & 0o777) == (tmp_path / "a").stat().st_mode & 0o777


def test_height_comes_before_width() -> None:
    for layout, shape in (("NHWC", (1, 2, 5, 3)), ("NCHW", (1, 3, 2, 5))):
        spec = draft("onnx")
        changed = dataclasses.replace(spec, input=dataclasses.replace(spec.input, layout=layout, shape=shape))
        assert Artifact(Path(), changed).size == (2, 5)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        read_artifact(tmp_path / "absent")
    with pytest.raises(InputError, match=r"without model\.json"):
        read_artifact(tmp_path)
    folder = make(tmp_path / "a").folder
    model = folder / "model.tflite"
    model.write_bytes(b"Weights")
    with pytest.raises(InputError, match="got sha256"):
        read_artifact(folder)
    model.write_bytes(b"weight")
    with pytest.raises(InputError, match="got 6 bytes, expected 7"):
        read_artifact(folder)
    model.unlink()
    with pytest.raises(InputError, match=r"got no .*model\.tflite"):
        read_artifact(folder)
    (folder / "model.json").write_text("{}")
    with pytest.raises(InputError, match=r"model\.json: got schema_version None, expected 1"):
        read_artifact(folder)
    (folder / "model.json").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot read"):
        read_artifact(folder)


def test_broken_golden_pairs(tmp_path: Path) -> None:
    folder = make(tmp_path / "a").folder
    for name, content in (("golden_in.npy", np.zeros((4, 4, 3), np.uint8)), ("golden_out.npy", np.zeros((SIDE, SIDE)))):
        good = (folder / name).read_bytes()
        np.save(folder / name, content)
        with pytest.raises(InputError, match="golden"):
            read_artifact(folder).golden()
        (folder / name).write_bytes(b"")
        with pytest.raises(InputError, match="cannot read the golden"):
            read_artifact(folder).golden()
        np.save(folder / name, np.array([{"code": "must not run"}]), allow_pickle=True)
        with pytest.raises(InputError, match=r"golden .*: got \|O"):
            read_artifact(folder).golden()
        (folder / name).unlink()
        with pytest.raises(InputError, match=f"got no .*{name}"):
            read_artifact(folder)
        (folder / name).write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(InputError, match="a golden pair of another sha256"):
            read_artifact(folder).golden()
        (folder / name).write_bytes(good)
    read_artifact(folder).golden()
    values = json.loads((folder / "model.json").read_text())
    values["provenance"]["golden_sha256"] = 5
    (folder / "model.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match="a golden pair of another sha256"):
        read_artifact(folder).golden()
    del values["provenance"]["golden_sha256"]
    (folder / "model.json").write_text(json.dumps(values))
    assert np.array_equal(read_artifact(folder).golden().input, golden_pair().input)  # as earlier versions wrote it


def test_writing_replaces_an_artifact_whole(tmp_path: Path) -> None:
    old = make(tmp_path / "a", content=b"old")
    new = make(tmp_path / "a", content=b"newer")
    assert new.sha256 != old.sha256 and read_artifact(tmp_path / "a") == new
    replaced = make(tmp_path / "a", "ncnn")
    assert {path.name for path in replaced.folder.iterdir()} == {
        "model.json", "model.param", "model.bin", "golden_in.npy", "golden_out.npy",
    }  # fmt: skip


def test_a_failed_write_leaves_the_old_artifact(tmp_path: Path) -> None:
    old = make(tmp_path / "a")
    source = {"model": tmp_path / "source"}
    bad_spec = dataclasses.replace(draft(), weights_license="")
    bad_golden = GoldenPair(golden_pair().input, golden_pair().output + 1)
    for attempt in (
        lambda: write_artifact(tmp_path / "a", bad_spec, source, golden_pair()),
        lambda: write_artifact(tmp_path / "a", draft(), source, bad_golden),
        lambda: write_artifact(tmp_path / "a", draft(), {"model": tmp_path / "absent"}, golden_pair()),
        lambda: write_artifact(tmp_path / "a", draft(), {"param": tmp_path / "source"}, golden_pair()),
    ):
        with pytest.raises((InputError, OSError)):
            attempt()
        assert read_artifact(tmp_path / "a") == old
        assert {path.name for path in tmp_path.iterdir()} == {"a", "source"}


def test_other_peoples_folders_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(InputError, match=r"holds holiday\.jpg"):
        make(tmp_path / "photos")
    folder = make(tmp_path / "a").folder
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds notes\.txt"):
        make(folder)
    assert (folder / "notes.txt").read_text() == "mine"
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="got the file"):
        make(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty")
    deep = tmp_path / "new" / "folders"
    write_artifact(deep, draft(), {"model": tmp_path / "source"}, golden_pair())
    assert read_artifact(deep).spec.name == draft().name
