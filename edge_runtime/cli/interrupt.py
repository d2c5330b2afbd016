"""Ctrl-C while a command still imports its libraries, seconds for torch: one word on stderr in place of a traceback.

`edge_runtime.cli` is the first import of every command (pyproject.toml sorts it so), and this is the first of `edge_runtime.cli`.
"""

import sys
from types import TracebackType


def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say that a command was interrupted; Python then ends with the signal, which a shell shows as 130."""
    if issubclass(kind, KeyboardInterrupt) and "--debug" not in sys.argv:
        print("interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = hook
