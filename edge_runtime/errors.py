"""The two errors of our commands: bad input, and a gate that failed."""


class InputError(ValueError):
    """Bad usage or bad input; exit code 2. The message says got, expected, next step."""


class GateError(RuntimeError):
    """A parity, agreement or accuracy gate failed, so nothing was written; exit code 1."""
