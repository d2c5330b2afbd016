"""An object store: moto's S3 server on loopback, behind a proxy that fails and dawdles."""

from __future__ import annotations

import http.client
import http.server
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

COUNT = 5000
FAIL_EVERY, SLOW_EVERY, SLOW_S = 20, 97, 1.5  # of the requests
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}


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


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    said = tmp_path / "moto.log"
    with said.open("w") as log:
        moto = subprocess.Popen(
            [Path(sys.executable).parent / "moto_server", "-H", "127.0.0.1", "-p", "0"], stdout=log, stderr=log
        )
    try:
        port = _port(said)
        proxy = Proxy(port)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()
        proxy.server_close()
    finally:
        moto.kill()
        moto.wait()


def _port(said: Path) -> int:
    end = time.monotonic() + 120
    while "Running on http://127.0.0.1:" not in said.read_text():
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.1)
    return int(said.read_text().partition("Running on http://127.0.0.1:")[2].split()[0])


def test_an_archive_in_a_store_that_fails_and_dawdles(
    proxy: Proxy, make_images: Callable[..., Path], tools: Any, tmp_path: Path
) -> None:
    from skyedge.batch.storage import place, read_bytes, write

    where = f"?endpoint_override=127.0.0.1:{proxy.server_address[1]}&scheme=http&region=us-east-1&allow_bucket_creation=true"
    place(f"s3://archive{where}").filesystem.create_dir("archive")
    folder = make_images(tmp_path / "images", COUNT)
    files = sorted(folder.iterdir())
    source = place(f"s3://archive/images{where}")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: write(source / f"{path.name[:2]}/{path.name}", path.read_bytes()), files))
    write(source / "00/broken.jpg", b"no image")

    proxy.faults = True
    archive = tools.Archive(f"s3://archive/images{where}", f"s3://archive/dest{where}", ("--workers", "2", "--shard", "200"))
    run = archive.start("--allow-failed", "0.01")
    tools.wait_for(lambda: proxy.said["GET"] > COUNT // 3, run, 500)
    run.kill()  # the driver, in the middle
    run.wait()
    said = archive.run("--allow-failed", "0.01")
    assert f"{COUNT + 1} images to do" not in said, said
    proxy.faults = False

    rows = archive.rows()
    assert [row["uri"] for row in rows] == sorted({row["uri"] for row in rows}) and len(rows) == COUNT + 1
    summary = archive.summary()
    assert (summary["images"], summary["failed"], summary["errors"]) == (COUNT + 1, 1, {"unreadable": 1})
    digests = {path.name: sha256(path.read_bytes()).hexdigest() for path in files}
    assert all(row["sha256"] == digests[_name(row)] and row["mask"] for row in rows if _name(row) in digests)
    assert proxy.said["failed"] > COUNT // 100 and proxy.said["slow"] > COUNT // 500, proxy.said
    assert read_bytes(place(f"s3://archive/dest/label_next/manifest.csv{where}")).count(b"\n") == 25
    print(f"requests: {dict(proxy.said)}")


def _name(row: dict[str, Any]) -> str:
    return row["uri"].partition("?")[0].rpartition("/")[2]
