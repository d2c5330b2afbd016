"""What one worker of a run does: reads ahead, has each image of a shard segmented, and commits the shard's records."""

from __future__ import annotations

import hashlib
import os
import platform
import secrets
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from edge_runtime.errors import InputError
from skyedge.batch.records import SUFFIX, Masks, Row, write_rows
from skyedge.batch.results import SCHEMA_VERSION, Manifest
from skyedge.batch.shards import SHARDS, Planned, commit, read_planned
from skyedge.batch.single import Answer, Process, Settings, failed
from skyedge.batch.sources import Item, content_of
from skyedge.batch.storage import StoreError, place, upload_file, write

MASKS = "masks"
READERS, AHEAD = 4, 8  # threads that read images; images that wait, read


@dataclass(frozen=True)
class Task:
    """What all workers do alike; `root` is the part of the URIs that the paths of PNG files leave out, `gpus` are shared out."""

    dest: str
    settings: Settings
    masks: Masks
    root: str
    gpus: int = 0


class Worker:
    """A process that segments, and the threads that feed it; `count` is called for each image with its kind of error or None."""

    def __init__(self, task: Task, number: int, count: Callable[[str | None], None]) -> None:
        self._task, self._number, self._count = task, number, count
        self._dest = place(task.dest)
        self._process = Process(task.settings, number % task.gpus if task.gpus else None)
        self._readers = ThreadPoolExecutor(READERS)

    def close(self) -> None:
        """End the process and the threads."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        self._process.close()

    def do(self, planned: Planned) -> Manifest:
        """Do a shard and commit it. Raises `InputError` and `OSError` for what every shard would meet, such as a full disk."""
        started, answers = time.time(), list[Answer]()
        name = f"{planned.id}-{secrets.token_hex(4)}{SUFFIX[self._task.masks]}"  # of this try: two that write do not meet
        shard = read_planned(self._dest, planned)
        with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
            local = Path(folder) / name
            write_rows(local, self._rows(shard, answers))
            upload_file(local, self._dest / SHARDS / name)
            with local.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            size = local.stat().st_size
        errors = Counter(answer.kind for answer in answers if answer.kind is not None)
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            id=planned.id,
            file=name,
            sha256=sha256,
            bytes=size,
            images=len(answers),
            failed=errors.total(),
            errors=dict(errors),
            retried=sum(answer.retried for answer in answers),
            started=round(started, 3),
            seconds=round(time.time() - started, 3),
            worker=f"{platform.node()}:{os.getpid()}:{self._number}",
        )
        commit(self._dest, manifest)
        return manifest

    def _rows(self, shard: list[Item], answers: list[Answer]) -> Iterator[Row]:
        """Yield the records, and leave what they say, without the masks, in `answers`."""
        items = iter(shard)
        reading: deque[tuple[Item, Future[bytes | Answer]]] = deque()
        for _ in shard:
            while len(reading) < AHEAD and (item := next(items, None)) is not None:
                reading.append((item, self._readers.submit(_read, item)))
            item, future = reading.popleft()
            content = future.result()
            at = time.perf_counter()
            answer = content if isinstance(content, Answer) else self._process.segment(content)
            uri = printable(item.uri)
            record: Row = dict.fromkeys(("width", "height", "sky_share", "confidence", "horizon")) | answer.record
            record |= {
                "sha256": hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None,
                "model_sha256": self._task.settings.model_sha256,
                "seconds": round(time.perf_counter() - at, 4),
                "error": answer.error,
                "error_kind": answer.kind,
            }
            yield {"uri": uri} | record | self._keep_mask(uri, answer.mask)
            answers.append(replace(answer, mask=None))
            self._count(answer.kind)

    def _keep_mask(self, uri: str, mask: bytes | None) -> Row:
        if self._task.masks != "png":
            return {"mask": mask}
        if mask is None:
            return {"mask_path": None}
        path = f"{MASKS}/{mask_path(uri, self._task.root)}"
        write(self._dest / path, mask)
        return {"mask_path": path}


def printable(uri: str) -> str:
    """Return a URI for a record: bytes of a file name that are not UTF-8 are written out as escapes."""
    return uri.encode(errors="surrogateescape").decode(errors="backslashreplace")


def mask_path(uri: str, root: str) -> str:
    """Return where below masks/ the mask of an image lies: its URI below `root`, else all of it, with .png added."""
    rest = uri.removeprefix(root)
    parts = [part for part in rest.rpartition("://")[2].replace("#", "/").split("/") if part not in ("", ".", "..")]
    return "/".join(parts) + ".png"


def _read(item: Item) -> bytes | Answer:
    """Return the bytes of an image, or why there are none."""
    try:
        return content_of(item)
    except InputError as error:
        return failed(str(error), "missing")
    except OSError as error:
        return failed(str(error), "store" if isinstance(error, StoreError) else "unreadable")
