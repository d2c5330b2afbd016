"""Segment one image after the other in a process of its own, which an image may crash, fill or hang: it costs that image.

The parent sends bytes and gets a record and the mask. After a crash or a time-out the same image is given to a fresh
process once more, alone; when that fails too, the failure is its record.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from edge_runtime.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
COMMAND = "from skyedge.batch.child import serve; serve()"
START_LIMIT_S = 300.0  # to open the model
CRASHED, TIMED_OUT = "crashed", "timed out"


@dataclass(frozen=True)
class Settings:
    """What decides the masks, and the limits of a process; `memory_mib` 0 is no limit.

    A machine whose `models` have another SHA-256 than `model_sha256`, joined by +, is refused.
    """

    models: tuple[str, ...]
    model_sha256: str
    device: str
    min_sky: float | None
    fast_decode: bool
    time_limit_s: float
    memory_mib: int


@dataclass(frozen=True)
class Answer:
    """What a process says of an image: its record, with the seconds of each stage, and the mask as PNG; or error and kind."""

    record: dict[str, Any]
    mask: bytes | None
    stage_seconds: dict[str, float]
    error: str | None = None
    kind: str | None = None
    retried: bool = False


class Process:
    """The process that segments; it starts with the first image."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def segment(self, content: bytes) -> Answer:
        """Segment the image of a file's bytes. Raises `InputError` where the model cannot be opened."""
        answer = self._ask(content)
        if answer.kind not in (CRASHED, TIMED_OUT):
            return answer
        second = self._ask(content)  # alone in its process: this one is fresh, and ends here
        self.close()
        return dataclasses.replace(second, retried=True)

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    cast(IO[bytes], pipe).close()
            self._process = None

    def _ask(self, content: bytes) -> Answer:
        process = self._process or self._start(last=False) or cast(subprocess.Popen[bytes], self._start(last=True))
        timer = threading.Timer(self._settings.time_limit_s, process.kill)
        timer.start()
        try:
            requests, answers = cast(IO[bytes], process.stdin), cast(IO[bytes], process.stdout)
            requests.write(len(content).to_bytes(8, "little"))
            requests.write(content)
            requests.flush()
            head = _line(answers)
            mask = _exactly(answers, head.pop("mask_bytes"))
            return Answer(**head, mask=mask or None)
        except (EOFError, BrokenPipeError):
            late = timer.finished.is_set()
            self.close()
            if late:
                return _failed(f"not done after {self._settings.time_limit_s:.0f} s", TIMED_OUT)
            return _failed(f"its process ended with code {process.returncode}", CRASHED)
        finally:
            timer.cancel()

    def _start(self, last: bool) -> subprocess.Popen[bytes] | None:
        """Start a process that has the model open; None, or with `last` an error, where it ends before."""
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = process = subprocess.Popen(
            [sys.executable, "-c", COMMAND],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        timer = threading.Timer(START_LIMIT_S, process.kill)
        timer.start()
        try:
            requests = cast(IO[bytes], process.stdin)
            requests.write(json.dumps(dataclasses.asdict(self._settings)).encode() + b"\n")
            requests.flush()
            head = _line(cast(IO[bytes], process.stdout))
        except (EOFError, BrokenPipeError) as error:
            self.close()
            if not last:
                return None
            raise InputError(f"the process that opens {self._settings.models} ended with code {process.returncode}") from error
        finally:
            timer.cancel()
        if "refused" in head:
            self.close()
            raise InputError(head["refused"])
        return process


def _failed(error: str, kind: str) -> Answer:
    return Answer({}, None, {}, error, kind)


def _line(pipe: IO[bytes]) -> dict[str, Any]:
    line = pipe.readline()
    if not line.endswith(b"\n"):
        raise EOFError
    return cast(dict[str, Any], json.loads(line))


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    content = pipe.read(count)
    if len(content) < count:
        raise EOFError
    return content
