"""Shards: cut from the stream of images, named by their content, planned in files, committed by manifests.

A boundary depends on the URI before it, not on a count from the start: an image that SOURCE gains or loses changes the
shard that it is in and leaves the others finished (as in content-defined chunking).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from edge_runtime.errors import InputError
from edge_runtime.progress import say
from edge_runtime.records import build, parse_json
from skyedge.batch.results import Manifest
from skyedge.batch.sources import Item
from skyedge.batch.storage import Place, listed, read_bytes, remove, write

SHARDS, MANIFESTS, PLAN = "shards", "manifests", "plan"
PLAN_FILE = "shards.json"  # in plan/; written last
ID_DIGITS = 16
READERS = 16  # manifests that are read at once


@dataclass(frozen=True)
class Planned:
    """A shard to do; plan/ID.jsonl lists its images."""

    id: str
    images: int


def cut(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the images in shards of about `size`: at least half, at most twice of it, but for the last."""
    least, most, every = max(1, size // 2), 2 * size, max(1, size // 2)
    held: list[Item] = []
    for item in items:
        held.append(item)
        if len(held) >= most or (len(held) >= least and zlib.crc32(item.uri.encode(errors="surrogatepass")) % every == 0):
            yield held
            held = []
    if held:
        yield held


def shard_id(shard: Iterable[Item], decides: str) -> str:
    """Return what names a shard: a digest of `decides` (model and options) and of every image."""
    digest = hashlib.sha256(decides.encode())
    for item in shard:
        digest.update(json.dumps([item.uri, item.identity]).encode())
    return digest.hexdigest()[:ID_DIGITS]


def write_plan(shards: Iterable[tuple[str, list[Item]]], dest: Place) -> list[Planned]:
    """Write the images of the shards to plan/, one line of JSON an image, and last what there is to do."""
    planned: list[Planned] = []
    for id, shard in shards:
        lines = (json.dumps(dataclasses.astuple(item)) for item in shard)
        write(dest / PLAN / f"{id}.jsonl", "\n".join(lines).encode())
        planned.append(Planned(id, len(shard)))
    write(dest / PLAN / PLAN_FILE, json.dumps([dataclasses.astuple(each) for each in planned]).encode())
    return planned


def read_plan(dest: Place) -> list[Planned] | None:
    """Return the shards of the run that is at work in DEST, None where there is none."""
    try:
        return [Planned(*each) for each in json.loads(read_bytes(dest / PLAN / PLAN_FILE))]
    except (InputError, ValueError, TypeError):
        return None


def read_planned(dest: Place, planned: Planned) -> list[Item]:
    """Return the images of a planned shard."""
    return [Item(*json.loads(line)) for line in read_bytes(dest / PLAN / f"{planned.id}.jsonl").splitlines()]


def commit(dest: Place, manifest: Manifest) -> None:
    """Make a shard count, in one step."""
    write(dest / MANIFESTS / f"{manifest.id}.json", to_json(manifest).encode())


def to_json(value: Any) -> str:
    """Return a dataclass as JSON."""
    return json.dumps(dataclasses.asdict(value), allow_nan=False)


def read_manifest(dest: Place, id: str) -> Manifest | None:
    """Return the manifest of a shard; None where there is none, or one that is damaged: then the shard is to do again."""
    where = dest / MANIFESTS / f"{id}.json"
    try:
        content = read_bytes(where)
    except InputError:
        return None
    try:
        return build(Manifest, parse_json(content.decode(), "the manifest of a shard"))
    except ValueError as error:
        say(f"{where.uri} is damaged, its shard is done again: {error}")
        return None


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
