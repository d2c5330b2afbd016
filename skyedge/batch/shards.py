"""Shards: cut from the stream of images, named by their content, planned in files, committed by manifests.

A boundary depends on the URI before it, not on a count from the start: an image that SOURCE gains or loses changes the
shard that it is in and leaves the others finished (as in content-defined chunking).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tempfile
import zlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from edge_runtime.errors import InputError
from edge_runtime.records import build, parse_json
from skyedge.batch.results import Manifest
from skyedge.batch.storage import Place, listed, read_bytes, remove, upload_file, write

SHARDS, MANIFESTS, PLAN = "shards", "manifests", "plan"
ID_DIGITS = 16
SHARDS_OF_A_PLAN_FILE = 64
READERS = 16  # manifests that are read at once


@dataclass(frozen=True)
class Planned:
    """A shard to do: row group `group` of the plan's file `file` lists its images."""

    id: str
    file: str
    group: int
    images: int


def cut(batches: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Yield the images in shards of about `size`: at least half, at most twice of it, but for the last."""
    least, most, every = max(1, size // 2), 2 * size, max(1, size // 2)
    held: list[pa.Table] = []
    count = 0
    for batch in batches:
        start = 0
        for index, uri in enumerate(batch.column("uri").to_pylist()):
            count += 1
            if count >= most or (count >= least and zlib.crc32(uri.encode(errors="surrogatepass")) % every == 0):
                yield pa.concat_tables([*held, batch.slice(start, index + 1 - start)])
                held, start, count = [], index + 1, 0
        held.append(batch.slice(start))
    if count:
        yield pa.concat_tables(held)


def shard_id(shard: pa.Table, decides: str) -> str:
    """Return what names a shard: a digest of `decides` (model and options) and of every row."""
    digest = hashlib.sha256(decides.encode())
    columns = [shard.column(name).to_pylist() for name in shard.column_names]
    for row in zip(*columns, strict=True):
        digest.update(json.dumps(row, default=str).encode())
    return digest.hexdigest()[:ID_DIGITS]


def write_plan(shards: Iterable[tuple[str, pa.Table]], dest: Place, token: str) -> list[Planned]:
    """Write the images of the shards to plan/ files, one row group a shard; only one shard is in memory."""
    planned: list[Planned] = []
    waiting = iter(shards)
    with tempfile.TemporaryDirectory() as folder:
        while first := next(waiting, None):
            name = f"{token}-{len(planned) // SHARDS_OF_A_PLAN_FILE:06d}.parquet"
            local = Path(folder) / name
            with parquet.ParquetWriter(local, first[1].schema) as writer:
                for group, (id, shard) in enumerate(_first_of(first, waiting)):
                    writer.write_table(shard, row_group_size=len(shard))
                    planned.append(Planned(id, name, group, len(shard)))
            upload_file(local, dest / PLAN / name)
            local.unlink()
    return planned


def _first_of(first: tuple[str, pa.Table], rest: Iterator[tuple[str, pa.Table]]) -> Iterator[tuple[str, pa.Table]]:
    yield first
    for _, item in zip(range(SHARDS_OF_A_PLAN_FILE - 1), rest, strict=False):
        yield item


def read_planned(dest: Place, planned: Planned) -> pa.Table:
    """Return the images of a planned shard."""
    where = dest / PLAN / planned.file
    with parquet.ParquetFile(where.filesystem.open_input_file(where.path)) as file:
        return file.read_row_group(planned.group)


def remove_plan(dest: Place) -> None:
    """Remove the plan's files, of earlier runs too."""
    for name in listed(dest / PLAN):
        remove(dest / PLAN / name)


def commit(dest: Place, manifest: Manifest) -> None:
    """Make a shard count, in one step."""
    write(dest / MANIFESTS / f"{manifest.id}.json", to_json(manifest).encode())


def to_json(value: Any) -> str:
    """Return a dataclass as JSON."""
    return json.dumps(dataclasses.asdict(value), ensure_ascii=False, allow_nan=False)


def read_manifest(dest: Place, id: str) -> Manifest | None:
    """Return the manifest of a shard; None where there is none."""
    where = dest / MANIFESTS / f"{id}.json"
    try:
        text = read_bytes(where).decode()
    except InputError:
        return None
    return build(Manifest, parse_json(text, f"the manifest {where.uri}"))


def finished(dest: Place) -> dict[str, Manifest]:
    """Return the manifests whose shard file is there with the size that they say, by id."""
    sizes = listed(dest / SHARDS)
    ids = [name.removesuffix(".json") for name in sorted(listed(dest / MANIFESTS)) if name.endswith(".json")]
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda id: read_manifest(dest, id), ids)
    return {each.id: each for each in found if each is not None and sizes.get(each.file) == each.bytes}


def clean(dest: Place, keep: Collection[Manifest]) -> int:
    """Remove all shard files and manifests but those of `keep`: half-written, doubled, or of images that are gone."""
    wanted = {f"{each.id}.json" for each in keep} | {each.file for each in keep}
    gone = [dest / folder / name for folder in (MANIFESTS, SHARDS) for name in listed(dest / folder) if name not in wanted]
    for each in gone:
        remove(each)
    return len(gone)
