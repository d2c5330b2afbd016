"""Segment an archive on Ray Data: `python -m skyedge.batch SOURCE --model NAME --out DEST`."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from edge_runtime.errors import InputError
from edge_runtime.files import fcntl
from edge_runtime.images.dataset import tell_skipped
from edge_runtime.masks.presence import check_min_sky
from edge_runtime.segmenter import load_models
from skyedge.batch.results import MOST_LOWEST, SCHEMA_VERSION, SUMMARY_FILE, Manifest, Summary, timeline, total
from skyedge.batch.single import Settings

if TYPE_CHECKING:
    from skyedge.batch.shards import Planned
    from skyedge.batch.storage import Place

RUN_FILE, LOCK_FILE = "run.json", ".lock"
MOST_SHARD = 100_000


@dataclass(frozen=True)
class Batch:
    """Write the sky masks and a record of every image of an archive; run it again to go on where it ended."""

    source: Annotated[str, tyro.conf.Positional]
    """Folder, glob, Parquet or CSV list of paths or URIs; on a disk, or s3://, gs://, file://."""
    model: tyro.conf.UseAppendAction[tuple[str, ...]]
    """Released network such as unet_lite_s, or artifact folder that every machine has. Given several times: averaged."""
    out: str
    """DEST, a folder or URI: shards/*.parquet with a record for each image, manifests/, summary.json."""
    masks: Literal["parquet", "png"] = "parquet"
    """Where the masks go: PNG bytes in the shards, or files in DEST/masks/."""
    columns: tuple[str, ...] = ()
    """Columns of the list that are carried into the records."""
    uri_column: str | None = None
    """Column of the list with the images. Default: uri, url, path, image or file."""
    workers: int = 0
    """Actors, each with one interpreter of 1 thread; 0 = one for each CPU, or with cuda for each GPU, of the cluster."""
    shard: int = 256
    """Images of a shard, about: what is lost at most when a worker dies, and the step of the progress."""
    address: str | None = None
    """Ray cluster, e.g. auto, HOST:PORT. Default: RAY_ADDRESS, else one on this machine for this run."""
    device: Literal["cpu", "cuda"] = "cpu"
    """cuda gives each actor a GPU; for artifacts of format torch."""
    min_sky: float | None = None
    """Smallest share of the image, 0 to 1, that counts as sky."""
    fast_decode: bool = False
    """Decode large JPEGs at a reduced size: faster, and masks differ a little."""
    time_limit: float = 120.0
    """Seconds for one image; what takes longer is recorded as an error."""
    memory_limit: int = 3072
    """MiB for the process that segments; an image that needs more is recorded as an error. 0 = no limit."""
    allow_failed: float = 0.0
    """Share of the images, 0 to 1, that may fail before the run ends with exit code 2. They are in the records anyway."""
    label_next: int = 24
    """Images of lowest confidence that are copied with their masks to DEST/label_next/, to correct them and train on."""
    replace: bool = False
    """Go on in a DEST of another SOURCE, model or options; its records are replaced."""


def main(config: Batch) -> None:
    """Plan the shards, do those that are not done, and write the summary."""
    check(config)
    from skyedge.batch import shards
    from skyedge.batch.sources import images
    from skyedge.batch.storage import place

    start = time.monotonic()
    segmenter = load_models(config.model, 1, "cpu")
    models = [artifact.sha256 for artifact in segmenter.artifacts]
    settings = _settings(config, "+".join(models))
    decides = json.dumps({"version": SCHEMA_VERSION, "models": models, **_options(config)})
    del segmenter
    dest = place(config.out)
    _check_dest(dest)
    with _lock(dest):
        skipped: list[str] = []
        batches = images(_absolute(config.source), config.columns, config.uri_column, skipped)
        _claim(dest, config, decides)
        done = shards.finished(dest)
        kept: list[Manifest] = []

        def to_do() -> Iterator[tuple[str, Any]]:
            for shard in shards.cut(batches, config.shard):
                id = shards.shard_id(shard, decides)
                if id in done:
                    kept.append(done.pop(id))
                else:
                    yield id, shard

        planned = shards.write_plan(to_do(), dest, secrets.token_hex(4))
        tell_skipped(skipped)
        if not planned and not kept:
            raise InputError(f"got no image in {config.source}, expected at least one")
        _say(f"{sum(each.images for each in planned)} images to do, {sum(each.images for each in kept)} done before")
        made, workers = _run(config, planned, dest, settings)
        _finish(config, dest, kept, made, workers, time.monotonic() - start, settings.model_sha256)


def check(config: Batch) -> None:
    """Raise `InputError` for values out of range, and where Ray is missing."""
    missing = [name for name in ("ray", "pyarrow") if importlib.util.find_spec(name) is None]
    if missing:
        got = " and no ".join(missing)
        raise InputError(f"got no {got}, which skyedge.batch runs on; install the extra: pip install 'skyedge[batch]'")
    if not 1 <= config.shard <= MOST_SHARD:
        raise InputError(f"got --shard {config.shard}, expected 1 to {MOST_SHARD}; the default is good for most archives")
    if config.workers < 0:
        raise InputError(f"got --workers {config.workers}, expected 0 (one for each CPU) or more")
    if config.time_limit <= 0 or config.memory_limit < 0:
        raise InputError(f"got --time-limit {config.time_limit} and --memory-limit {config.memory_limit}, expected positive ones")
    if not 0 <= config.allow_failed <= 1:
        raise InputError(f"got --allow-failed {config.allow_failed}, expected a share of the images, 0 to 1")
    if not 0 <= config.label_next <= MOST_LOWEST:
        raise InputError(f"got --label-next {config.label_next}, expected 0 to {MOST_LOWEST}")
    check_min_sky(config.min_sky)
    from skyedge.batch.worker import RESERVED

    if taken := sorted(set(config.columns) & RESERVED):
        raise InputError(f"got --columns {', '.join(taken)}, which the records have already; rename them in the list")


def _options(config: Batch) -> dict[str, Any]:
    return {"masks": config.masks, "min_sky": config.min_sky, "fast_decode": config.fast_decode, "columns": config.columns}


def _settings(config: Batch, model_sha256: str) -> Settings:
    limit = 0 if config.device == "cuda" else config.memory_limit  # CUDA reserves far more than it takes
    models = tuple(os.path.abspath(model) if Path(model).exists() else model for model in config.model)
    return Settings(models, model_sha256, config.device, config.min_sky, config.fast_decode, config.time_limit, limit)


def _absolute(source: str) -> str:
    return source if "://" in source else os.path.abspath(source)


def _check_dest(dest: Place) -> None:
    """Raise `InputError` where DEST is a file, or holds files of something else."""
    from skyedge.batch.storage import kind_of, listed

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
            raise InputError(f"got --out {dest.local}, in which another run is at work; wait for its end") from error
        yield


def _claim(dest: Place, config: Batch, decides: str) -> None:
    """Write who DEST belongs to; raises `InputError` where it belongs to another run or to none of ours."""
    from skyedge.batch.storage import read_bytes, write

    ours = json.dumps({"source": _absolute(config.source), "decides": json.loads(decides)}, indent=1)
    try:
        before = read_bytes(dest / RUN_FILE).decode()
    except InputError:
        before = None
    if before is not None and before != ours and not config.replace:
        raise InputError(
            f"got --out {dest.uri}, which holds the records of another SOURCE, model or options ({RUN_FILE} tells), expected a "
            "new folder or the same ones; choose another name, or replace them with --replace"
        )
    write(dest / RUN_FILE, ours.encode())


def _run(config: Batch, planned: list[Planned], dest: Place, settings: Settings) -> tuple[list[tuple[float, Manifest]], int]:
    """Do the planned shards; returns (seconds since the start, manifest) of each, and the number of workers."""
    if not planned:
        return [], 0
    from skyedge.batch.cluster import run_shards
    from skyedge.batch.worker import Task

    task = Task(dest.uri, settings, config.masks, source_root(_absolute(config.source)))
    return run_shards(planned, task, config.workers, config.address, config.device)


def source_root(source: str) -> str:
    """Return the part of the URIs of SOURCE that all masks leave out of their path: the folder, up to a glob's first *."""
    from skyedge.batch.sources import LIST_SUFFIXES, WILD

    bare = source.partition("?")[0] if "://" in source else source
    if (wild := WILD.search(bare)) is not None:
        return bare[: bare.rfind("/", 0, wild.start()) + 1]
    if Path(bare).suffix.lower() in LIST_SUFFIXES:
        return bare[: bare.rfind("/") + 1]
    return bare.rstrip("/") + "/"


def _finish(
    config: Batch,
    dest: Place,
    kept: list[Manifest],
    made: list[tuple[float, Manifest]],
    workers: int,
    seconds: float,
    model_sha256: str,
) -> None:
    from skyedge.batch import shards
    from skyedge.batch.label import copy_lowest
    from skyedge.batch.storage import listed, write

    manifests = [*kept, *(manifest for _, manifest in made)]
    found = listed(dest / shards.SHARDS)
    if lost := [each.id for each in manifests if found.get(each.file) != each.bytes]:
        raise InputError(f"{len(lost)} shards are not in {dest.uri} as they were written, such as {lost[0]}; run it again")
    totals = total(manifests)
    new_images = sum(manifest.images for _, manifest in made)
    spent = max((at for at, _ in made), default=0.0)
    summary = Summary(
        schema_version=SCHEMA_VERSION,
        source=config.source,
        model=" ".join(config.model),
        model_sha256=model_sha256,
        workers=workers,
        shards=totals.shards,
        images=totals.images,
        failed=totals.failed,
        errors=totals.errors,
        retried=totals.retried,
        new_images=new_images,
        seconds=round(spent, 2),
        stage_seconds=totals.stage_seconds,
        sky_shares=totals.sky_shares,
        timeline=timeline(made, spent),
        lowest=totals.lowest,
    )
    copy_lowest(dest, {each.id: each for each in manifests}, totals.lowest[: config.label_next])
    write(dest / SUMMARY_FILE, shards.to_json(summary).encode())
    shards.clean(dest, manifests)
    shards.remove_plan(dest)
    rate = f"{new_images / spent:.1f} a second, " if spent else ""
    done = f"{totals.images} images in {totals.shards} shards, {totals.failed} failed"
    print(f"{done}; {new_images} new, {rate}{seconds:.1f} s: {dest.uri}")
    if totals.failed > config.allow_failed * totals.images:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(totals.errors.items()))
        raise InputError(
            f"{totals.failed} of {totals.images} images failed ({kinds}); the column `error` of the records says why, all others "
            "are done. --allow-failed SHARE accepts some"
        )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
