"""A stand-in for adbd, Android's debug daemon, over TCP: it speaks its protocol, and runs everything on this machine.

`python adb_server.py` prints its port; `adb connect 127.0.0.1:PORT` then finds a device. It knows what our side needs
(CNXN, OPEN, OKAY, WRTE and CLSE; `shell` as version 2 and as the old one; `sync` with STAT and SEND) as AOSP's
packages/modules/adb/protocol.txt, SYNC.TXT and shell_protocol.h describe it, asks for no key, and its `uname -m` says
what `--architecture` says. It tests our client side alone: no Android is behind it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import struct
import sys
from pathlib import Path

VERSION, MOST_BYTES = 0x01000001, 1 << 18  # from this version on no sums of the bytes are sent
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)  # packets of the shell protocol, version 2
BANNER = b"device::ro.product.name=standin;ro.product.model=Stand-in;ro.product.device=standin;features=shell_v2"


class Stream:
    """One OPEN stream: bytes that came from the client, and flow control for those that go to it."""

    def __init__(self, link: Link, here: int, there: int) -> None:
        self.link, self.here, self.there = link, here, there
        self.reader = asyncio.StreamReader()
        self.may_write = asyncio.Event()
        self.may_write.set()
        self.closed = False

    async def write(self, data: bytes) -> None:
        """Send bytes; each message waits for the client's OKAY to the last one."""
        for start in range(0, len(data), MOST_BYTES):
            await self.may_write.wait()
            if self.closed:
                raise ConnectionResetError("the client closed the stream")
            self.may_write.clear()
            self.link.send(b"WRTE", self.here, self.there, data[start : start + MOST_BYTES])

    def close(self) -> None:
        """Take note that no more comes and none may go."""
        self.closed = True
        self.reader.feed_eof()
        self.may_write.set()


class Link:
    """A connection of one adb server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, environment: dict[str, str]) -> None:
        self.reader, self.writer, self.environment = reader, writer, environment
        self.streams: dict[int, Stream] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        """Send a message: command, two arguments, length, no sum, the command's complement, and data."""
        number = int.from_bytes(command, "little")
        self.writer.write(struct.pack("<6I", number, first, second, len(data), 0, number ^ 0xFFFFFFFF) + data)

    async def serve(self) -> None:
        """Answer messages until the connection ends, and then end all that runs for it."""
        try:
            while True:
                command, first, second, size, _, _ = struct.unpack("<6I", await self.reader.readexactly(24))
                data = await self.reader.readexactly(size)
                self.take(command.to_bytes(4, "little"), first, second, data)
                await self.writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away, as clients do
        finally:
            for stream in self.streams.values():
                stream.close()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            self.writer.close()

    def take(self, command: bytes, first: int, second: int, data: bytes) -> None:
        """Take one message; `first` and `second` are the stream's number there and here."""
        if command == b"CNXN":
            self.send(b"CNXN", VERSION, MOST_BYTES, BANNER)
        elif command == b"OPEN":
            stream = Stream(self, len(self.streams) + 1, first)
            self.streams[stream.here] = stream
            self.send(b"OKAY", stream.here, stream.there)
            task = asyncio.create_task(self.open(stream, data.rstrip(b"\0").decode()))
            self.tasks.add(task)
        elif second in self.streams:
            stream = self.streams[second]
            if command == b"WRTE":
                stream.reader.feed_data(data)
                self.send(b"OKAY", stream.here, stream.there)
            elif command == b"OKAY":
                stream.may_write.set()
            elif command == b"CLSE":
                stream.close()

    async def open(self, stream: Stream, service: str) -> None:
        """Serve one stream."""
        name, _, argument = service.partition(":")
        try:
            if name.startswith("shell"):
                await self.shell(stream, argument, packets="v2" in name.split(","))
            elif name == "sync":
                await sync(stream)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up in the middle, as `serve` says too
        self.send(b"CLSE", stream.here, stream.there)

    async def shell(self, stream: Stream, text: str, packets: bool) -> None:
        """Run a command; version 2 parts stdout from stderr and tells the exit code."""
        pipe = asyncio.subprocess.PIPE
        errors = pipe if packets else asyncio.subprocess.STDOUT
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", text, stdin=pipe, stdout=pipe, stderr=errors, env=self.environment
        )
        assert process.stdin and process.stdout

        async def forward(kind: int, source: asyncio.StreamReader) -> None:
            while data := await source.read(65536):
                await stream.write(struct.pack("<BI", kind, len(data)) + data if packets else data)

        feeder = asyncio.create_task(feed(stream, process.stdin, packets))
        outputs = [forward(STDOUT, process.stdout)]
        if process.stderr:
            outputs.append(forward(STDERR, process.stderr))
        try:
            await asyncio.gather(*outputs)
            code = await process.wait()
            if packets:
                await stream.write(struct.pack("<BIB", EXIT, 1, code % 256))
        finally:
            if process.returncode is None:
                process.stdin.close()  # as adbd does; what runs sees that its stdin ended
            feeder.cancel()


async def feed(stream: Stream, stdin: asyncio.StreamWriter, packets: bool) -> None:
    """Pass on what the client sends to a command's stdin, and its end."""
    try:
        if not packets:
            while data := await stream.reader.read(65536):
                stdin.write(data)
        while packets:
            kind, size = struct.unpack("<BI", await stream.reader.readexactly(5))
            data = await stream.reader.readexactly(size)
            if kind == CLOSE_STDIN:
                break
            if kind == STDIN:
                stdin.write(data)
                await stdin.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass  # the command closed its stdin, or the client went away: the end either way
    finally:
        stdin.close()


async def sync(stream: Stream) -> None:
    """Serve the file protocol."""
    while True:
        kind, size = struct.unpack("<4sI", await stream.reader.readexactly(8))
        if kind == b"QUIT":
            return
        argument = (await stream.reader.readexactly(size)).decode()
        if kind == b"STAT":
            path = Path(argument)
            facts = path.lstat() if path.exists() else None
            values = (facts.st_mode, facts.st_size & 0xFFFFFFFF, int(facts.st_mtime)) if facts else (0, 0, 0)
            await stream.write(b"STAT" + struct.pack("<3I", *values))
        elif kind == b"SEND":
            path, _, mode = argument.rpartition(",")
            await receive(stream, Path(path), int(mode) & 0o777)
        else:
            raise ConnectionResetError(f"{kind!r} is not spoken here")


async def receive(stream: Stream, path: Path, mode: int) -> None:
    """Take one file; after an error the rest of it is read and thrown away, as adbd does."""
    problem = ""
    file = None
    try:
        file = path.open("wb")
    except OSError as error:
        problem = error.strerror or str(error)
    while True:
        kind, size = struct.unpack("<4sI", await stream.reader.readexactly(8))
        if kind == b"DONE":
            break
        data = await stream.reader.readexactly(size)
        if not problem and file:
            try:
                os.write(file.fileno(), data)
            except OSError as error:
                problem = error.strerror or str(error)
    if file:
        file.close()
    if problem:
        if path.is_file():  # never a device node
            path.unlink()
        await stream.write(b"FAIL" + struct.pack("<I", len(problem)) + problem.encode())
    else:
        path.chmod(mode)
        await stream.write(b"OKAY" + struct.pack("<I", 0))


async def main(architecture: str, folder: Path) -> None:
    """Listen on a free port of this machine and print it."""
    uname = folder / "uname"
    uname.write_text(f'#!/bin/sh\n[ "$1" = -m ] && echo {architecture} || exec /usr/bin/uname "$@"\n')
    uname.chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    server = await asyncio.start_server(lambda reader, writer: Link(reader, writer, environment).serve(), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", default="aarch64")
    parser.add_argument("--folder", type=Path, required=True, help="for its own small programs")
    given = parser.parse_args()
    sys.exit(asyncio.run(main(given.architecture, given.folder)))
