"""One way in for every command: a frozen dataclass is the command line, the Python call and the recorded config."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

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
    if presets is None:
        if config_file is None:
            return tyro.cli(config_type, args=words)
        return tyro.cli(config_type, args=words, default=_from_file(config_type, None, config_file))
    if not words or words[0] not in presets:
        if "-h" not in words and "--help" not in words:
            got = words[0] if words else "nothing"
            raise InputError(f"got preset {got!r}, expected one of {', '.join(presets)}; put it first on the line")
        return tyro.cli(config_type, args=["--help"], default=next(iter(presets.values())))
    default = presets[words[0]]
    if config_file is not None:
        default = _from_file(config_type, default, config_file)
    return tyro.cli(config_type, args=words[1:], default=default)


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
    import yaml  # only users of --config need it

    try:
        values: Any = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"cannot read config {path}: {error}") from error
    names = {field.name: field for field in dataclasses.fields(config_type)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or not set(values) <= set(names):
        got = sorted(set(values) - set(names)) if isinstance(values, dict) else type(values).__name__
        raise InputError(f"config {path}: got {got}, expected a mapping with keys among {', '.join(names)}")
    # tyro turns the words into typed values, so that a file and a command line are checked alike.
    words: list[str] = []
    for key, value in values.items():
        flag = "--" + key.replace("_", "-")
        if isinstance(value, bool):
            words.append(flag if value else "--no-" + key.replace("_", "-"))
        elif value is not None:
            words += [flag, *map(str, value if isinstance(value, list) else [value])]
    return tyro.cli(config_type, args=words) if default is None else tyro.cli(config_type, args=words, default=default)
