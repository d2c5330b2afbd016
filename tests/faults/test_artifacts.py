"""Damaged and hostile artifacts: every one is refused with a message that names the place, in library and command alike."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge_runtime import Segmenter
from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.errors import GateError, InputError
from edge_runtime.verify import Verify, main

RELEASED = Path(__file__).resolve().parents[2] / "models" / "unet_lite_s"
KINDS = ("onnx-int8", "tflite-int8", "ncnn-fp16")


def copied(kind: str, folder: Path) -> Path:
    """Copy a released artifact."""
    shutil.copytree(RELEASED / kind, folder)
    return folder


def edited(kind: str, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Copy a released artifact with another model.json."""
    copied(kind, folder)
    values = json.loads((folder / "model.json").read_text())
    change(values)
    (folder / "model.json").write_text(json.dumps(values))
    return folder


def put(*keys: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of a spec: the last of `keys` is the value, the others lead to its place."""

    def change(values: dict[str, Any]) -> None:
        for key in keys[:-2]:
            values = values[key]
        values[keys[-2]] = copy.deepcopy(keys[-1])

    return change


def drop(*keys: str) -> Callable[[dict[str, Any]], None]:
    """Return a change of a spec that leaves a key out."""

    def change(values: dict[str, Any]) -> None:
        for key in keys[:-1]:
            values = values[key]
        del values[keys[-1]]

    return change


REQUIRED = (
    "schema_version", "name", "arch", "format", "files", "input", "output", "quantization", "golden", "provenance", "metrics",
    "weights_license",
)  # fmt: skip
INPUT_KEYS = ("name", "shape", "layout", "dtype", "color", "resize", "mean", "std", "quant")
WRONG: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    **{f"without {key}": (drop(key), key) for key in REQUIRED},
    **{f"without input.{key}": (drop("input", key), f"input.{key}") for key in INPUT_KEYS},
    **{f"{key} of another type": (put(key, [7]), key) for key in REQUIRED},
    **{f"input.{key} of another type": (put("input", key, {"a": 1}), f"input.{key}") for key in INPUT_KEYS},
    **{f"output.{key} null": (put("output", key, None), f"output.{key}") for key in ("name", "meaning", "threshold", "dtype")},
    "a newer version": (put("schema_version", 2), "schema_version"),
    "true as a version": (put("schema_version", True), "schema_version"),
    "unknown key": (put("surprise", 1), "unknown key surprise"),
    "unknown inner key": (put("golden", "surprise", 1), "unknown key golden.surprise"),
    "unknown format": (put("format", "pickle"), "format"),
    "a name with a slash": (put("name", "a/b"), "name"),
    "a name with a newline": (put("name", "a\nb"), "name"),
    "an empty name": (put("name", ""), "name"),
    "a surrogate": (put("arch", "\ud800"), "arch"),
    "a path above": (put("files", "model", "path", "../model.onnx"), "files.model.path"),
    "an absolute path": (put("files", "model", "path", "/etc/passwd"), "files.model.path"),
    "a hidden path": (put("files", "model", "path", ".hidden"), "files.model.path"),
    "a path with a null byte": (put("files", "model", "path", "a\0"), "files.model.path"),
    "a golden path above": (put("golden", "input", "../x.npy"), "golden.input"),
    "another role": (put("files", "weights", {"path": "a", "sha256": "0" * 64, "bytes": 1}), "files"),
    "no roles": (put("files", {}), "files"),
    "a digest that is no digest": (put("files", "model", "sha256", "zz"), "files.model.sha256"),
    "a wrong digest": (put("files", "model", "sha256", "0" * 64), "sha256"),
    "a wrong size": (put("files", "model", "bytes", 1), "bytes"),
    "a size of 10^30": (put("files", "model", "bytes", 10**30), "files.model.bytes"),
    "a size of 1.9 GiB": (put("files", "model", "bytes", 2_040_109_465), "files.model.bytes: got 2040109465, expected a whole"),
    "a negative size": (put("files", "model", "bytes", -1), "files.model.bytes"),
    "five sides": (put("input", "shape", [1, 3, 192, 192, 1]), "input.shape"),
    "no sides": (put("input", "shape", []), "input.shape"),
    "a side of 0": (put("input", "shape", [1, 3, 0, 192]), "input.shape"),
    "a side of 2^40": (put("input", "shape", [1, 3, 2**40, 192]), "input.shape"),
    "a side of 32768": (put("input", "shape", [1, 3, 32768, 192]), "input.shape"),
    "a side as a float": (put("input", "shape", [1, 3, 192.0, 192]), "input.shape"),
    "two images": (put("input", "shape", [2, 3, 192, 192]), "input.shape"),
    "one channel": (put("input", "shape", [1, 1, 192, 192]), "input.shape"),
    "another layout": (put("input", "layout", "CHWN"), "input.layout"),
    "BGR": (put("input", "color", "BGR"), "input.color"),
    "another resize": (put("input", "resize", "opencv_linear"), "input.resize"),
    "two means": (put("input", "mean", [1.0, 2.0]), "input.mean"),
    "a mean of 1e400": (put("input", "mean", [10**400, 1, 1]), "input.mean"),
    "std 0": (put("input", "std", [0.0, 1.0, 1.0]), "input.std"),
    "quant without int8": (put("input", "quant", {"scale": 1.0, "zero_point": 0}), "input.quant"),
    "int8 without quant": (put("input", "dtype", "int8"), "input.quant"),
    "int8 output without quant": (put("output", "dtype", "int8"), "output.quant"),
    "float16 input": (put("input", "dtype", "float16"), "input.dtype"),
    "logits": (put("output", "meaning", "logit"), "output.meaning"),
    "threshold 2": (put("output", "threshold", 2.0), "output.threshold"),
    "threshold as text": (put("output", "threshold", "0.5"), "output.threshold"),
    "atol -1": (put("golden", "atol", -1.0), "golden.atol"),
    "atol 1e300": (put("golden", "atol", 1e300), "golden.atol"),
    "precision 4 bit": (put("quantization", "precision", "int4"), "quantization.precision"),
    "calibrated on 0 images": (put("quantization", "calibration", "count", 0), "quantization.calibration.count"),
    "a wrong calibration digest": (put("quantization", "calibration", "sha256", "A" * 64), "quantization.calibration.sha256"),
    "provenance as a list": (put("provenance", []), "provenance"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_specs(tmp_path: Path, name: str) -> None:
    change, place = WRONG[name]
    folder = edited("onnx-int8", tmp_path / "a", change)
    with pytest.raises(InputError) as raised:
        Segmenter.load(folder)
    assert place in str(raised.value) and "model" in str(raised.value)


TEXTS = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "a number": b"7",
    "null": b"null",
    "not UTF-8": b"\xff\xfe{}",
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a key twice": b'{"schema_version": 1, "schema_version": 1}',
    "NaN": b'{"schema_version": NaN}',
    "infinity": b'{"schema_version": -Infinity}',
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "a number of 10,000 digits": b'{"schema_version": ' + b"1" * 10_000 + b"}",
    "HTML": b"<html></html>",
    "zeros": bytes(1000),
    "17 MB": b" " * (17 << 20),
}


@pytest.mark.parametrize("name", TEXTS)
def test_model_json_that_is_none(tmp_path: Path, name: str) -> None:
    folder = copied("onnx-int8", tmp_path / "a")
    (folder / "model.json").write_bytes(TEXTS[name])
    with pytest.raises(InputError, match="model.json"):
        read_artifact(folder)


def rehashed(folder: Path, role: str, content: bytes) -> Path:
    """Give an artifact another model file, with its hash: what a stranger would send."""
    values = json.loads((folder / "model.json").read_text())
    entry = values["files"][role]
    (folder / entry["path"]).write_bytes(content)
    entry |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / "model.json").write_text(json.dumps(values))
    return folder


CONTENTS: dict[str, Callable[[bytes], bytes]] = {
    "half": lambda content: content[: len(content) // 2],
    "100 bytes": lambda content: content[:100],
    "one byte": lambda content: content[:1],
    "zeros": lambda content: bytes(len(content)),
    "text": lambda content: b"no model at all\n" * 100,
    "start lost": lambda content: content[8:],
    "twice": lambda content: content + content,
}
ROLES = [("onnx-int8", "model"), ("tflite-int8", "model"), ("ncnn-fp16", "param"), ("ncnn-fp16", "bin")]


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize(("kind", "role"), ROLES, ids=lambda part: part)
def test_damaged_models(tmp_path: Path, kind: str, role: str, name: str) -> None:
    folder = copied(kind, tmp_path / "a")
    content = CONTENTS[name](read_artifact(folder).file(role).read_bytes())
    rehashed(folder, role, content)
    try:
        Segmenter.load(folder, check=True)
    except InputError as error:
        assert "export" in str(error)
    else:
        # TFLite ignores what follows its data, and onnxruntime takes the later of two equal messages.
        assert name == "twice" and role == "model"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", ["folder", "pipe", "socket", "missing", "empty"])
def test_files_of_another_kind(tmp_path: Path, kind: str, what: str) -> None:
    folder = copied(kind, tmp_path / "a")
    for path in sorted(folder.iterdir()):
        kept = path.read_bytes()
        path.unlink()
        if what == "folder":
            path.mkdir()
        elif what == "pipe":
            os.mkfifo(path)
        elif what == "socket":
            os.mknod(path, 0o140644)
        elif what == "empty":
            path.touch()
        with pytest.raises(InputError, match=path.name if path.suffix != ".npy" or what != "empty" else "golden"):
            read_artifact(folder).golden()
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(kept)


@pytest.mark.parametrize("kind", KINDS)
def test_golden_pairs_that_lie(tmp_path: Path, kind: str) -> None:
    folder = copied(kind, tmp_path / "a")
    values = json.loads((folder / "model.json").read_text())
    values["provenance"].pop("golden_sha256", None)  # else the digest tells
    (folder / "model.json").write_text(json.dumps(values))
    sky = np.load(folder / "golden_out.npy")
    for wrong in (1 - sky, np.zeros_like(sky), np.ones_like(sky), np.full_like(sky, 0.5)):
        np.save(folder / "golden_out.npy", wrong)
        with pytest.raises(GateError, match="golden"):
            main(Verify((folder,)))
    for wrong in (sky * np.nan, sky - 2, sky + np.inf, sky[:-1], sky.astype(np.float64), sky.astype(object)):
        np.save(folder / "golden_out.npy", wrong, allow_pickle=True)
        with pytest.raises(InputError, match="1 of 1 artifacts cannot be verified"):
            main(Verify((folder,)))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "folders"),
        (("missing",), 2, "no such folder"),
        (("a/model.json",), 2, "expected an artifact folder"),
        (("a", "--threads", "0"), 2, "expected 1 to 64"),
        (("a", "--threads", "100000"), 2, "expected 1 to 64"),
        (("a", "--threads", "many"), 2, "many"),
        (("a", "--device", "cuda"), 2, "device 'cuda'"),
        (("a", "--device", "npu"), 2, "npu"),
        (("a", "--config"), 2, "--config"),
        (("a", "--config", "missing.yaml"), 2, "missing.yaml"),
        (("a", "--surprise"), 2, "surprise"),
        (("classical:magic",), 2, "classical:contour"),
        ((b"\xff\xfe",), 2, "no such folder"),
        (("n" * 255,), 2, "no such folder"),
        (("n" * 300,), 2, "error:"),
        (("loop",), 2, "error:"),
        (("a", "a"), 0, "ok"),
    ],
)
def test_commands_end_with_a_message(tmp_path: Path, words: tuple[Any, ...], code: int, message: str) -> None:
    copied("onnx-int8", tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    command = [sys.executable, "-m", "edge_runtime.verify", *words]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == code and message in said and "Traceback" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "loop"]
