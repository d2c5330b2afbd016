"""Checks of ONNX and TFLite files before an interpreter opens them: nothing beside the file, nothing but built-in operations.

Both formats are read just far enough, since the packages that read them whole are no part of the runtime.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.errors import InputError

# ONNX messages, by the fields that lead to tensors: field number -> message. onnx.proto3 of the ONNX project.
ONNX_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14  # fields of a tensor whose values lie in another file
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MOST_DEPTH = 32


def check_onnx(path: Path) -> None:
    """Raise `InputError` where an ONNX file is no protobuf message or keeps weights in another file."""
    content = path.read_bytes()
    try:
        _walk(memoryview(content), "model", 0)
    except InputError as error:
        raise InputError(f"{path}: {error}; export the artifact again") from error


def _walk(message: memoryview, kind: str, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise InputError(f"got graphs nested more than {MOST_DEPTH} deep, expected a plain network")
    inner = ONNX_FIELDS.get(kind, {})
    for field, value in _fields(message):
        if kind == "tensor" and (field == EXTERNAL_DATA or (field == DATA_LOCATION and value != 0)):
            raise InputError("got weights in another file (external data), expected them inside the file")
        if field in inner:
            if isinstance(value, int):
                raise InputError("got no ONNX file, expected one")
            _walk(value, inner[field], depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield number and value of the fields of a protobuf message: bytes, or a number."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire == BYTES:
            length, at = _varint(message, at)
        elif wire in (FIXED64, FIXED32):
            length = 8 if wire == FIXED64 else 4
        else:
            raise InputError("got no ONNX file, expected one")
        if length > len(message) - at:
            raise InputError("got an ONNX file that ends too early, expected a whole one")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number that starts at `at`, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise InputError("got an ONNX file that ends too early, expected a whole one")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise InputError("got no ONNX file, expected one")


def check_tflite(path: Path) -> None:
    """Raise `InputError` where a TFLite file is no flatbuffer or has operations that are not built in.

    Custom operations run code of the application; TensorFlow's interpreter brings some (Flex) that open files.
    """
    content = path.read_bytes()
    try:
        names = [name for name in _custom_operations(content) if name]
    except (struct.error, IndexError, ValueError) as error:
        raise InputError(f"{path}: got no TFLite file ({error}), expected one; export the artifact again") from error
    if names:
        got = ", ".join(sorted({name.decode("ascii", "replace")[:40] for name in names})[:5])
        raise InputError(
            f"{path}: got the custom operations {got!r:.200}, expected built-in ones only; export the artifact again"
        )


def _custom_operations(content: bytes) -> list[bytes]:
    """Return the custom code of every entry of the model's `operator_codes`, empty for built-in ones."""
    if content[4:8] != b"TFL3":
        raise ValueError("no TFL3 mark")
    model = _offset(content, 0)
    codes = _field(content, model, 1)
    if codes is None:
        return []
    vector = _offset(content, codes)
    (count,) = struct.unpack_from("<I", content, vector)
    if count > len(content) // 4:
        raise ValueError(f"{count} operations")
    custom = []
    for number in range(count):
        entry = _field(content, _offset(content, vector + 4 + 4 * number), 1)
        if entry is not None:
            text = _offset(content, entry)
            (length,) = struct.unpack_from("<I", content, text)
            custom.append(content[text + 4 : text + 4 + length])
    return custom


def _offset(content: bytes, at: int) -> int:
    """Follow the flatbuffer offset at `at`."""
    (distance,) = struct.unpack_from("<I", content, at)
    if distance == 0 or at + distance >= len(content):
        raise ValueError("an offset beyond the end")
    return int(at + distance)


def _field(content: bytes, table: int, number: int) -> int | None:
    """Return where field `number` of a flatbuffer table lies, None where the table has no such field."""
    (back,) = struct.unpack_from("<i", content, table)
    start = table - back
    if not 0 <= start <= len(content) - 4:
        raise ValueError("a table beyond the end")
    (size,) = struct.unpack_from("<H", content, start)
    if 6 + 2 * number > size:
        return None
    (distance,) = struct.unpack_from("<H", content, start + 4 + 2 * number)
    return int(table + distance) if distance else None
