"""What one actor of the pool does: takes shards, reads ahead, has each image segmented, and commits the shard's records."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import os
import platform
import secrets
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from edge_runtime.errors import InputError
from skyedge.batch.results import BINS, LOWEST_OF_SHARD, SCHEMA_VERSION, STAGES, Low, Manifest
from skyedge.batch.shards import SHARDS, Planned, commit, read_manifest, read_planned, to_json
from skyedge.batch.single import Answer, Process, Settings
from skyedge.batch.storage import StoreError, place, read_bytes, sha256_of, upload_file, write

MASKS = "masks"
ROW_GROUP = 32  # records in memory before they are written
READERS, AHEAD = 4, 8  # threads that read images; images that wait, read
RECORD_FIELDS = (
    ("sha256", pa.string()),
    ("width", pa.int32()),
    ("height", pa.int32()),
    ("sky_share", pa.float32()),
    ("confidence", pa.float32()),
    ("horizon", pa.float32()),
    ("model_sha256", pa.string()),
    ("seconds", pa.float32()),
    ("error", pa.string()),
    ("error_kind", pa.string()),
)
MASK_FIELD = {"parquet": ("mask", pa.binary()), "png": ("mask_path", pa.string())}
RESERVED = frozenset(name for name, _ in (*RECORD_FIELDS, *MASK_FIELD.values())) | {"uri", "identity"}


@dataclass(frozen=True)
class Task:
    """What all actors do alike; `masks` is `parquet` or `png`, `root` the part of the URIs that paths of masks leave out."""

    dest: str
    settings: Settings
    masks: str
    root: str


@dataclass
class _Tally:
    """What a manifest adds up."""

    images: int = 0
    failed: int = 0
    retried: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    shares: list[int] = field(default_factory=lambda: [0] * BINS)
    lowest: list[Low] = field(default_factory=list)


class Worker:
    """An actor of Ray Data: rows of planned shards in, rows with their manifests out."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._dest = place(task.dest)
        self._process = Process(task.settings)
        self._readers = ThreadPoolExecutor(READERS)

    def __call__(self, batch: dict[str, Any]) -> Iterator[dict[str, list[str]]]:
        """Do the shards of a batch. What every shard would meet, such as a full disk, is returned as `fatal`."""
        for row in zip(*(batch[each.name].tolist() for each in dataclasses.fields(Planned)), strict=True):
            try:
                manifest, fatal = to_json(self.do(Planned(*row))), ""
            except (InputError, OSError) as error:
                full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
                manifest, fatal = "", f"{error}" + "; free some room, then run it again: finished shards are kept" * full
            yield {"manifest": [manifest], "fatal": [fatal]}

    def do(self, planned: Planned) -> Manifest:
        """Do a shard, unless an actor that was lost since has committed it."""
        if done := read_manifest(self._dest, planned.id):
            return done
        started, tally = time.time(), _Tally()
        name = f"{planned.id}-{secrets.token_hex(4)}.parquet"  # of this try: two that write at once do not meet
        shard = read_planned(self._dest, planned).drop_columns(["identity"])
        with tempfile.TemporaryDirectory(prefix="skyedge-") as folder:
            local = Path(folder) / name
            self._write_records(local, shard, planned.id, tally)
            at = time.perf_counter()
            upload_file(local, self._dest / SHARDS / name)
            tally.stages["write"] += time.perf_counter() - at
            sha256, size = sha256_of(local), local.stat().st_size
        manifest = Manifest(
            schema_version=SCHEMA_VERSION,
            id=planned.id,
            file=name,
            sha256=sha256,
            bytes=size,
            images=tally.images,
            failed=tally.failed,
            errors=tally.errors,
            retried=tally.retried,
            started=round(started, 3),
            seconds=round(time.time() - started, 3),
            worker=f"{platform.node()}:{os.getpid()}",
            stage_seconds={stage: round(seconds, 4) for stage, seconds in tally.stages.items()},
            sky_shares=tuple(tally.shares),
            lowest=tuple(sorted(tally.lowest, key=lambda low: (low.confidence, low.uri))[:LOWEST_OF_SHARD]),
        )
        commit(self._dest, manifest)
        return manifest

    def _write_records(self, local: Path, shard: pa.Table, id: str, tally: _Tally) -> None:
        schema = pa.schema([*shard.schema, *RECORD_FIELDS, MASK_FIELD[self._task.masks]])
        with parquet.ParquetWriter(local, schema) as writer:
            rows: list[dict[str, Any]] = []
            for given, record in zip(_rows(shard), self._records(shard, id, tally), strict=True):
                rows.append(given | record)
                if len(rows) == ROW_GROUP:
                    writer.write_table(pa.Table.from_pylist(rows, schema))
                    rows = []
            writer.write_table(pa.Table.from_pylist(rows, schema))

    def _records(self, shard: pa.Table, id: str, tally: _Tally) -> Iterator[dict[str, Any]]:
        uris = iter(shard.column("uri").to_pylist())
        reading: deque[tuple[str, Future[tuple[bytes | Answer, float]]]] = deque()
        for row in range(len(shard)):
            while len(reading) < AHEAD and (uri := next(uris, None)) is not None:
                reading.append((uri, self._readers.submit(_read, uri)))
            uri, future = reading.popleft()
            content, seconds = future.result()
            tally.stages["read"] += seconds
            at = time.perf_counter()
            answer = content if isinstance(content, Answer) else self._process.segment(content)
            record = answer.record | {
                "sha256": hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else None,
                "model_sha256": self._task.settings.model_sha256,
                "error": answer.error,
                "error_kind": answer.kind,
                "seconds": time.perf_counter() - at,
            }
            yield record | self._keep_mask(uri, answer.mask, tally)
            _count(tally, answer, Low(uri, id, row, record.get("confidence", 0.0), record.get("sky_share", 0.0)))

    def _keep_mask(self, uri: str, mask: bytes | None, tally: _Tally) -> dict[str, Any]:
        if self._task.masks == "parquet":
            return {"mask": mask}
        if mask is None:
            return {"mask_path": None}
        at = time.perf_counter()
        path = mask_path(uri, self._task.root)
        write(self._dest / MASKS / path, mask)
        tally.stages["write"] += time.perf_counter() - at
        return {"mask_path": f"{MASKS}/{path}"}


def mask_path(uri: str, root: str) -> str:
    """Return where below masks/ the mask of an image lies: its URI below `root`, else all of it, with .png added."""
    bare = uri.partition("?")[0] if "://" in uri else uri
    parts = [part for part in bare.removeprefix(root).rpartition("://")[2].split("/") if part not in ("", ".", "..")]
    return "/".join(parts) + ".png"


def _rows(shard: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in shard.to_batches(max_chunksize=ROW_GROUP):
        yield from batch.to_pylist()


def _read(uri: str) -> tuple[bytes | Answer, float]:
    """Return the bytes of an image, or why there are none; and the seconds."""
    start = time.perf_counter()
    content: bytes | Answer
    try:
        content = read_bytes(place(uri))
    except InputError as error:
        content = Answer({}, None, {}, str(error), "missing")
    except OSError as error:
        content = Answer({}, None, {}, str(error), "store" if isinstance(error, StoreError) else "unreadable")
    return content, time.perf_counter() - start


def _count(tally: _Tally, answer: Answer, low: Low) -> None:
    tally.images += 1
    tally.retried += answer.retried
    if answer.kind is not None:
        tally.failed += 1
        tally.errors[answer.kind] = tally.errors.get(answer.kind, 0) + 1
        return
    for stage, seconds in answer.stage_seconds.items():
        tally.stages[stage] += seconds
    tally.shares[min(int(low.sky_share * BINS), BINS - 1)] += 1
    tally.lowest.append(low)
