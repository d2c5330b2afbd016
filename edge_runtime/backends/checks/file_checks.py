"""What ONNX and TFLite files must not hold, searched before an interpreter opens them.

onnxruntime and the TFLite interpreters verify the structure of a file themselves and refuse operations that they do not have.
They accept two things that reach beyond the file: weights in another file, and TensorFlow's Flex operations, some of which open
files. In both formats a text is one run of bytes, so that a search finds it wherever it stands.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge_runtime.errors import InputError

# The key without which external data has no file. Before it stands its length, a varint of 8: its last byte is 8, or 0 if padded.
EXTERNAL_DATA = re.compile(rb"[\x08\x00]location")
FLEX_OPERATION = re.compile(rb"Flex[A-Z][A-Za-z0-9]{2,60}")


def check_onnx(path: Path) -> None:
    """Raise `InputError` where an ONNX file keeps weights in another file."""
    if EXTERNAL_DATA.search(path.read_bytes()):
        raise InputError(
            f"{path}: got weights in another file (external data), expected them inside the file; export the artifact again"
        )


def check_tflite(path: Path) -> None:
    """Raise `InputError` where a TFLite file has operations of TensorFlow, for which its own interpreter runs TensorFlow."""
    if found := FLEX_OPERATION.search(path.read_bytes()):
        got = found[0].decode()
        raise InputError(f"{path}: got the custom operation {got!r}, expected built-in ones only; export the artifact again")
