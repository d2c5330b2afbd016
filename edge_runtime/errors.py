"""The two ways in which a command of ours refuses: bad input, and a gate that did not hold."""


class InputError(ValueError):
    """Bad usage or bad input. The message says what was got, what was expected and what to do; exit code 2."""


class GateError(RuntimeError):
    """A parity, agreement or accuracy gate failed, so nothing was written; exit code 1."""
