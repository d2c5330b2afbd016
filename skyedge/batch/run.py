"""Segment an archive: `python -m skyedge.batch SOURCE --model NAME --out DEST`."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from edge_runtime.cores import usable_cores
from edge_runtime.errors import InputError
from edge_runtime.files import fcntl, remove_stale
from edge_runtime.images.dataset import report_skipped
from edge_runtime.masks.presence import check_min_sky
from edge_runtime.progress import say
from edge_runtime.segmenter import load_models
from skyedge.batch import shards
from skyedge.batch.claims import CLAIMS, NODES
from skyedge.batch.pool import Pool
from skyedge.batch.records import Masks
from skyedge.batch.results import SCHEMA_VERSION, SUMMARY_FILE, Manifest, Summary
from skyedge.batch.shards import Planned
from skyedge.batch.single import Settings
from skyedge.batch.sources import LISTS, WILD, Item, images
from skyedge.batch.storage import Place, kind_of, listed, path_of, place, read_bytes, remove, write
from skyedge.batch.worker import Task

RUN_FILE, LOCK_FILE = "run.json", ".lock"
MOST_SHARD = 100_000
JOIN_WAIT_S = 600.0  # that a machine waits for the plan of the one that it joins


@dataclass(frozen=True)
class Batch:
    """Write the sky masks and a record of every image of an archive; run it again to go on where it ended."""

    source: Annotated[str, tyro.conf.Positional]
    """Folder, glob, webdataset .tar, or list (.csv, .jsonl) of paths and URIs; on a disk, or s3://, gs://, file://."""
    model: tyro.conf.UseAppendAction[tuple[str, ...]]
    """Released network such as unet_lite_s, or artifact folder that every machine has. Given several times: averaged."""
    out: str
    """DEST, a folder or URI: shards/ with a record for each image, manifests/, summary.json."""
    masks: Masks = "png"
    """png: files in DEST/masks/, records as JSON lines; tar: both in webdataset tars."""
    workers: int = 0
    """Processes, each with one interpreter of 1 thread; 0 = one for each core, or with cuda for each GPU, of this machine."""
    join: bool = False
    """Help the run that another machine, which shares DEST, began with the same command without --join."""
    shard: int = 256
    """Images of a shard, about: what is lost at most when a machine dies."""
    device: Literal["cpu", "cuda"] = "cpu"
    """cuda gives each worker a GPU; for artifacts of format torch."""
    min_sky: float | None = None
    """Smallest share of the image, 0 to 1, that counts as sky."""
    full_size: bool = False
    """Write masks of the images' own size, not the network's map, which takes a fifteenth of the bytes at 2 megapixels."""
    exact: bool = False
    """Decode large JPEGs in full, not at a reduced size that still exceeds the network's input."""
    time_limit: float = 120.0
    """Seconds for one image; what takes longer is recorded as an error."""
    memory_limit: int = 3072
    """MiB for the process that segments; an image that needs more is recorded as an error. 0 = no limit."""
    allow_failed: float = 0.0
    """Share of the images, 0 to 1, that may fail before the run ends with exit code 2. They are in the records anyway."""
    replace: bool = False
    """Go on in a DEST of another SOURCE, model or options; its records are replaced."""


def main(config: Batch) -> None:
    """Plan the shards, do those that are not done, and write the summary."""
    check(config)
    start = time.monotonic()
    models = [artifact.sha256 for artifact in load_models(config.model, 1, "cpu", check=True).artifacts]
    source = os.path.abspath(path) if "://" not in (path := path_of(config.source)) else path
    options = {name: getattr(config, name) for name in ("masks", "min_sky", "full_size", "exact")}
    decides = json.dumps({"version": SCHEMA_VERSION, "models": models, **options})
    belongs = json.dumps({"source": source, "decides": json.loads(decides)}, indent=1)
    dest = place(config.out)
    task = Task(dest.uri, _settings(config, "+".join(models)), config.masks, source_root(source))
    if config.join:
        return _join(config, dest, belongs, task)
    _check_dest(dest)
    with _lock(dest):
        skipped: list[str] = []
        items = images(source, skipped)
        _check_owner(dest, belongs, config.replace)
        write(dest / RUN_FILE, belongs.encode())
        _clear(dest)
        done = shards.finished(dest)
        kept: list[Manifest] = []

        def to_do() -> Iterator[tuple[str, list[Item]]]:
            for shard in shards.cut(items, config.shard):
                id = shards.shard_id(shard, decides)
                if id in done:
                    kept.append(done.pop(id))
                else:
                    yield id, shard

        planned = shards.write_plan(to_do(), dest)
        report_skipped(skipped)
        if not planned and not kept:
            raise InputError(f"got no image in {config.source}, expected at least one")
        say(f"{sum(each.images for each in planned)} images to do, {sum(each.images for each in kept)} done before")
        made = _run(config, planned, task)
        own = {each.id for each in made}
        made += [each for shard in planned if shard.id not in own and (each := shards.read_manifest(dest, shard.id))]
        _finish(config, dest, kept, made, task.settings.model_sha256, time.monotonic() - start)


def check(config: Batch) -> None:
    """Raise `InputError` for values out of range."""
    if not 1 <= config.shard <= MOST_SHARD:
        raise InputError(f"got --shard {config.shard}, expected 1 to {MOST_SHARD}; the default is good for most archives")
    if config.workers < 0:
        raise InputError(f"got --workers {config.workers}, expected 0 (one for each core) or more")
    if config.time_limit <= 0 or config.memory_limit < 0:
        raise InputError(f"got --time-limit {config.time_limit} and --memory-limit {config.memory_limit}, expected positive ones")
    if not 0 <= config.allow_failed <= 1:
        raise InputError(f"got --allow-failed {config.allow_failed}, expected a share of the images, 0 to 1")
    check_min_sky(config.min_sky)


def _settings(config: Batch, model_sha256: str) -> Settings:
    limit = 0 if config.device == "cuda" else config.memory_limit  # CUDA reserves far more than it takes
    models = tuple(os.path.abspath(model) if Path(model).exists() else model for model in config.model)
    options = (config.min_sky, not config.full_size, config.exact)
    return Settings(models, model_sha256, config.device, *options, config.time_limit, limit)


def _run(config: Batch, planned: Sequence[Planned], task: Task, first: int = 0) -> list[Manifest]:
    """Do the planned shards on this machine; returns the manifests of those that it did."""
    if not planned:
        return []
    if config.device == "cuda":
        import torch

        task = replace(task, gpus=torch.cuda.device_count())
        if not task.gpus:
            raise InputError("got --device cuda on a machine without a GPU that torch can use; take another device")
    count = config.workers or task.gpus or usable_cores()
    return Pool(planned, task, min(count, len(planned)), first).run()


def _join(config: Batch, dest: Place, belongs: str, task: Task) -> None:
    """Do shards of the run that another machine planned, until all are done."""
    end = time.monotonic() + JOIN_WAIT_S
    while (planned := shards.read_plan(dest)) is None:
        if time.monotonic() > end:
            raise InputError(f"got --join, and no run at work in {dest.uri}; start one with the same command without --join")
        time.sleep(1.0)
    _check_owner(dest, belongs, replace=False)
    made = _run(config, planned, task, secrets.randbelow(max(1, len(planned))))
    print(f"{sum(each.images for each in made)} images in {len(made)} shards done on this machine: {dest.uri}")


def _check_dest(dest: Place) -> None:
    """Raise `InputError` where DEST is a file, or holds files of something else."""
    if kind_of(dest) == "file":
        raise InputError(f"got --out {dest.uri}, which is a file, expected a folder; choose another name")
    if (names := listed(dest)) and RUN_FILE not in names:
        raise InputError(f"got --out {dest.uri}, which holds other files; choose the name of a new folder")


@contextlib.contextmanager
def _lock(dest: Place) -> Iterator[None]:
    """Hold a local DEST for this run, so that two runs do not clean up after each other."""
    if fcntl is None or dest.local is None:
        yield
        return
    dest.local.mkdir(parents=True, exist_ok=True)
    with (dest.local / LOCK_FILE).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            got = f"got --out {dest.local}, in which another run is at work"
            raise InputError(f"{got}; wait for its end, or help it from another machine with --join") from error
        yield


def _check_owner(dest: Place, belongs: str, replace: bool) -> None:
    """Raise `InputError` where DEST belongs to another run."""
    try:
        before = read_bytes(dest / RUN_FILE).decode()
    except InputError:
        return
    if before != belongs and not replace:
        raise InputError(
            f"got --out {dest.uri}, which holds the records of another SOURCE, model or options ({RUN_FILE} tells), expected a "
            "new folder or the same ones; choose another name, or replace them with --replace"
        )


def _clear(dest: Place) -> None:
    """Remove plan, claims and heartbeats of a run, and the partial files of machines that were lost."""
    if dest.local is not None and listed(dest / NODES):
        for path, _, _ in os.walk(dest.local):
            remove_stale(Path(path))
    for folder in (shards.PLAN, CLAIMS, NODES):
        for name in listed(dest / folder):
            remove(dest / folder / name)


def source_root(source: str) -> str:
    """Return the part of the URIs of SOURCE that all masks leave out of their path: the folder, up to a glob's first *."""
    if (wild := WILD.search(source)) is not None:
        return source[: source.rfind("/", 0, wild.start()) + 1]
    if source.lower().endswith((*LISTS, ".tar")):
        return source[: source.rfind("/") + 1]
    return source.rstrip("/") + "/"


def _finish(config: Batch, dest: Place, kept: list[Manifest], made: list[Manifest], model_sha256: str, seconds: float) -> None:
    manifests = [*kept, *made]
    found = listed(dest / shards.SHARDS)
    if lost := [each.id for each in manifests if found.get(each.file) != each.bytes]:
        raise InputError(f"{len(lost)} shards are not in {dest.uri} as they were written, such as {lost[0]}; run it again")
    errors = sum((Counter(each.errors) for each in manifests), Counter[str]())
    new_images = sum(manifest.images for manifest in made)
    began = min((each.started for each in made), default=0.0)
    spent = max((each.started + each.seconds - began for each in made), default=0.0)
    summary = Summary(
        schema_version=SCHEMA_VERSION,
        source=config.source,
        model=" ".join(config.model),
        model_sha256=model_sha256,
        workers=len({each.worker for each in made}),
        shards=len(manifests),
        images=sum(each.images for each in manifests),
        failed=errors.total(),
        errors=dict(errors),
        retried=sum(each.retried for each in manifests),
        new_images=new_images,
        seconds=round(spent, 2),
    )
    write(dest / SUMMARY_FILE, shards.to_json(summary).encode())
    shards.clean(dest, manifests)
    _clear(dest)
    rate = f"{new_images / spent:.1f} a second, " if spent else ""
    done = f"{summary.images} images in {summary.shards} shards, {summary.failed} failed"
    print(f"{done}; {new_images} new, {rate}{seconds:.1f} s: {dest.uri}")
    if summary.failed > config.allow_failed * summary.images:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(summary.errors.items()))
        raise InputError(
            f"{summary.failed} of {summary.images} images failed ({kinds}); the field `error` of the records says why, all "
            "others are done. --allow-failed SHARE accepts some"
        )
