"""`model.json` as dataclasses, and the checks that a spec must pass.

Readers have no defaults: every key is there (null where it does not apply), and an unknown one is refused, except
inside `provenance` and `metrics`. `model.schema.json`, beside this file, says the same to other languages; it is made from these
types by `python tools/schemas.py`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from edge_runtime.errors import InputError
from edge_runtime.records import Positive, Sha256, Share, Text, build, choice, parse_json, schema

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("model.schema.json")
FILE_NAMES: dict[str, dict[str, str]] = {  # format -> role -> name in the folder
    "onnx": {"model": "model.onnx"},
    "tflite": {"model": "model.tflite"},
    "torch": {"model": "model.pt2"},
    "ncnn": {"param": "model.param", "bin": "model.bin"},
    "coreml": {"model": "model.mlpackage.zip"},
}
MOST_SIDE = 1 << 14  # pixels of the input, as in C++
MOST_BYTES = 1 << 30  # of a file, as in C++

# No folders, nothing hidden: names stay inside the artifact. Python's `$` alone would allow a line end behind.
PlainName = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$(?!\n)", description="a plain name: letters, digits, '.', '_' or '-'")
]
Side = Annotated[int, Meta(ge=1, le=MOST_SIDE, description=f"a side of 1 to {MOST_SIDE} pixels")]
# Bounds of 8-bit images: numbers of the 0 to 1 scale and typing errors would run and give wrong masks.
Level = Annotated[float, Meta(ge=0, le=255, description="a number of 8-bit images, 0 to 255")]
Deviation = Annotated[float, Meta(ge=1, le=255, description="a number of 8-bit images, 1 to 255")]
Above0 = Annotated[float, Meta(gt=0, description="a number above 0")]
THREE = Meta(min_length=3, max_length=3, description="three numbers, R, G and B")
Dtype = Annotated[str, choice("float32", "int8", "uint8")]
# What follows from two keys together, for the JSON schema; `_rules` says the same.
QUANT_FITS = {
    "if": {"properties": {"dtype": {"const": "float32"}}},
    "then": {"properties": {"quant": {"type": "null"}}},
    "else": {
        "properties": {"quant": {"type": "object"}},
        "if": {"properties": {"dtype": {"const": "uint8"}}},
        "then": {"properties": {"quant": {"properties": {"zero_point": {"minimum": 0}}}}},
        "else": {"properties": {"quant": {"properties": {"zero_point": {"maximum": 127}}}}},
    },
}
SHAPE_FITS = {
    "if": {"properties": {"layout": {"const": "NHWC"}}},
    "then": {"properties": {"shape": {"prefixItems": [{"const": 1}, True, True, {"const": 3}]}}},
    "else": {"properties": {"shape": {"prefixItems": [{"const": 1}, {"const": 3}]}}},
}
ROLES_FIT = [
    {
        "if": {"properties": {"format": {"const": name}}},
        "then": {"properties": {"files": {"required": list(roles), "maxProperties": len(roles)}}},
    }
    for name, roles in FILE_NAMES.items()
]


@dataclass(frozen=True)
class FileEntry:
    """A file of the artifact: its name in the folder, SHA-256 (hex) and size in bytes."""

    path: PlainName
    sha256: Sha256
    bytes: Annotated[int, Meta(ge=1, le=MOST_BYTES, description=f"a whole number from 1 to {MOST_BYTES}")]


@dataclass(frozen=True)
class Quant:
    """Affine quantization of one tensor: real = (q - zero_point) * scale."""

    scale: Above0
    zero_point: Annotated[int, Meta(ge=-128, le=255, description="-128 to 127, of uint8 0 to 255")]


@dataclass(frozen=True)
class InputSpec:
    """What the caller feeds. x = (pixel - mean) / std per RGB channel; int8: q = round(x / scale) + zero_point."""

    name: Text
    shape: Annotated[tuple[Side, ...], Meta(min_length=4, max_length=4, description="a list of 4 sides")]
    layout: Annotated[str, choice("NHWC", "NCHW")]
    dtype: Dtype
    color: Annotated[str, choice("RGB")]
    resize: Annotated[str, choice("pillow_bilinear")]
    mean: Annotated[tuple[Level, ...], THREE]
    std: Annotated[tuple[Deviation, ...], THREE]
    quant: Quant | None


@dataclass(frozen=True)
class OutputSpec:
    """What comes back: the probability of sky at every pixel of the input."""

    name: Text
    meaning: Annotated[str, choice("probability")]
    threshold: Share
    dtype: Dtype
    quant: Quant | None


@dataclass(frozen=True)
class Calibration:
    """The images of post-training quantization: SHA-256 of their manifest, and how many."""

    sha256: Sha256
    count: Positive


@dataclass(frozen=True)
class Quantization:
    """Precision fp32, fp16 or int8, and how weights and activations are stored."""

    precision: Annotated[str, choice("fp32", "fp16", "int8")]
    weights: Text
    activations: Text
    calibration: Calibration | None


@dataclass(frozen=True)
class Golden:
    """Names of the golden pair's files, and the largest difference in probability that a backend may show."""

    input: PlainName
    output: PlainName
    atol: Share


@dataclass(frozen=True)
class ModelSpec:
    """`model.json`, field for field."""

    schema_version: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    name: PlainName
    arch: Text
    format: Annotated[str, choice(*FILE_NAMES)]
    files: dict[str, FileEntry]
    input: InputSpec
    output: OutputSpec
    quantization: Quantization
    golden: Golden
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    weights_license: Text


def format_spec(spec: ModelSpec) -> str:
    """Return `spec` as the text of model.json; `parse_spec` gives it back."""
    return json.dumps(dataclasses.asdict(spec), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def parse_spec(text: str) -> ModelSpec:
    """Parse and check the text of a model.json; raises `InputError` naming the key that is wrong."""
    values = parse_json(text, "a model.json")
    version = values.get("schema_version") if isinstance(values, dict) else None
    if isinstance(values, dict) and (isinstance(version, bool) or version != SCHEMA_VERSION):
        raise InputError(f"got schema_version {version!r:.80}, expected {SCHEMA_VERSION}")
    spec = build(ModelSpec, values)
    for key, got, good, expected in _rules(spec):
        if not good:
            raise InputError(f"{key}: got {got!r:.200}, expected {expected}")
    return spec


def spec_schema() -> dict[str, Any]:
    """Return the JSON schema of model.json."""
    made = schema(ModelSpec, f"skyedge artifact, model.json, schema_version {SCHEMA_VERSION}")
    definitions = made["$defs"]
    definitions["ModelSpec"]["allOf"] = ROLES_FIT
    definitions["InputSpec"]["allOf"] = [SHAPE_FITS, QUANT_FITS]
    definitions["OutputSpec"]["allOf"] = [QUANT_FITS]
    return made


def _rules(spec: ModelSpec) -> list[tuple[str, Any, bool, str]]:
    """Return (key, value, whether it is good, what is expected) for every rule about several keys."""
    roles, shape, layout = sorted(FILE_NAMES[spec.format]), spec.input.shape, spec.input.layout
    one_image = shape[0] == 1 and shape[3 if layout == "NHWC" else 1] == 3
    rules: list[tuple[str, Any, bool, str]] = [
        ("files", sorted(spec.files), sorted(spec.files) == roles, f"the roles {roles} of format {spec.format!r}"),
        ("input.shape", list(shape), one_image, f"one RGB image, {layout}, e.g. [1, 3, 256, 256] if NCHW"),
    ]
    for key, dtype, quant in (("input", spec.input.dtype, spec.input.quant), ("output", spec.output.dtype, spec.output.quant)):
        fits = (quant is None) == (dtype == "float32")
        rules.append((f"{key}.quant", quant, fits, "null for float32, scale and zero_point for int8 and uint8"))
        if quant is not None:
            low, high = (0, 255) if dtype == "uint8" else (-128, 127)
            rules.append((f"{key}.quant.zero_point", quant.zero_point, low <= quant.zero_point <= high, f"{low} to {high}"))
    return rules
