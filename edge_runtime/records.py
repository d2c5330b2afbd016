"""JSON files as frozen dataclasses: the one reader of `model.json`, of result files and of records that are read again.

`msgspec` checks types and the bounds of `Annotated[..., Meta(...)]`. Nothing is converted and nothing is filled in: every field
must be there unless the dataclass has a default for it, and an unknown key is refused. Numbers are finite, texts are Unicode.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import types
import typing
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta

from edge_runtime.errors import InputError

T = TypeVar("T")
MOST_INT = 2**63 - 1
Text = Annotated[str, Meta(min_length=1, description="a text that is not empty")]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$", max_length=64, description="64 lower-case hex digits")]
Count = Annotated[int, Meta(ge=0, le=MOST_INT, description="a whole number, 0 or more")]
Positive = Annotated[int, Meta(ge=1, le=MOST_INT, description="a whole number, 1 or more")]
Amount = Annotated[float, Meta(ge=0, description="a number, 0 or more")]
Share = Annotated[float, Meta(ge=0, le=1, description="a number from 0 to 1")]


def choice(*names: str) -> Meta:
    """Return the bound of a text that is one of `names`; Python's `$` alone would allow a line end behind."""
    return Meta(pattern=f"^({'|'.join(map(re.escape, names))})$(?!\\n)", description=f"one of {', '.join(names)}")


PART = re.compile(r"\.(\w+)|\[(\d+|\.\.\.)\]")  # of the path in an error of msgspec: `.field`, `[0]`, `[...]` for any key
WORDS = {
    "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "array": "a list",
    "object": "an object",
}  # fmt: skip


def read_text(path: Path, expected: str) -> str:
    """Return the text of a UTF-8 file; `expected` says in the error what should stand there."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a null byte
        raise InputError(f"cannot read {path}: {error}; expected {expected}") from error


def parse_json(text: str, expected: str) -> Any:
    """Return the value of a JSON text without repeated keys, NaN or infinity; `expected` names the file in the error."""
    try:
        text.encode()
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite)
        _refuse_odd(value, "", escaped="\\u" in text)
    except InputError:
        raise
    except ValueError as error:  # not JSON, or a number of more than 4,300 digits
        raise InputError(f"got text that is not JSON ({error}), expected {expected}") from error
    except RecursionError as error:
        raise InputError(f"got JSON that is nested too deeply, expected {expected}") from error
    return value


def build(kind: type[T], value: Any, key: str = "") -> T:
    """Return the JSON value `value` as the dataclass `kind`; raises `InputError` that names the key, what it is and should be."""
    try:
        built = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _explained(kind, value, key, str(error)) from error
    _refuse_unknown(built, value, key)
    return built


def schema(kind: type[Any], title: str) -> dict[str, Any]:
    """Return the JSON schema of the dataclass `kind`; it refuses unknown keys, as `build` does."""
    made = msgspec.json.schema(kind)
    for definition in made["$defs"].values():
        definition["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **made}


def _refuse_unknown(built: Any, value: Any, key: str) -> None:
    if built is value:
        return
    if dataclasses.is_dataclass(built):
        names = [field.name for field in dataclasses.fields(built)]
        if unknown := set(value) - set(names):
            listed = ", ".join(_join(key, f"{name!a:.80}"[1:-1]) for name in sorted(unknown))
            raise InputError(f"unknown key {listed}; expected exactly {', '.join(names)}")
        for name in value:
            _refuse_unknown(getattr(built, name), value[name], _join(key, name))
    elif isinstance(built, dict):
        for name, item in built.items():
            _refuse_unknown(item, value[name], _join(key, name))
    elif isinstance(built, tuple) and built and not isinstance(built[0], int | float | str):  # raw samples come by the thousand
        for index, item in enumerate(built):
            _refuse_unknown(item, value[index], f"{key}[{index}]")


def _explained(kind: Any, value: Any, key: str, text: str) -> InputError:
    """Return the error for what msgspec says about a value, `Expected ... - at `$.path``, with key and value."""
    message, _, path = text.rpartition(" - at `$")
    for name, index in PART.findall(path):
        kind = _bare(kind)
        if name:
            kind, value, key = typing.get_type_hints(kind, include_extras=True)[name], value[name], _join(key, name)
        elif index == "...":
            kind = get_args(kind)[1]
            name = next(name for name in value if not _fits(kind, value[name]))
            value, key = value[name], _join(key, name)
        else:
            kinds = get_args(kind)
            kind, value = kinds[0 if kinds[-1] is ... else int(index)], value[int(index)]
            key = f"{key}[{index}]"
    message = message or text
    if message.startswith("Object missing"):
        names = typing.get_type_hints(_bare(kind))
        return InputError(f"missing key {_join(key, message.split('`')[1])}; expected exactly {', '.join(names)}")
    return InputError(f"{key or 'the whole file'}: got {ascii(value):.80}, expected {_expected(kind, message)}")


def _expected(kind: Any, message: str) -> str:
    """Return what a value of `kind` should be: its description, its choices, or what msgspec expected."""
    options = get_args(kind) if get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
    or_null = " or null" if type(None) in options else ""
    if get_origin(options[0]) is Annotated:
        described = [each.description for each in options[0].__metadata__ if isinstance(each, Meta) and each.description]
        if described:
            return described[-1] + or_null
    text = message.removeprefix("Expected ").partition(", got ")[0]
    return re.sub(r"`([^`]*)`", lambda found: " or ".join(WORDS.get(word, word) for word in found[1].split(" | ")), text)


def _bare(kind: Any) -> Any:
    """Return a type without its bounds, and without None."""
    while get_origin(kind) in (Annotated, types.UnionType, typing.Union):
        kind = get_args(kind)[0]
    return kind


def _fits(kind: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(items)
    if len(values) != len(items):
        names = [name for name, _ in items]
        raise InputError(f"got the key {max(names, key=names.count)!r} twice, expected every key once")
    return values


def _refuse_odd(value: Any, key: str, escaped: bool) -> None:
    """Refuse numbers that no field holds and, where texts are `escaped`, halves of surrogate pairs."""
    if isinstance(value, float) and not abs(value) < 1e300:
        raise InputError(f"{key or 'the whole file'}: got the number {value}, expected one below 1e300")
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_odd(name, key, escaped)
            _refuse_odd(item, _join(key, name), escaped)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_odd(item, f"{key}[{index}]", escaped)
    elif escaped and isinstance(value, str) and any("\ud800" <= each <= "\udfff" for each in value):
        raise InputError(
            f"{key or 'the whole file'}: got text that is not JSON ({value!a:.60}: surrogates not allowed), expected Unicode"
        )


def _no_constant(name: str) -> float:
    raise InputError(f"got the number {name}, expected a finite one")


def _finite(text: str) -> float:
    return float(text) if math.isfinite(float(text)) else _no_constant(f"{text:.40}")
