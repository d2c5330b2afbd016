"""JSON files as frozen dataclasses: the one reader of `model.json` and of result files.

Nothing is converted and nothing is filled in: every field must be there unless the dataclass has a default for it, and an
unknown key is refused. Numbers are finite and texts can be written as UTF-8.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from edge_runtime.errors import InputError

T = TypeVar("T")


def read_text(path: Path, expected: str) -> str:
    """Return the text of a UTF-8 file; `expected` says in the error what should stand there."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a path with a null byte
        raise InputError(f"cannot read {path}: {error}; expected {expected}") from error


def parse_json(text: str, expected: str) -> Any:
    """Return the value of a JSON text without repeated keys, NaN or infinity; `expected` names the file in the error."""
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except InputError:
        raise
    except ValueError as error:  # not JSON, or a number of more than 4,300 digits
        raise InputError(f"got text that is not JSON ({error}), expected {expected}") from error
    except RecursionError as error:
        raise InputError(f"got JSON that is nested too deeply, expected {expected}") from error


def build(kind: type[T], value: Any, key: str = "") -> T:
    """Return the JSON value `value` as the dataclass `kind`; raises `InputError` that names the key, what it is and should be."""
    return typing.cast(T, _build(kind, value, key))


def _build(kind: Any, value: Any, key: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType or origin is typing.Union:  # only `X | None` occurs
        return None if value is None else _build(arguments[0], value, key)
    if dataclasses.is_dataclass(kind):
        return _build_dataclass(kind, value, key)
    if origin is tuple:
        return _build_tuple(arguments, value, key)
    if origin is dict:
        _expect(isinstance(value, dict), key, value, "an object")
        return {_text(name, key): _build(arguments[1], item, _join(key, name)) for name, item in value.items()}
    if kind is Any:
        return value
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        _expect(number and abs(value) < 1e300, key, value, "a number")
        return float(value)
    if kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool)
        _expect(whole and abs(value) < 2**63, key, value, "a whole number of 64 bits")
        return value
    _expect(isinstance(value, kind), key, value, {str: "a text", bool: "true or false"}[kind])
    return _text(value, key) if kind is str else value


def _build_tuple(arguments: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    _expect(isinstance(value, list), key, value, "a list")
    if arguments[-1] is not ...:
        _expect(len(value) == len(arguments), key, value, f"a list of {len(arguments)}")
    elif arguments[0] is int and all(type(item) is int and 0 <= item < 2**63 for item in value):
        return tuple(value)  # raw samples come by the thousand
    else:
        arguments = arguments[:1] * len(value)
    kinds = zip(arguments, value, strict=True)
    return tuple(_build(kind, item, f"{key}[{index}]") for index, (kind, item) in enumerate(kinds))


def _build_dataclass(kind: Any, value: Any, key: str) -> Any:
    _expect(isinstance(value, dict), key, value, "an object")
    hints = typing.get_type_hints(kind)
    optional = {field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}
    for names, fault in ((set(value) - set(hints), "unknown"), (set(hints) - set(value) - optional, "missing")):
        if names:
            listed = ", ".join(_join(key, f"{name!a:.80}"[1:-1]) for name in sorted(names))
            raise InputError(f"{fault} key {listed}; expected exactly {', '.join(hints)}")
    return kind(**{name: _build(hint, value[name], _join(key, name)) for name, hint in hints.items() if name in value})


def _text(value: str, key: str) -> str:
    _expect(not any("\ud800" <= char <= "\udfff" for char in value), key, value, "text without lone surrogates")
    return value


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _expect(good: bool, key: str, got: Any, expected: str) -> None:
    if not good:
        raise InputError(f"{key or 'the whole file'}: got {ascii(got):.80}, expected {expected}")


def _unique_keys(items: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(items)
    if len(values) != len(items):
        names = [name for name, _ in items]
        raise InputError(f"got the key {max(names, key=names.count)!r} twice, expected every key once")
    return values


def _no_constant(name: str) -> float:
    raise InputError(f"got the number {name}, expected a finite one")
