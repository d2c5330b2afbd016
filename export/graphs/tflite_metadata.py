"""TFLite Metadata: what MediaPipe Tasks and Android's ML Model Binding must know about a model's input and output.

A flatbuffer of TensorFlow's metadata_schema.fbs lies in the model under the name TFLITE_METADATA; the file with the label is a
zip archive behind the model. The writers that come with MediaPipe and tflite-support need packages that clash with ours.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from edge_runtime.images.network_input import MEAN, STD, Size
from export.graphs.facts import sentence, terms

NAME = b"TFLITE_METADATA"
LABELS = "labels.txt"
PARSER_VERSION = "1.0.0"  # the oldest parser that knows every field used here
RGB, AXIS_LABELS = 1, 2  # ColorSpaceType.RGB, AssociatedFileType.TENSOR_AXIS_LABELS
IMAGE_PROPERTIES, NORMALIZATION = 2, 1  # members of the unions ContentProperties and ProcessUnitOptions


def metadata(name: str, size: Size, weights_license: str) -> bytes:
    """Return the metadata of the network `name`: an RGB image of `size`, (pixel - 127) / 128, to the probability of sky."""
    import flatbuffers

    make = _Tables(flatbuffers.Builder(1024))
    image_size = make.table({0: ("Uint32", size.width), 1: ("Uint32", size.height)})
    properties = make.table({0: ("Int8", RGB), 1: image_size})
    content = make.table({0: ("Uint8", IMAGE_PROPERTIES), 1: properties})
    normalization = make.table({0: make.floats([MEAN] * 3), 1: make.floats([STD] * 3)})
    unit = make.table({0: ("Uint8", NORMALIZATION), 1: normalization})
    image = make.table({0: make.text("image"), 1: make.text("RGB image"), 3: content, 4: make.tables([unit])})
    labels = make.table({0: make.text(LABELS), 2: ("Int8", AXIS_LABELS)})
    sky = make.table({0: make.text("sky"), 1: make.text("Probability of sky at every pixel"), 6: make.tables([labels])})
    graph = make.table({2: make.tables([image]), 3: make.tables([sky])})
    about, license_text = sentence(name, size, weights_license), terms(weights_license)
    model = {0: make.text(name), 1: make.text(about), 3: make.tables([graph])}
    model |= {5: make.text(license_text), 7: make.text(PARSER_VERSION)}
    make.builder.Finish(make.table(model), b"M001")
    return bytes(make.builder.Output())


def with_label_file(content: bytes) -> bytes:
    """Return a TFLite file with the archive that holds the one label behind it."""
    archive = io.BytesIO(content)
    with zipfile.ZipFile(archive, "a") as files:
        files.writestr(zipfile.ZipInfo(LABELS, (1980, 1, 1, 0, 0, 0)), "sky\n")
    return archive.getvalue()


class _Tables:
    """Writes tables of a flatbuffer by slot, without code generated from the schema."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def table(self, slots: Mapping[int, int | tuple[str, int]]) -> int:
        """Write a table: slot -> offset of what it holds, or the kind and value of a number. Return its offset."""
        self.builder.StartObject(max(slots) + 1)
        for slot, value in slots.items():
            if isinstance(value, tuple):
                getattr(self.builder, f"Prepend{value[0]}Slot")(slot, value[1], 0)
            else:
                self.builder.PrependUOffsetTRelativeSlot(slot, value, 0)
        return int(self.builder.EndObject())

    def text(self, value: str) -> int:
        """Write a string and return its offset."""
        return int(self.builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        """Write a vector of float32 and return its offset."""
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return int(self.builder.EndVector())

    def tables(self, offsets: Sequence[int]) -> int:
        """Write a vector of tables and return its offset."""
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return int(self.builder.EndVector())
