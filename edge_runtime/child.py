"""One child process that answers requests: what crashes, hangs or fills the memory costs one request, not the program.

The child is a fresh interpreter, never a fork: threads of OpenMP and of a network's interpreter do not survive one. It ends
with its parent. It is no sandbox: it has the parent's rights.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

from edge_runtime.errors import InputError

START_LIMIT_S = 300.0  # to open what answers, such as a network
ENDING_S = 10.0  # that a killed process gets to end
ORPHAN_POLL_S = 1.0
CODE = "import sys; sys.path[:] = {path!r}; from edge_runtime.child import serve; serve()"
_children: weakref.WeakSet[Child] = weakref.WeakSet()


class EndedError(Exception):
    """The child ended before it answered: `late` where it was killed as it took too long, `code` is its exit code."""

    def __init__(self, late: bool, code: int | None) -> None:
        super().__init__("not done in time" if late else f"the process ended with code {code}")
        self.late, self.code = late, code


class Child:
    """A process that starts with the first request and serves the later ones, one at a time; threads may share it.

    `opener(*words)` runs in the child and returns the function that answers. It is a function of a module that the child
    can import. Requests and answers are pickled.
    """

    def __init__(self, opener: Callable[..., Callable[[Any], Any]], *words: Any) -> None:
        self._opener, self._words = opener, words
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        _children.add(self)

    def ask(self, request: Any, limit_s: float) -> Any:
        """Return the answer to a request, or raise what the opener or the answering function raised.

        Raises `EndedError` where the child crashed, or took longer than `limit_s` and was killed; the next request starts
        another.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                try:
                    self._start()
                except EndedError:  # killed from outside, while memory was short
                    self._start()
            return self._exchange(request, limit_s)

    def close(self) -> None:
        """End the process, if there is one; the next request starts another."""
        with self._lock:
            self._end()

    def forget(self) -> None:
        """Leave the process to the parent of this forked one."""
        self._lock, self._process = threading.Lock(), None

    def _start(self) -> None:
        if (python := interpreter()) is None:
            raise InputError("got a program without a Python of its own (frozen or embedding), expected one that can start it")
        name = f"{self._opener.__module__}.{self._opener.__qualname__}"  # for people who look at the list of processes
        words = [python, "-c", CODE.format(path=sys.path), name]
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self._exchange((self._opener.__module__, self._opener.__qualname__, self._words), START_LIMIT_S)
        except BaseException:
            self._end()
            raise

    def _exchange(self, request: Any, limit_s: float) -> Any:
        process = cast(subprocess.Popen[bytes], self._process)
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        try:
            requests = cast(IO[bytes], process.stdin)
            pickle.dump(request, requests, pickle.HIGHEST_PROTOCOL)
            requests.flush()
            good, answer = pickle.load(cast(IO[bytes], process.stdout))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            late = timer.finished.is_set()
            self._end()
            raise EndedError(late, process.returncode) from error
        except BaseException:  # Ctrl-C in the middle of an answer
            self._end()
            raise
        finally:
            timer.cancel()
        if not good:
            raise answer
        return answer

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        try:
            process.wait(ENDING_S)
        except subprocess.TimeoutExpired:  # the system holds it, as when it reads from a network drive that is gone
            text = f"process {process.pid} does not end although it was killed; the system holds it, look at it with ps"
            print(text, file=sys.stderr)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()


def interpreter() -> str | None:
    """Return the Python that a child runs; None in a frozen or embedding program, which would start itself again."""
    found = sys.executable or ""
    return None if getattr(sys, "frozen", False) or "py" not in Path(found).stem.lower() else found


def serve() -> None:
    """Be the child: open what the first request names, then answer on stdout until stdin ends or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    answering: Callable[[Any], Any] = _open
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer = (True, answering(request))
        except (InputError, ValueError, MemoryError) as error:
            answer = (False, error)
        if answering is _open and answer[0]:
            answering, answer = answer[1], (True, None)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


def _open(request: tuple[str, str, tuple[Any, ...]]) -> Callable[[Any], Any]:
    module, name, words = request
    opener: Callable[..., Callable[[Any], Any]] = getattr(importlib.import_module(module), name)
    return opener(*words)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, also in the middle of a request."""
    while os.getppid() == parent:
        time.sleep(ORPHAN_POLL_S)
    os._exit(1)


def _forget_all() -> None:
    for child in _children:
        child.forget()


if hasattr(os, "register_at_fork"):  # a forked process must not talk to its parent's children
    os.register_at_fork(after_in_child=_forget_all)
