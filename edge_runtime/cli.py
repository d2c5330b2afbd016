"""One way in for every command: a frozen dataclass is the command line, the Python call and the recorded config."""

from __future__ import annotations

import dataclasses
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from edge_runtime.errors import GateError, InputError

C = TypeVar("C")
EXIT_OK, EXIT_GATE, EXIT_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130


def run_command(main: Callable[[C], None], config_type: type[C], presets: Mapping[str, C] | None = None) -> None:
    """Parse `sys.argv` into `config_type`, call `main`, and exit with the project's codes (0 ok, 1 gate, 2 input).

    Parameters
    ----------
    main
        Does the work; raises `InputError` or `GateError` to refuse.
    config_type
        Frozen dataclass whose fields are the flags.
    presets
        Named instances; with them the first argument picks one and flags override it.

    Notes
    -----
    `--config FILE.yaml` anywhere on the line sets fields from a mapping (unknown keys are refused);
    flags on the line win over the file.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # `docker stop` ends a run as Ctrl-C does
    try:
        main(parse(sys.argv[1:], config_type, presets))
    except GateError as error:
        print(f"gate failed: {error}", file=sys.stderr)
        sys.exit(EXIT_GATE)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_INPUT)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def parse(argv: list[str], config_type: type[C], presets: Mapping[str, C] | None = None) -> C:
    """Turn command-line words into a config; usage errors leave through `SystemExit(2)` as argparse does."""
    words, config_file = _split_config_flag(argv)
    default: C | None = None
    if presets is not None:
        if not words or words[0] not in presets:
            if "-h" not in words and "--help" not in words:
                got = words[0] if words else "nothing"
                raise InputError(f"got preset {got!r}, expected one of {', '.join(presets)}; put it first on the line")
            return tyro.cli(config_type, args=["--help"], default=next(iter(presets.values())))
        default = presets[words[0]]
        del words[0]
    if config_file is not None:
        default = _from_file(config_type, default, config_file)
    return tyro.cli(config_type, args=words) if default is None else tyro.cli(config_type, args=words, default=default)


def _split_config_flag(argv: list[str]) -> tuple[list[str], Path | None]:
    words = list(argv)
    for index, word in enumerate(words):
        if word == "--config":
            if index + 1 == len(words):
                raise InputError("got --config without a file, expected --config FILE.yaml")
            path = Path(words[index + 1])
            del words[index : index + 2]
            return words, path
        if word.startswith("--config="):
            del words[index]
            return words, Path(word.partition("=")[2])
    return words, None


def _from_file(config_type: type[C], default: C | None, path: Path) -> C:
    """Return `default` with the values of a YAML file; fields that neither has are left for the line to give."""
    given = _read_mapping(path)
    hints = get_type_hints(config_type, include_extras=True)
    if not set(given) <= set(hints):
        got = ", ".join(map(str, sorted(set(given) - set(hints), key=str)))
        raise InputError(f"config {path}: got the key {got}, expected keys among {', '.join(hints)}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config_type):  # type: ignore[arg-type]
        if field.name in given:
            values[field.name] = _typed(hints[field.name], given[field.name], f"config {path}: {field.name}")
        elif default is not None:
            values[field.name] = getattr(default, field.name)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            values[field.name] = tyro.MISSING
    return config_type(**values)


def _read_mapping(path: Path) -> dict[Any, Any]:
    try:
        import yaml  # only users of --config need it
    except ImportError as error:
        raise InputError("--config needs PyYAML; install it: pip install pyyaml") from error
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"cannot read config {path}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"config {path}: got {type(values).__name__}, expected a mapping of keys to values")
    return values


def _typed(hint: Any, value: Any, where: str) -> Any:
    """Return a value of a YAML file as `hint`; tyro reads it, so that a file and a line are checked alike."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if bare is str and isinstance(value, str):
        return value
    if get_origin(bare) is tuple and value == []:
        return ()
    try:
        return tyro.cli(bare, args=_words(value), console_outputs=False)
    except SystemExit as error:
        expected = bare.__name__ if isinstance(bare, type) else bare
        raise InputError(f"{where}: got {value!r}, expected {expected}") from error


def _words(value: Any) -> list[str]:
    return [word for item in value for word in _words(item)] if isinstance(value, list) else [str(value)]
