"""`model.json` as dataclasses, and the checks that a spec must pass.

Readers have no defaults: every key is there (null where it does not apply), and an unknown one is refused, except
inside `provenance` and `metrics`. `model.schema.json`, beside this file, says the same to other languages.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError
from edge_runtime.records import build, parse_json

SCHEMA_VERSION = 1
SCHEMA_PATH = Path(__file__).with_name("model.schema.json")
FILE_NAMES: dict[str, dict[str, str]] = {  # format -> role -> name in the folder
    "onnx": {"model": "model.onnx"},
    "tflite": {"model": "model.tflite"},
    "torch": {"model": "model.pt2"},
    "ncnn": {"param": "model.param", "bin": "model.bin"},
    "openvino": {"xml": "model.xml", "bin": "model.bin"},
    "executorch": {"model": "model.pte"},
    "coreml": {"model": "model.mlpackage.zip"},
}
MOST_SIDE = 1 << 14  # pixels of the input, as in C++
PRECISIONS = ("fp32", "fp16", "int8")
DTYPES = ("float32", "int8", "uint8")  # of the input and the output
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")  # no folders, nothing hidden: names stay inside the artifact
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """A file of the artifact: its name in the folder, SHA-256 (hex) and size in bytes."""

    path: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Quant:
    """Affine quantization of one tensor: real = (q - zero_point) * scale."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class InputSpec:
    """What the caller feeds. x = (pixel - mean) / std per RGB channel; int8: q = round(x / scale) + zero_point."""

    name: str
    shape: tuple[int, ...]
    layout: str
    dtype: str
    color: str
    resize: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    quant: Quant | None


@dataclass(frozen=True)
class OutputSpec:
    """What comes back: the probability of sky at every pixel of the input."""

    name: str
    meaning: str
    threshold: float
    dtype: str
    quant: Quant | None


@dataclass(frozen=True)
class Calibration:
    """The images of post-training quantization: SHA-256 of their manifest, and how many."""

    sha256: str
    count: int


@dataclass(frozen=True)
class Quantization:
    """Precision fp32, fp16 or int8, and how weights and activations are stored."""

    precision: str
    weights: str
    activations: str
    calibration: Calibration | None


@dataclass(frozen=True)
class Golden:
    """Names of the golden pair's files, and the largest difference in probability that a backend may show."""

    input: str
    output: str
    atol: float


@dataclass(frozen=True)
class ModelSpec:
    """`model.json`, field for field."""

    schema_version: int
    name: str
    arch: str
    format: str
    files: dict[str, FileEntry]
    input: InputSpec
    output: OutputSpec
    quantization: Quantization
    golden: Golden
    provenance: dict[str, Any]
    metrics: dict[str, Any]
    weights_license: str


def format_spec(spec: ModelSpec) -> str:
    """Return `spec` as the text of model.json; `parse_spec` gives it back."""
    return json.dumps(dataclasses.asdict(spec), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def parse_spec(text: str) -> ModelSpec:
    """Parse and check the text of a model.json; raises `InputError` naming the key that is wrong."""
    values = parse_json(text, "a model.json")
    version = values.get("schema_version") if isinstance(values, dict) else None
    if isinstance(values, dict) and (isinstance(version, bool) or version != SCHEMA_VERSION):
        raise InputError(f"got schema_version {version!r}, expected {SCHEMA_VERSION}; export the artifact again")
    spec = build(ModelSpec, values)
    check_spec(spec)
    return spec


def check_spec(spec: ModelSpec) -> None:
    """Raise `InputError` for the first value of `spec` that its type alone does not rule out."""
    for key, got, good, expected in _rules(spec):
        if not good:
            raise InputError(f"{key}: got {got!r}, expected {expected}")


def _rules(spec: ModelSpec) -> list[tuple[str, Any, bool, str]]:
    """Return (key, value, whether it is good, what is expected) for every rule of the contract."""
    roles = sorted(FILE_NAMES.get(spec.format, {}))
    made, golden = spec.quantization, spec.golden
    rules: list[tuple[str, Any, bool, str]] = [
        ("schema_version", spec.schema_version, spec.schema_version == SCHEMA_VERSION, str(SCHEMA_VERSION)),
        ("name", spec.name, bool(PLAIN_NAME.fullmatch(spec.name)), "letters, digits, '.', '_' or '-'"),
        ("arch", spec.arch, spec.arch != "", "the network's name"),
        ("format", spec.format, spec.format in FILE_NAMES, _one_of(FILE_NAMES)),
        ("files", sorted(spec.files), sorted(spec.files) == roles, f"the roles {roles} of format {spec.format!r}"),
        ("quantization.precision", made.precision, made.precision in PRECISIONS, _one_of(PRECISIONS)),
        ("quantization.weights", made.weights, made.weights != "", "how weights are stored, such as 'float32'"),
        ("quantization.activations", made.activations, made.activations != "", "such as 'float32' or 'per_tensor'"),
        ("golden.input", golden.input, _is_plain(golden.input), "a plain file name"),
        ("golden.output", golden.output, _is_plain(golden.output), "a plain file name"),
        ("golden.atol", golden.atol, 0.0 <= golden.atol <= 1.0, "a difference of probabilities, 0 to 1"),
        ("weights_license", spec.weights_license, spec.weights_license != "", "the terms of the weights"),
    ]
    if made.calibration is not None:
        seen = made.calibration
        rules += [
            ("quantization.calibration.sha256", seen.sha256, _is_sha256(seen.sha256), "64 lower-case hex digits"),
            ("quantization.calibration.count", seen.count, seen.count >= 1, "at least 1"),
        ]
    for role, entry in spec.files.items():
        rules += [
            (f"files.{role}.path", entry.path, _is_plain(entry.path), "a plain file name inside the artifact"),
            (f"files.{role}.sha256", entry.sha256, _is_sha256(entry.sha256), "64 lower-case hex digits"),
            (f"files.{role}.bytes", entry.bytes, entry.bytes >= 1, "at least 1"),
        ]
    return rules + _tensor_rules(spec.input, spec.output)


def _tensor_rules(image: InputSpec, sky: OutputSpec) -> list[tuple[str, Any, bool, str]]:
    channel = {"NHWC": 3, "NCHW": 1}.get(image.layout, 0)
    shape = image.shape
    shape_good = len(shape) == 4 and shape[0] == 1 and shape[channel] == 3 and min(shape) >= 1 and max(shape) <= MOST_SIDE
    rules: list[tuple[str, Any, bool, str]] = [
        ("input.name", image.name, image.name != "", "the backend's name of the tensor"),
        ("input.layout", image.layout, channel > 0, "NHWC or NCHW"),
        ("input.shape", list(shape), shape_good, f"one RGB image, {image.layout}, e.g. [1, 3, 256, 256] if NCHW"),
        ("input.color", image.color, image.color == "RGB", "RGB"),
        ("input.resize", image.resize, image.resize == "pillow_bilinear", "pillow_bilinear"),
        ("input.mean", list(image.mean), len(image.mean) == 3, "three numbers, R, G and B"),
        ("input.std", list(image.std), len(image.std) == 3 and min(image.std) > 0, "three numbers above 0, R, G and B"),
        ("output.name", sky.name, sky.name != "", "the backend's name of the tensor"),
        ("output.meaning", sky.meaning, sky.meaning == "probability", "probability"),
        ("output.threshold", sky.threshold, 0.0 <= sky.threshold <= 1.0, "a probability, 0 to 1"),
    ]
    for key, dtype, quant in (("input", image.dtype, image.quant), ("output", sky.dtype, sky.quant)):
        rules.append((f"{key}.dtype", dtype, dtype in DTYPES, _one_of(DTYPES)))
        fits = (quant is None) == (dtype == "float32")
        rules.append((f"{key}.quant", quant, fits, "null for float32, scale and zero_point for int8 and uint8"))
        if quant is not None:
            rules.append((f"{key}.quant.scale", quant.scale, quant.scale > 0, "a number above 0"))
            low, high = (0, 255) if dtype == "uint8" else (-128, 127)
            rules.append((f"{key}.quant.zero_point", quant.zero_point, low <= quant.zero_point <= high, f"{low} to {high}"))
    return rules


def _is_plain(name: str) -> bool:
    return bool(PLAIN_NAME.fullmatch(name))


def _is_sha256(text: str) -> bool:
    return bool(SHA256.fullmatch(text))


def _one_of(names: typing.Iterable[str]) -> str:
    return "one of " + ", ".join(names)
