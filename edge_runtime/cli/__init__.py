"""The one way into every command: a frozen dataclass is its command line, its Python call and its recorded config."""

from __future__ import annotations
import edge_runtime.cli.interrupt  # noqa: F401

import atexit
import dataclasses
import os
import reprlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import tyro

from edge_runtime.errors import GateError, InputError

C = TypeVar("C")
EXIT_OK, EXIT_GATE, EXIT_INPUT, EXIT_INTERRUPTED = 0, 1, 2, 130
MOST_CONFIG_BYTES, MOST_CONFIG_WORDS = 1 << 20, 10_000
DEBUG = "--debug"
left_behind: list[threading.Thread] = []  # threads that wait inside a library, such as for a stalled stream


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP came; whatever cleans up after Ctrl-C cleans up after it too."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def run_command(main: Callable[[C], None], config_type: type[C], presets: Mapping[str, C] | None = None) -> None:
    """Parse `sys.argv` into `config_type`, call `main`, and exit with the project's codes.

    The codes are 0 ok, 1 a gate failed, 2 bad input or usage or a fault of the program, 128 + signal for a signal (130 for
    Ctrl-C). With `presets` the first word names one, and flags override it. `--config FILE.yaml` anywhere on the line sets
    fields from a mapping, unknown keys refused; flags win over it. `--debug` shows the traceback of an error.
    """
    _catch_signals()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # file names may hold anything; a terminal or a pipe may be ASCII
            stream.reconfigure(errors="backslashreplace")
    words = [word for word in sys.argv[1:] if word != DEBUG]
    try:
        main(parse(words, config_type, presets))
        sys.stdout.flush()
        _leave_behind(EXIT_OK)
        return
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(128 + signal.SIGPIPE)
    except (KeyboardInterrupt, Exception) as error:
        if DEBUG in sys.argv[1:]:
            traceback.print_exc()
        code, text = outcome(error)
        print(text, file=sys.stderr)
    _leave_behind(code)
    sys.exit(code)


def _leave_behind(code: int) -> None:
    """Exit at once where a thread still waits inside a library: taking Python down around it can crash."""
    if any(thread.is_alive() for thread in left_behind):
        atexit._run_exitfuncs()
        sys.stderr.flush()
        os._exit(code)


def outcome(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the line on stderr for what ended a command."""
    if isinstance(error, Terminated):
        return 128 + error.number, f"ended by {error}"
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED, "interrupted"
    if isinstance(error, GateError):
        return EXIT_GATE, f"gate failed: {error}"
    if isinstance(error, InputError):
        return EXIT_INPUT, f"error: {error}"
    if isinstance(error, OSError):
        return EXIT_INPUT, f"error: got {error}, expected a path to read or write; check its name, its rights and the free space"
    if isinstance(error, MemoryError):
        return EXIT_INPUT, f"error: out of memory ({error}); free some, or give smaller inputs"
    reason = f"{type(error).__name__}: {error}".replace("\n", " ")
    return EXIT_INPUT, f"error: got an unexpected {reason:.500}; run it again with {DEBUG} and report what it shows"


def _catch_signals() -> None:
    """Make SIGTERM (`docker stop`, `systemctl stop`) and SIGHUP (a closed connection) end a run as Ctrl-C does."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Terminated(number)

    if threading.current_thread() is threading.main_thread():
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                signal.signal(number, end)


def parse(argv: list[str], config_type: type[C], presets: Mapping[str, C] | None = None) -> C:
    """Return the config that command-line words say; usage errors raise `SystemExit(2)`, as in argparse."""
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
        flag, joined, file = word.partition("=")
        if flag == "--config":
            del words[index]
            if not joined and index == len(words):
                raise InputError("got --config without a file, expected --config FILE.yaml")
            return words, Path(file if joined else words.pop(index))
    return words, None


def _from_file(config_type: type[C], default: C | None, path: Path) -> C:
    """Return `default` with the values of a YAML file; the command line must give the fields that neither has."""
    given = _read_mapping(path)
    hints = get_type_hints(config_type, include_extras=True)
    if strange := sorted(map(str, set(given) - set(hints))):
        raise _refused(path, f"the key {', '.join(strange)}", f"keys among {', '.join(hints)}")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config_type):  # type: ignore[arg-type]
        if field.name in given:
            values[field.name] = _typed(hints[field.name], given[field.name], path, field.name)
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
        with path.open("rb") as file:
            content = file.read(MOST_CONFIG_BYTES + 1)
        values = yaml.safe_load(content.decode("utf-8")) if len(content) <= MOST_CONFIG_BYTES else "a long text"
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # ValueError: no UTF-8, or a number without end
        raise _refused(path, f"what cannot be read ({error})", "YAML") from error
    if not isinstance(values, dict):
        raise _refused(path, type(values).__name__, f"a mapping of keys to values, of at most {MOST_CONFIG_BYTES} bytes")
    return values


def _typed(hint: Any, value: Any, path: Path, name: str) -> Any:
    """Return a value of a YAML file as `hint`; tyro parses it, as it parses the command line."""
    bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    if bare is str and isinstance(value, str):
        return value
    if get_origin(bare) is tuple and value == []:
        return ()
    try:
        return tyro.cli(bare, args=_words(value), console_outputs=False)
    except (SystemExit, ValueError, RecursionError) as error:
        raise _refused(path, f"{name} {reprlib.repr(value)}", bare.__name__ if isinstance(bare, type) else str(bare)) from error


def _refused(path: Path, got: str, expected: str) -> InputError:
    return InputError(f"config {path}: got {got}, expected {expected}; write FLAG: VALUE, one a line")


def _words(value: Any) -> list[str]:
    """Return a value as the words of a command line; aliases can make a short file mean a list without end."""
    words: list[str] = []
    for item in value if isinstance(value, list) else [str(value)]:
        words += _words(item) if isinstance(item, list) else [str(item)]
        if len(words) > MOST_CONFIG_WORDS:
            raise ValueError(f"more than {MOST_CONFIG_WORDS} values")
    return words
