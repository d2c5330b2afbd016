"""An object store: an S3 server on loopback, behind a proxy that fails and dawdles."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from export.consumers import environments

pytestmark = [pytest.mark.full, pytest.mark.timeout(1800)]
COUNT = 1200  # more than one listing tells
FAIL_EVERY, SLOW_EVERY, SLOW_S = 20, 97, 1.5  # of the requests
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


class Proxy(http.server.ThreadingHTTPServer):
    """Passes requests on to `port`; while `faults` is set, every 20th gets a 500 and every 97th waits."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target, self.faults, self.said = port, False, Counter[str]()
        self.count_lock = threading.Lock()

    def next(self, method: str) -> int:
        with self.count_lock:
            self.said[method] += 1
            return sum(self.said[each] for each in ("GET", "PUT", "HEAD", "POST", "DELETE"))


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def answer(self) -> None:
        number = self.server.next(self.command)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.faults and number % FAIL_EVERY == 0:
            self.server.said["failed"] += 1
            return self._send(500, {}, b"<Error><Code>InternalError</Code></Error>")
        if self.server.faults and number % SLOW_EVERY == 0:
            self.server.said["slow"] += 1
            time.sleep(SLOW_S)
        onward = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        onward.request(self.command, self.path, body, {name: value for name, value in self.headers.items() if name != "Expect"})
        reply = onward.getresponse()
        self._send(reply.status, dict(reply.headers), reply.read())
        onward.close()

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "server", "date"):
                self.send_header(name, value)
        length = headers.get("Content-Length", str(len(body))) if self.command == "HEAD" else str(len(body))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def python() -> Path:
    """Return the interpreter of the environment with s3fs and the S3 server."""
    return environments.make("archives")


@pytest.fixture
def proxy(python: Path, tmp_path: Path) -> Iterator[Proxy]:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen([python, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    try:
        end = time.monotonic() + 120
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < end and server.poll() is None, (tmp_path / "server.log").read_text()
            time.sleep(0.1)
        proxy = Proxy(port)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
        proxy.server_close()
    finally:
        server.kill()
        server.wait()


PUT = """
import sys, fsspec
store = fsspec.filesystem("s3")
store.mkdir("archive")
store.put(sys.argv[1] + "/", "archive/50 % ü/", recursive=True)
"""
GET = "import sys, fsspec; fsspec.filesystem('s3').get('archive/dest/', sys.argv[1] + '/', recursive=True)"


def test_an_archive_in_a_store_that_fails_and_dawdles(
    proxy: Proxy, python: Path, make_images: Callable[..., Path], tools: Any, tmp_path: Path
) -> None:
    folder = make_images(tmp_path / "images", COUNT)
    (folder / "broken.jpg").write_bytes(b"no image")
    names = sorted(path.name for path in folder.iterdir())
    keys = KEYS | {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.server_address[1]}"}
    subprocess.run([python, "-c", PUT, folder], env=os.environ | keys, check=True, timeout=500)

    proxy.faults = True
    flags = ("--workers", "1", "--shard", "50", "--masks", "tar", "--allow-failed", "0.01")
    archive = tools.Archive("s3://archive/50 % ü", "s3://archive/dest", flags, tuple(keys.items()), (python,))
    run, helper = archive.start(), archive.start("--join")
    tools.wait_for(lambda: proxy.said["GET"] > COUNT // 3, run, 500)
    run.kill()  # the machine that planned, in the middle
    run.wait()
    tools.ended(helper)
    said = archive.run()
    assert f"{COUNT + 1} images to do" not in said, said
    proxy.faults = False

    dest = tmp_path / "dest"
    subprocess.run([python, "-c", GET, dest], env=os.environ | keys, check=True, timeout=500)
    rows, summary = archive.rows(dest), json.loads((dest / "summary.json").read_text())
    assert [row["uri"] for row in rows] == [f"s3://archive/50 % ü/{name}" for name in names] and len(rows) == COUNT + 1
    assert (summary["images"], summary["failed"], summary["errors"]) == (COUNT + 1, 1, {"unreadable": 1})
    for name, row in zip(names, rows, strict=True):
        assert row["sha256"] == sha256((folder / name).read_bytes()).hexdigest() and bool(row["mask"]) == (name != "broken.jpg")
    assert proxy.said["failed"] > COUNT // 100 and proxy.said["slow"] > COUNT // 500, proxy.said
    print(f"requests: {dict(proxy.said)}")
