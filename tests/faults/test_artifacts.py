"""Damaged and hostile artifacts: every one is refused with a message that names the place, in library and command alike."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_process import Done

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
@pytest.mark.parametrize("what", ["folder", "pipe", "socket", "link", "missing", "empty"])
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
        elif what == "link":
            (tmp_path / "secret").write_bytes(kept)
            path.symlink_to(tmp_path / "secret")
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
def test_commands_end_with_a_message(
    tmp_path: Path, words: tuple[Any, ...], code: int, message: str, command: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied("onnx-int8", tmp_path / "a")
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    done = command(main, Verify, *words)
    said = done.stdout + done.stderr
    assert done.returncode == code and message in said and "Traceback" not in said and "unexpected" not in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "loop"]
