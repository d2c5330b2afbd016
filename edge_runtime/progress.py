"""Progress of a long run on stderr: a bar where there is a terminal and rich, otherwise a line every 10 s."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
QUIET_SECONDS = 1.0  # shorter runs show nothing
LINE_SECONDS = 10.0


def one_line(text: str) -> str:
    """Return `text` without line ends and control characters, which a file name may hold, written out as escapes."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def say(text: str) -> None:
    """Write a line of progress to stderr."""
    print(text, file=sys.stderr, flush=True)


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield `items`, showing how many are done and how long the rest will take."""
    show = _bar if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None else _lines
    return show(items, label)


def _lines(items: Sequence[T], label: str) -> Iterator[T]:
    start = shown = time.monotonic()
    for index, item in enumerate(items):
        now = time.monotonic()
        if index > 0 and now - shown >= LINE_SECONDS:
            shown = now
            left = (now - start) / index * (len(items) - index)
            print(f"{label}: {index} of {len(items)}, about {left:.0f} s left", file=sys.stderr, flush=True)
        yield item


def _bar(items: Sequence[T], label: str) -> Iterator[T]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task(label, total=len(items))
    try:
        for index, item in enumerate(items):
            if not progress.live.is_started and time.monotonic() - start >= QUIET_SECONDS:
                progress.start()
            progress.update(task, completed=index)
            yield item
    finally:
        progress.stop()
