"""The threads of the video pipeline, and the short queues between them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from edge_runtime.errors import InputError
from edge_runtime.video.read import TimedFrame

QUEUE = 4  # frames between two threads
LIMIT_S = 600.0  # that a thread waits for another's frame
POLL_S = 0.1  # how often a thread that waits looks whether the others have stopped


class Pipe:
    """A short queue between two threads that ends when either side stops.

    `put` waits for room; with `drop` it throws away the oldest frame instead. Either side raises `InputError` where the other
    hangs: it does nothing for `LIMIT_S`.
    """

    def __init__(self, *stops: threading.Event, drop: bool = False) -> None:
        self._queue: queue.Queue[TimedFrame | None] = queue.Queue(1 if drop else QUEUE)
        self._stops, self._drop = stops, drop
        self.dropped = 0

    def put(self, item: TimedFrame | None) -> bool:
        """Hand an item on, None after the last; return False where nobody wants it any more."""
        polls = 0
        while not self._stopped():
            try:
                if self._drop and item is not None:
                    self._queue.put_nowait(item)
                else:
                    self._queue.put(item, timeout=POLL_S)
                return True
            except queue.Full:
                if self._drop and item is not None:
                    self._throw_away()
                else:
                    polls = _poll_again(polls, "no room for the next frame")
        return False

    def _throw_away(self) -> None:
        try:
            self._queue.get_nowait()
            self.dropped += 1
        except queue.Empty:
            return  # it was fetched in the meantime, which makes room as well

    def _stopped(self) -> bool:
        return any(stop.is_set() for stop in self._stops)

    def __iter__(self) -> Iterator[TimedFrame]:
        """Yield items until the last, or until the run stops."""
        polls = 0
        while not self._stopped():
            try:
                item = self._queue.get(timeout=POLL_S)
            except queue.Empty:
                polls = _poll_again(polls, "no frame")
                continue
            polls = 0
            if item is None:
                return
            yield item


def _poll_again(polls: int, got: str) -> int:
    """Count one more `POLL_S` of waiting, which does not go on while the whole program is stopped by Ctrl-Z."""
    if polls * POLL_S >= LIMIT_S:
        raise InputError(f"got {got} for {LIMIT_S:.0f} s, expected one; look whether disk and network drives still answer")
    return polls + 1


class Worker(threading.Thread):
    """A thread that keeps the exception which ended it, and stops the others then."""

    def __init__(self, work: Callable[[], None], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._work, self._stop_all = work, stop
        self.error: BaseException | None = None

    def run(self) -> None:
        """Do the work."""
        try:
            self._work()
        except BaseException as error:  # raised again by the thread that joins this one
            self.error = error
            self._stop_all.set()

    def finish(self) -> None:
        """Wait for its end and raise what ended it early; raises `InputError` where it hangs."""
        polls = 0
        while self.is_alive():
            self.join(POLL_S)
            polls = _poll_again(polls, "no end of a thread")
        if self.error is not None:
            raise self.error
