"""The device's shell script under signals at random moments: it ends, and leaves no process and no folder behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from skyedge.devices.cache import Cache
from skyedge.devices.call import Bench
from skyedge.devices.link import BEGIN, END, open_link, wrap

pytestmark = pytest.mark.slow
SHELLS = [shell for shell in ("sh", "bash", "mksh", "busybox") if shutil.which(shell)]
PROGRAM = "program"
FAKE = """#!/bin/sh
echo $$ > ../pid-$PPID
while [ $# -gt 1 ]; do shift; done
sleep {seconds} >/dev/null 2>&1 3<&-
echo '{{}}' > "$1"
"""
EVENTS = ("TERM", "HUP", "INT", "ALRM", "end of stdin", "TERM TERM", "HUP TERM", "end of stdin TERM", "nothing")
ENDS_SECONDS = 60.0  # on a busy machine; a script that hangs does so for good


def bench(folder: Path, seconds: float) -> Bench:
    """Return a bench whose program only sleeps, without artifacts."""
    (folder / "files").mkdir(parents=True)
    (folder / "files" / PROGRAM).write_text(FAKE.format(seconds=seconds))
    (folder / "files" / PROGRAM).chmod(0o755)
    return Bench(Cache(open_link("host"), str(folder), {}), PROGRAM, (), "", "")


def start(shell: str, text: str) -> subprocess.Popen[bytes]:
    words = ["busybox", "sh"] if shell == "busybox" else [shell]
    return subprocess.Popen([*words, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def disturb(process: subprocess.Popen[bytes], event: str) -> None:
    assert process.stdin is not None
    if event.startswith("end of stdin"):
        process.stdin.close()
        process.stdin = None
    for name in event.removeprefix("end of stdin").split():
        if name != "nothing":
            process.send_signal(signal.Signals[f"SIG{name}"])


def gone(pid: int) -> bool:
    """Tell whether a process has ended; one that only waits to be reaped has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


@contextmanager
def load() -> Iterator[None]:
    """Keep every core busy."""
    with ExitStack() as stack:
        for _ in range(os.cpu_count() or 1):
            busy = stack.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            stack.callback(busy.kill)
        yield


def run_once(number: int, shell: str, folder: Path) -> str:
    """Start the script, disturb it at a random moment and return what is wrong afterwards."""
    draw = random.Random(number)
    event, moment = EVENTS[number % len(EVENTS)], draw.uniform(0.0, 0.35) * draw.random()
    process = start(shell, wrap(bench(folder, 0.2).script([], 60.0, 0.05)))
    time.sleep(moment)
    disturb(process, event)
    what = f"run {number}: {shell}, {event} after {moment:.4f} s: "
    try:
        if event == "nothing":
            process.wait(ENDS_SECONDS)  # `communicate` would end its stdin at once
        out = process.communicate(timeout=ENDS_SECONDS)[0].decode()
    except subprocess.TimeoutExpired:
        process.kill()
        return f"{what}hangs"
    started = [int(path.read_text()) for path in folder.glob("pid-*") if path.read_text().strip()]
    if not all(map(gone, started)):
        return f"{what}the program goes on"
    if BEGIN in out and "state\tbefore" in out and END not in out:
        return f"{what}no end mark: {out[-200:]!r}"
    left = [path.name for path in folder.glob("skyedge-run-*")]
    if left:
        return f"{what}{left} is left"
    if event == "nothing" and not out.endswith(f"{END} 0\n"):
        return f"{what}expected exit code 0: {out[-200:]!r}"
    return ""


@pytest.mark.parametrize("runs", [20, pytest.param(300, marks=pytest.mark.full)])
def test_signals_at_random_moments(runs: int, tmp_path: Path) -> None:
    with load(), ThreadPoolExecutor(6) as pool:
        jobs = [pool.submit(run_once, number, SHELLS[number % len(SHELLS)], tmp_path / str(number)) for number in range(runs)]
        wrong = [job.result() for job in jobs]
    assert not any(wrong), "\n".join(filter(None, wrong))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_program_that_hangs_is_ended(shell: str, tmp_path: Path) -> None:
    """`alive` lines defeat the limit of silence, so the script has an end of its own."""
    process = start(shell, wrap(bench(tmp_path / "cache", 300.0).script([], 0.5, 0.1)))
    process.wait(ENDS_SECONDS)  # its stdin stays open: it ends by itself
    out = process.communicate()[0].decode()
    assert out.endswith(f"{END} 124\n") and out.count("alive") == 5
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.name.startswith("skyedge-run")] == []
