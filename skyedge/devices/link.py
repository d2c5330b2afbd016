"""Links to devices: `host`, `ssh://user@host:port` or `adb://SERIAL`, each through the system's own client.

A link runs shell text on the device and sends files. Keys, passwords and host keys are the business of `ssh` and `adb`.
"""

from __future__ import annotations

import contextlib
import queue
import shlex
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from edge_runtime.errors import InputError
from skyedge.devices.errors import NO_ROOM, explain, lost

EXPECTED = "expected host, ssh://user@host:port or adb://SERIAL"
GRACE_SECONDS = 10.0  # a command whose stdin has ended may take this long to clean up
PATIENCE_SECONDS = 60.0  # a device that is silent for longer counts as lost
CARRY_SECONDS = 600.0  # patience while files travel, which is silent
LIMIT_SECONDS = 3600.0  # no command runs longer, unless the caller allows it
BEGIN, END = "skyedge-begin", "skyedge-exit"
SIGNALS = "HUP INT TERM PIPE ALRM"
SSH_OPTIONS = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "ConnectTimeout=10", "ServerAliveInterval=5", "ServerAliveCountMax=3",
    "RequestTTY=no", "RemoteCommand=none",
)  # fmt: skip


@dataclass(frozen=True)
class Finished:
    """Exit code, stdout and stderr of shell text on the device."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Link:
    """A device that runs shell text.

    Attributes
    ----------
    kind
        "host", "ssh" or "adb".
    shown
        Name of the device in messages.
    words
        Command line here; the shell text is added as one more word.
    cache
        Shell word for the default folder of files.
    """

    kind: str
    shown: str
    words: tuple[str, ...]
    cache: str

    def run(
        self,
        text: str,
        stdin: IO[bytes] | None = None,
        hear: Callable[[str], None] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        limit_seconds: float = LIMIT_SECONDS,
    ) -> Finished:
        """Run POSIX shell `text` on the device, as `wrap` wraps it.

        Parameters
        ----------
        stdin
            File that `text` reads. Without one its stdin ends when this call ends, however that happens.
        hear
            Gets every line of stderr as it comes.
        patience_seconds, limit_seconds
            How long the device may be silent, and how long `text` may run.

        Raises
        ------
        LostError
            The link broke, or the device was silent or busy for too long.
        InputError
            There is no such device, or it refuses the login.
        """
        whole = wrap(text)
        sent = f"exec sh -c {shlex.quote(whole)}" if self.kind == "ssh" else whole
        out, err = _talk((*self.words, sent), stdin, hear, patience_seconds, limit_seconds, self.shown)
        said, begun, rest = out.partition(f"{BEGIN}\n")
        body, ended, code = rest.rpartition(f"\n{END} ")
        code = code.partition("\n")[0].strip()
        if not begun or not ended or not code.isdigit():
            raise explain(self.shown, self.words, bool(begun), said + err)
        return Finished(int(code), body, err)

    def carry(self, files: Mapping[str, Path], folder: str, accept: str) -> Finished:
        """Send `files` (name there -> file here) into the new `folder` there, run `accept` in it, and remove the folder.

        `folder` is an absolute path. Returns how `accept` ended, or the step that failed before.
        """
        there = shlex.quote(folder)
        make = f"cleanup() {{ rm -rf {there}; }}\nmkdir -p {there} && cd {there} || exit 1\n"
        if self.kind != "adb":
            with tempfile.TemporaryFile() as archive:
                with tarfile.open(fileobj=archive, mode="w") as tar:
                    for name, path in files.items():
                        tar.add(path.resolve(), arcname=name, filter=_plain)
                archive.seek(0)
                return self.run(f"{make}tar -xf - || exit 1\n{accept}", archive, patience_seconds=CARRY_SECONDS)
        made = self.run(f"mkdir -p {there}")
        done = made if made.code else self._adb_push(files, folder)
        if done.code:
            self.run(f"rm -rf {there}")
            return done
        return self.run(f"{make}{accept}", patience_seconds=CARRY_SECONDS)

    def _adb_push(self, files: Mapping[str, Path], folder: str) -> Finished:
        for name, path in files.items():
            words = (*self.words[:-1], "push", str(path.resolve()), f"{folder}/{name}")
            try:
                done = subprocess.run(words, capture_output=True, timeout=CARRY_SECONDS, stdin=subprocess.DEVNULL)
            except subprocess.TimeoutExpired as error:
                raise lost(self.shown, f"adb push took over {CARRY_SECONDS:.0f} s") from error
            said = (done.stdout + done.stderr).decode(errors="replace")
            if done.returncode:
                if not any(reason in said for reason in NO_ROOM) and ": remote " not in said:
                    raise explain(self.shown, self.words, True, said)
                return Finished(done.returncode, "", said)
        return Finished(0, "", "")


def wrap(text: str) -> str:
    """Return shell text that runs `text` between two marks and then `cleanup`, if `text` defines one.

    The marks tell what login scripts print from what `text` prints, and a lost device from a command that failed: neither
    ssh nor old versions of adb do. Exit code 130 after a signal, 124 after ALRM. A second signal must not end `cleanup`:
    shells look for signals after each command, so that ignoring them comes first in either trap.
    """
    return f"""cleanup() {{ :; }}
finish() {{ trap '' {SIGNALS}; cleanup; printf '\\n{END} %s\\n' "$1"; }}
trap 'finish $?' EXIT
trap 'trap "" {SIGNALS}; exit 130' HUP INT TERM PIPE
trap 'trap "" {SIGNALS}; exit 124' ALRM
echo {BEGIN}
{text}
"""


def open_link(device: str, ssh_config: Path | None = None) -> Link:
    """Return the link to "host", "ssh://[user@]host[:port]" or "adb://SERIAL", without a connection yet.

    `ssh_config` is a configuration for ssh instead of the user's own.
    """
    if device == "host":
        return Link("host", "this machine", ("sh", "-c"), '"${XDG_CACHE_HOME:-$HOME/.cache}/skyedge"')
    scheme, _, rest = device.partition("://")
    if scheme == "adb" and rest and not rest.startswith("-") and not any(char.isspace() or char == "/" for char in rest):
        return Link("adb", device, ("adb", "-s", rest, "shell"), "/data/local/tmp/skyedge")
    if scheme != "ssh":
        raise InputError(f"got --device {device!r}, {EXPECTED}")
    if ssh_config is not None and not ssh_config.is_file():
        raise InputError(f"got no file {ssh_config} for --ssh-config, expected an ssh_config(5) file")
    try:
        url = urlsplit(device)
        host, port, user = url.hostname, url.port, url.username
    except ValueError as error:
        raise InputError(f"got --device {device!r}: {error}; {EXPECTED}") from error
    if not host or host.startswith("-") or (user or "").startswith("-") or url.password or url.path.strip("/") or url.query:
        raise InputError(f"got --device {device!r}, {EXPECTED}; passwords belong to ssh-agent, folders to --cache")
    words = ["ssh", "-T", *(part for option in SSH_OPTIONS for part in ("-o", option))]
    words += ["-F", str(ssh_config)] if ssh_config else []
    words += ["-p", str(port)] if port else []
    words += ["-l", user] if user else []
    return Link("ssh", device, (*words, "--", host), '"${XDG_CACHE_HOME:-$HOME/.cache}/skyedge"')


def connect(link: Link) -> bool:
    """Connect adb to a device whose serial is HOST:PORT; return whether this made a new connection."""
    if link.kind != "adb":
        return False
    serial = link.words[2]
    listed = _adb("devices").splitlines()
    known = any(line.split("\t")[0] == serial for line in listed)
    if not known and ":" in serial:
        said = _adb("connect", serial).strip()
        if not said.startswith("connected"):
            raise InputError(f"got {said!r} from adb, expected a device at {serial}; is its adb over network switched on?")
    state = _adb("-s", serial, "get-state").strip()
    if state == "device":
        return not known and ":" in serial
    advice = "accept this computer's key on its screen" if "unauthorized" in state else "check `adb devices` and the cable"
    raise InputError(f"got {state!r} for {link.shown} from adb, expected a device that is ready; {advice}")


def disconnect(link: Link) -> None:
    """Undo `connect`."""
    _adb("disconnect", link.words[2])


def _adb(*words: str) -> str:
    try:
        done = subprocess.run(("adb", *words), capture_output=True, timeout=PATIENCE_SECONDS, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise InputError("got no adb here, expected Android's client; run: sudo apt-get install -y adb") from error
    except subprocess.TimeoutExpired as error:
        raise InputError(f"adb {words[0]} took over {PATIENCE_SECONDS:.0f} s; run: adb kill-server, then again") from error
    return (done.stdout or done.stderr).decode(errors="replace")


def _talk(
    words: tuple[str, ...],
    stdin: IO[bytes] | None,
    hear: Callable[[str], None] | None,
    patience_seconds: float,
    limit_seconds: float,
    shown: str,
) -> tuple[str, str]:
    """Run a command here and return its stdout and stderr; end it where it is silent or busy for too long."""
    lines: queue.Queue[tuple[str, str | None]] = queue.Queue()

    def listen(name: str, stream: IO[bytes]) -> None:
        for line in stream:
            lines.put((name, line.decode(errors="replace")))
        lines.put((name, None))

    try:
        process = subprocess.Popen(words, stdin=stdin or subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        package = {"ssh": "openssh-client", "adb": "adb"}.get(words[0], words[0])
        raise InputError(f"got no {words[0]} here, expected it; run: sudo apt-get install -y {package}") from error
    said: dict[str, list[str]] = {"out": [], "err": []}
    try:
        assert process.stdout is not None and process.stderr is not None
        threads = [
            threading.Thread(target=listen, args=pair, daemon=True) for pair in (("out", process.stdout), ("err", process.stderr))
        ]
        for thread in threads:
            thread.start()
        open_ends, end = len(threads), time.monotonic() + limit_seconds
        while open_ends:
            if time.monotonic() > end:
                raise lost(shown, f"it was busy for over {limit_seconds:.0f} s")
            name, line = lines.get(timeout=patience_seconds)
            if line is None:
                open_ends -= 1
                continue
            said[name].append(line)
            if hear is not None and name == "err":
                hear(line.rstrip("\n"))
    except queue.Empty:
        raise lost(shown, f"it was silent for {patience_seconds:.0f} s") from None
    finally:
        _end(process)
    return "".join(said["out"]), "".join(said["err"])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close the stdin of a command, which ends its script on the device, and wait for it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel holds it: nothing here can end it
            process.wait(GRACE_SECONDS)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Remove names of users and groups from an archive."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
