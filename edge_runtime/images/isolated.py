"""Decode in a process of its own, for formats whose decoders can crash on a damaged file: a crash costs that one image.

The process starts with the first such image and serves the later ones. It ends with the program.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, cast

import numpy as np

from edge_runtime.errors import InputError
from edge_runtime.progress import tell_unending

LIMIT_S = 120.0  # for one image
ENDING_S = 10.0  # that a killed process gets to end
ROOT = Path(__file__).resolve().parents[2]
COMMAND = "from edge_runtime.images.isolated import serve; serve()"


class Decoder:
    """A child process that decodes one image after the other; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path) -> np.ndarray:
        """Decode as `formats.read_rgb` does; raises `ValueError` where the file is broken or the decoder crashed."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._process = _start()
            timer = threading.Timer(LIMIT_S, self._process.kill)
            timer.start()
            try:
                return _ask(self._process, path)
            except (EOFError, BrokenPipeError) as error:
                reason = f"not done after {LIMIT_S:.0f} s" if timer.finished.is_set() else "its decoder crashed"
                self._end()
                raise ValueError(reason) from error
            except ValueError:
                raise
            except BaseException:  # Ctrl-C in the middle of an answer
                self._end()
                raise
            finally:
                timer.cancel()

    def close(self) -> None:
        """End the process, if there is one; the next image starts another."""
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            try:
                self._process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                tell_unending(self._process.pid)
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    cast(IO[bytes], pipe).close()
            self._process = None


def _start() -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": path},
    )


def _ask(process: subprocess.Popen[bytes], path: Path) -> np.ndarray:
    requests, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
    requests.write(json.dumps(os.path.abspath(path)).encode() + b"\n")
    requests.flush()
    head = answers.readline()
    if not head.endswith(b"\n"):
        raise EOFError
    answer = json.loads(head)
    if "refused" in answer:
        raise InputError(answer["refused"])
    if "error" in answer:
        raise ValueError(answer["error"])
    image = np.empty((*answer["shape"], 3), np.uint8)
    left = image.data.cast("B")
    while left:
        count = cast(int, answers.readinto(left))  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        left = left[count:]
    return image


def serve() -> None:
    """Answer the requests of stdin on stdout until stdin ends: a line of JSON, then the pixels where there are any."""
    from edge_runtime.images.formats import DECODE_ERRORS, decode_any

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin.buffer:
        image = None
        try:
            image = decode_any(Path(json.loads(line)))
            answer: dict[str, object] = {"shape": image.shape[:2]}
        except InputError as error:
            answer = {"refused": str(error)}
        except (*DECODE_ERRORS, MemoryError) as error:
            answer = {"error": str(error) or type(error).__name__}
        answers.write(json.dumps(answer).encode() + b"\n")
        if image is not None:
            answers.write(image.data.cast("B"))
        answers.flush()


DECODER = Decoder()
atexit.register(DECODER.close)
if hasattr(os, "register_at_fork"):  # a forked process must not talk to its parent's decoder
    os.register_at_fork(after_in_child=DECODER.__init__)  # type: ignore[misc]
