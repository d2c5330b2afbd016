"""Let a training loop end at a good moment when the process is asked to end."""

from __future__ import annotations
from edge_runtime.cli import Terminated

import signal
import threading
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Context in which the first SIGINT (Ctrl-C), SIGTERM or SIGHUP is noted only; a second signal acts at once, as usual.

    Handlers can be set in the main thread alone; in another thread signals act as usual.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            wanted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
            self._before = {number: signal.signal(number, self._note) for number in wanted}
        return self

    def __exit__(self, *error: object) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def until_asked(self, items: Iterable[T]) -> Iterator[T]:
        """Yield `items`, and end early once this process is asked to end."""
        for item in items:
            if self.signal is not None:
                return
            yield item

    def leave(self) -> None:
        """End as the noted signal wants it; does nothing where there was none."""
        if self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal is not None:
            raise Terminated(self.signal)


def ignore_signals(_worker: int) -> None:
    """Make a data worker ignore Ctrl-C and SIGTERM, which reach the whole process group: the loop ends its workers."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
