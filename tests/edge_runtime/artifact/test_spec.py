"""`model.json`: the dataclasses and the JSON schema have the same fields and refuse the same values."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest

from edge_runtime.artifact.artifact import SCHEMA_PATH, format_spec, parse_spec
from edge_runtime.artifact.spec import spec_schema
from edge_runtime.errors import InputError

SCHEMA = json.loads(SCHEMA_PATH.read_text())
EXAMPLE = """
{"schema_version": 1, "name": "unet_lite-256-int8-tflite", "arch": "unet_lite", "format": "tflite",
 "files": {"model": {"path": "model.tflite", "sha256": "ZEROS", "bytes": 7}},
 "input": {"name": "image", "shape": [1, 256, 256, 3], "layout": "NHWC", "dtype": "int8", "color": "RGB",
   "resize": "pillow_bilinear", "mean": [127, 127, 127], "std": [128, 128, 128],
   "quant": {"scale": 0.0078125, "zero_point": -1}},
 "output": {"name": "sky", "meaning": "probability", "threshold": 0.5, "dtype": "int8",
   "quant": {"scale": 0.00390625, "zero_point": -128}},
 "quantization": {"precision": "int8", "weights": "per_channel_symmetric", "activations": "per_tensor",
   "calibration": {"sha256": "ZEROS", "count": 200}},
 "golden": {"input": "golden_in.npy", "output": "golden_out.npy", "atol": 0.0},
 "provenance": {}, "metrics": {}, "weights_license": "Apache-2.0"}
""".replace("ZEROS", "0" * 64)


def test_the_example_survives_a_round_trip() -> None:
    spec = parse_spec(EXAMPLE)
    assert json.loads(format_spec(spec)) == json.loads(EXAMPLE)
    assert parse_spec(format_spec(spec)) == spec


def test_the_schema_is_the_one_of_the_types() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert spec_schema() == SCHEMA, "the types changed: run python tools/schemas.py"


def put(*keys: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change that sets the value at `keys`."""

    def change(values: dict[str, Any]) -> None:
        target: Any = values
        for key in keys[:-1]:
            target = target[key]
        target[keys[-1]] = value

    return change


def remove(*keys: str) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        target = values
        for key in keys[:-1]:
            target = target[key]
        del target[keys[-1]]

    return change


REFUSED = {
    "unknown key": put("colour", value="RGB"),
    "unknown key in files": put("files", "model", "url", value="x"),
    "unknown key in input": put("input", "scale", value=1),
    "unknown key in golden": put("golden", "rtol", value=0),
    "next version": put("schema_version", value=2),
    "version as truth": put("schema_version", value=True),
    "empty name": put("name", value=""),
    "name with a folder": put("name", value="../x"),
    "name with a line end": put("name", value="x\n"),
    "empty arch": put("arch", value=""),
    "foreign format": put("format", value="mnn"),
    "roles of another format": put("format", value="ncnn"),
    "a path with a null byte": put("files", "model", "path", value="a\0"),
    "a size of 1.9 GiB": put("files", "model", "bytes", value=2_040_109_465),
    "a side of 32768": put("input", "shape", value=[1, 32768, 8, 3]),
    "no files": put("files", value={}),
    "two models": put("files", "second", value={"path": "x", "sha256": "0" * 64, "bytes": 1}),
    "path outside": put("files", "model", "path", value="../model.tflite"),
    "hidden path": put("files", "model", "path", value=".model"),
    "format with a line end": put("format", value="tflite\n"),
    "sha256 with a line end": put("files", "model", "sha256", value="0" * 64 + "\n"),
    "bytes beyond 64 bits": put("files", "model", "bytes", value=2**63),
    "upper-case sha256": put("files", "model", "sha256", value="A" * 64),
    "no bytes": put("files", "model", "bytes", value=0),
    "fractional bytes": put("files", "model", "bytes", value=7.5),
    "empty input name": put("input", "name", value=""),
    "shape of 3": put("input", "shape", value=[8, 8, 3]),
    "batch of 2": put("input", "shape", value=[2, 8, 8, 3]),
    "gray": put("input", "shape", value=[1, 8, 8, 1]),
    "no height": put("input", "shape", value=[1, 0, 8, 3]),
    "dynamic height": put("input", "shape", value=[1, -1, 8, 3]),
    "layout against shape": put("input", "layout", value="NCHW"),
    "foreign layout": put("input", "layout", value="CHWN"),
    "foreign dtype": put("input", "dtype", value="uint8"),
    "BGR": put("input", "color", value="BGR"),
    "foreign resize": put("input", "resize", value="opencv_linear"),
    "mean of 1": put("input", "mean", value=[127]),
    "mean of texts": put("input", "mean", value=["127", "127", "127"]),
    "mean of 1e30": put("input", "mean", value=[1e30, 127, 127]),
    "negative mean": put("input", "mean", value=[-1, 127, 127]),
    "std of 1e-320": put("input", "std", value=[128, 128, 1e-320]),
    "std of the 0 to 1 scale": put("input", "std", value=[0.229, 0.224, 0.225]),
    "std of 0": put("input", "std", value=[128, 0, 128]),
    "int8 without quant": put("input", "quant", value=None),
    "float32 with quant": put("input", "dtype", value="float32"),
    "output int8 without quant": put("output", "quant", value=None),
    "scale of 0": put("input", "quant", "scale", value=0),
    "zero point of uint8": put("input", "quant", "zero_point", value=128),
    "fractional zero point": put("input", "quant", "zero_point", value=0.5),
    "logits": put("output", "meaning", value="logits"),
    "threshold above 1": put("output", "threshold", value=1.5),
    "foreign precision": put("quantization", "precision", value="int4"),
    "empty weights": put("quantization", "weights", value=""),
    "calibration sha256": put("quantization", "calibration", "sha256", value="x"),
    "calibration count": put("quantization", "calibration", "count", value=0),
    "negative tolerance": put("golden", "atol", value=-1e-6),
    "tolerance as truth": put("golden", "atol", value=True),
    "tolerance above 1": put("golden", "atol", value=2),
    "golden outside": put("golden", "input", value="../golden_in.npy"),
    "no license": put("weights_license", value=""),
}
ACCEPTED = {
    "as written": put("name", value="x"),
    "whole numbers": put("input", "mean", value=[127, 127, 127]),
    "free provenance": put("provenance", value={"anything": {"goes": [1, "two", None]}}),
    "free metrics": put("metrics", value={"iou": 0.9}),
    "no calibration set": put("quantization", "calibration", value=None),
    "not square": put("input", "shape", value=[1, 8, 16, 3]),
    "means and deviations of other networks": put("input", "mean", value=[123.675, 116.28, 103.53]),
    "bytes as they are": lambda values: values["input"].update(mean=[0, 0, 0], std=[1, 1, 1]),
    "exact golden": put("golden", "atol", value=0),
}


@pytest.mark.parametrize("name", REFUSED)
def test_dataclasses_and_schema_refuse_alike(name: str) -> None:
    changed = json.loads(EXAMPLE)
    REFUSED[name](changed)
    assert json.dumps(changed) != json.dumps(json.loads(EXAMPLE))
    with pytest.raises(InputError, match=r"^(got schema_version|(unknown|missing) key [\w.]+;|[\w.\[\]]+: got)"):
        parse_spec(json.dumps(changed))
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(changed)


def places(values: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the way to every key of an object, those inside of objects too."""
    return [(key, *rest) for key, item in values.items() for rest in [(), *(places(item) if isinstance(item, dict) else ())]]


@pytest.mark.parametrize("way", places(json.loads(EXAMPLE)), ids=".".join)
def test_every_key_is_needed_and_has_its_type(way: tuple[str, ...]) -> None:
    for change in (remove(*way), put(*way, value=[{}])):
        changed = json.loads(EXAMPLE)
        change(changed)
        with pytest.raises(InputError, match="schema_version|files" if way[0] in ("schema_version", "files") else ".".join(way)):
            parse_spec(json.dumps(changed))


@pytest.mark.parametrize("name", ACCEPTED)
def test_dataclasses_and_schema_accept_alike(name: str) -> None:
    values = json.loads(EXAMPLE)
    ACCEPTED[name](values)
    parse_spec(json.dumps(values))
    jsonschema.validate(values, SCHEMA, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "too deeply"),
        ("[]", "expected an object"),
        ("null", "expected an object"),
        ('{"schema_version": 1, "schema_version": 1}', "twice"),
        ('{"schema_version": NaN}', "finite"),
        ('{"schema_version": Infinity}', "finite"),
        ('{"schema_version": 1e999}', "finite"),
        ('{"schema_version": 1, "name": "\\ud800"}', "not JSON .*surrogates"),
    ],
)
def test_text_that_is_no_spec(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_spec(text)


def test_messages_name_the_key_and_the_next_step() -> None:
    values = json.loads(EXAMPLE)
    values["input"]["std"] = [128, 128, -1]
    with pytest.raises(InputError, match=r"^input\.std\[2\]: got -1, expected a number of 8-bit images, 1 to 255"):
        parse_spec(json.dumps(values))
    values["input"]["std"][2] = 128
    values["files"]["model"]["sha256"] = "x"
    with pytest.raises(InputError, match=r"^files\.model\.sha256: got 'x', expected 64 lower-case hex digits"):
        parse_spec(json.dumps(values))
    values["files"]["model"]["sha256"] = "0" * 64
    values["quantization"]["calibration"] = "no"
    with pytest.raises(InputError, match=r"^quantization\.calibration: got 'no', expected an object or null"):
        parse_spec(json.dumps(values))
    values["quantization"]["calibration"] = None
    with pytest.raises(InputError, match=r"expected 1"):
        parse_spec(json.dumps({**values, "schema_version": 7}))
    with pytest.raises(InputError, match=r"unknown key input\.gain; expected exactly name, shape"):
        parse_spec(json.dumps({**values, "input": {**values["input"], "gain": 2}}))
    with pytest.raises(InputError, match=r"missing key output\.quant; expected exactly name, meaning"):
        del values["output"]["quant"]
        parse_spec(json.dumps(values))
