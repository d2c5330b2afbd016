"""Sources, shards and plans; no cluster."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import ray
import yaml
from pyarrow import csv, parquet

from edge_runtime.cli import parse
from edge_runtime.errors import InputError
from skyedge.batch import shards, sources, worker
from skyedge.batch.results import Manifest, timeline
from skyedge.batch.run import Batch
from skyedge.batch.single import Process, Settings
from skyedge.batch.storage import place, read_bytes, with_tries

DEPLOY = Path(worker.__file__).parent / "deploy"


def uris(source: str | Path, *columns: str) -> list[str]:
    return [uri for batch in sources.images(str(source), columns) for uri in batch.column("uri").to_pylist()]


def tree(folder: Path) -> Path:
    for name in ("a.jpg", "b.png", "sub/c.JPG", "sub/deep/d.webp", ".hidden.jpg", "notes.txt", "sub/._c.JPG", "x[1].jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_a_folder_gives_its_images_in_order_with_size_and_time(tmp_path: Path) -> None:
    folder = tree(tmp_path)
    assert uris(folder) == [f"{folder}/{name}" for name in ("a.jpg", "b.png", "sub/c.JPG", "sub/deep/d.webp", "x[1].jpg")]
    (batch,) = sources.images(f"file://{folder}")
    found = os.stat(folder / "a.jpg")
    assert batch.column("identity")[0].as_py() == f"{found.st_size} {found.st_mtime_ns}"


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.jpg", ["a.jpg", "x[1].jpg"]),
        ("**/*.JPG", ["sub/c.JPG"]),
        ("**", ["a.jpg", "b.png", "sub/c.JPG", "sub/deep/d.webp", "x[1].jpg"]),
        ("s*/*", ["sub/c.JPG"]),
        ("[ab].*", ["a.jpg", "b.png"]),
        ("[!a].png", ["b.png"]),
        ("*/deep/*", ["sub/deep/d.webp"]),
        ("nothing*", []),
    ],
)
def test_globs(glob: str, expected: list[str], tmp_path: Path) -> None:
    folder = tree(tmp_path)
    assert uris(f"{folder}/{glob}") == [f"{folder}/{name}" for name in expected]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_lists_carry_columns_and_count_paths_from_their_folder(kind: str, tmp_path: Path) -> None:
    tree(tmp_path)
    table = pa.table(
        {"lat": [1.5, 2.5, 3.5], "url": ["a.jpg", "s3://bucket/k.jpg", "file://" + str(tmp_path / "gone.jpg")], "id": [7, 8, 9]}
    )
    path = tmp_path / f"list.{kind}"
    (csv.write_csv if kind == "csv" else parquet.write_table)(table, path)
    (batch,) = sources.images(str(path), ("id", "lat"))
    assert batch.column_names == ["uri", "identity", "id", "lat"]
    assert batch.column("uri").to_pylist() == [f"{tmp_path}/a.jpg", "s3://bucket/k.jpg", f"{tmp_path}/gone.jpg"]
    assert batch.column("identity").to_pylist()[1:] == ["", "missing"] and batch.column("lat").to_pylist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    ("content", "columns", "message"),
    [
        ("name,lat\nx,1\n", (), "has no column uri or url or path or image or file, expected columns among name, lat"),
        ("uri,lat\nx,1\n", ("lon",), "has no column lon"),
        ("uri\n1\n", (), "column uri of .* is int64, expected text"),
    ],
)
def test_lists_that_lack_something_are_refused(content: str, columns: tuple[str, ...], message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(InputError, match=message):
        uris(tmp_path / "list.csv", *columns)


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    tree(tmp_path)
    for source, message in (("none", "which does not exist"), ("a.jpg", "for which edge_runtime.segment is made")):
        with pytest.raises(InputError, match=message):
            uris(tmp_path / source)
    with pytest.raises(InputError, match="expected them with a Parquet or CSV list"):
        uris(tmp_path, "lat")
    with pytest.raises(InputError, match="nosuch://"):
        place("nosuch://x/y")


def table(names: list[str]) -> pa.Table:
    return pa.table({"uri": names, "identity": ["1"] * len(names)})


def test_shards_hold_every_image_once_whatever_the_batches(tmp_path: Path) -> None:
    names = [f"/data/{number:06d}.jpg" for number in range(5000)]
    whole = list(shards.cut([table(names)], 100))
    pieces = list(shards.cut((table(names[start : start + 37]) for start in range(0, 5000, 37)), 100))
    assert [each.column("uri").to_pylist() for each in whole] == [each.column("uri").to_pylist() for each in pieces]
    assert [name for each in whole for name in each.column("uri").to_pylist()] == names
    sizes = [len(each) for each in whole]
    assert min(sizes[:-1]) >= 50 and max(sizes) <= 200 and 70 < np.mean(sizes) < 130


def test_a_new_image_changes_few_shards() -> None:
    names = [f"/data/{number:06d}.jpg" for number in range(5000)]
    before = {shards.shard_id(each, "m") for each in shards.cut([table(names)], 100)}
    after = {shards.shard_id(each, "m") for each in shards.cut([table([*names[:2000], "/data/001999b.jpg", *names[2000:]])], 100)}
    assert 1 <= len(before - after) <= 4 and len(after - before) <= 4


def test_a_shard_is_named_by_all_that_decides_it() -> None:
    plain = pa.table({"uri": ["a", "b"], "identity": ["1", "2"], "lat": [0.5, 1.5]})
    names = {
        shards.shard_id(plain, "m"),
        shards.shard_id(plain, "other model"),
        shards.shard_id(plain.set_column(1, "identity", [["1", "3"]]), "m"),
        shards.shard_id(plain.set_column(2, "lat", [[0.5, 2.5]]), "m"),
        shards.shard_id(plain.slice(0, 1), "m"),
    }
    assert len(names) == 5 and shards.shard_id(pa.concat_tables([plain.slice(0, 1), plain.slice(1)]), "m") in names


def test_a_plan_gives_every_shard_back(tmp_path: Path) -> None:
    dest = place(str(tmp_path))
    parts = [table([f"/{shard}/{number}.jpg" for number in range(3)]) for shard in range(150)]
    planned = shards.write_plan(((f"id{index}", part) for index, part in enumerate(parts)), dest, "run")
    assert [each.id for each in planned] == [f"id{index}" for index in range(150)] and len({each.file for each in planned}) == 3
    assert all(shards.read_planned(dest, each).equals(part) for each, part in zip(planned, parts, strict=True))
    shards.remove_plan(dest)
    assert not any(path.is_file() for path in (tmp_path / "plan").iterdir())


def manifest(id: str, file: str, size: int) -> Manifest:
    return Manifest(1, id, file, "0", size, 4, 0, {}, 0, 0.0, 2.0, "w", {}, (0,) * 20, ())


def test_only_a_shard_whose_file_is_whole_is_finished_and_the_rest_is_removed(tmp_path: Path) -> None:
    dest = place(str(tmp_path))
    (tmp_path / "shards").mkdir()
    for name, size in (("a-1.parquet", 5), ("b-1.parquet", 3), ("a-2.parquet", 5)):
        (tmp_path / "shards" / name).write_bytes(b"x" * size)
    good = manifest("a", "a-1.parquet", 5)
    for each in (good, manifest("b", "b-1.parquet", 4), manifest("c", "c-1.parquet", 1)):
        shards.commit(dest, each)
    assert shards.finished(dest) == {"a": good}
    assert shards.clean(dest, [good]) == 4
    assert [path.name for path in sorted((tmp_path / "shards").iterdir())] == ["a-1.parquet"]
    assert shards.finished(dest) == {"a": good}


def test_a_store_is_asked_again_but_not_for_what_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("skyedge.batch.storage.FIRST_WAIT_S", 0.001)
    asked: list[int] = []

    def flaky() -> str:
        asked.append(1)
        if len(asked) < 4:
            raise OSError("500")
        return "content"

    assert with_tries(flaky, "x") == "content" and len(asked) == 4
    with pytest.raises(OSError, match="x: always"):
        with_tries(lambda: (_ for _ in ()).throw(OSError("always")), "x")
    with pytest.raises(InputError, match="which does not exist"):
        read_bytes(place(str(tmp_path / "none.jpg")))


def test_masks_keep_the_structure_below_the_source_and_never_leave_their_folder() -> None:
    assert worker.mask_path("/data/a/b.jpg", "/data/") == "a/b.jpg.png"
    assert worker.mask_path("s3://bucket/x/b.jpg?endpoint_override=y", "s3://bucket/") == "x/b.jpg.png"
    assert worker.mask_path("/other/../../b.jpg", "/data/") == "other/b.jpg.png"


def test_the_timeline_adds_up_to_the_images() -> None:
    done = [(end, dataclasses.replace(manifest(str(end), "f", 1), images=40, seconds=4.0)) for end in (5.0, 7.5, 300.0)]
    steps = timeline(done, 300.0)
    width = steps[1].start - steps[0].start
    assert sum(step.rate * width for step in steps) == pytest.approx(120, rel=0.01) and len(steps) <= 121


def test_horizon_of_scenes(make_images: Callable[..., Path]) -> None:
    from edge_runtime.masks.horizon import estimate_horizon

    sky = np.zeros((100, 80), np.float32)
    sky[:60] = 1
    sky[20:, 10:30] = 0  # a house
    sky[80, 40:60] = 1  # a puddle
    assert estimate_horizon(sky, 0.5) == pytest.approx(0.6)
    assert estimate_horizon(np.ones((100, 80), np.float32), 0.5) is None
    assert estimate_horizon(np.zeros((100, 80), np.float32), 0.5) is None


def test_ray_takes_the_file_of_the_cluster() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((DEPLOY / "ray-up.yaml").read_text())
    filled = prepare_config(config)
    validate_config(filled)  # by Ray's schema
    assert filled["available_node_types"]["worker"]["max_workers"] == filled["max_workers"] == 64


def test_the_job_of_kuberay_calls_the_command_as_it_is() -> None:
    """Its flags are parsed by the command; the operator's own fields are those of the RayJob of ray.io/v1."""
    job = yaml.safe_load((DEPLOY / "kuberay-job.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) <= {"entrypoint", "shutdownAfterJobFinishes", "backoffLimit", "rayClusterSpec"}
    words = shlex.split(job["spec"]["entrypoint"])
    assert words[:3] == ["python", "-m", "skyedge.batch"]
    config = parse(words[3:], Batch)
    assert (config.address, config.workers) == ("auto", 128) and config.workers == 8 * 16
    versions = {
        job["spec"]["rayClusterSpec"]["rayVersion"],
        *re.findall(r"ray(?:\[data\]==|:)([\d.]+\d)", _text("Containerfile")),
    }
    assert versions == {ray.__version__}


def _text(name: str) -> str:
    return (DEPLOY / name).read_text()


def test_a_machine_with_another_model_is_refused() -> None:
    process = Process(Settings(("unet_lite_s",), "0" * 64, "cpu", None, False, 60, 0))
    with pytest.raises(InputError, match="got unet_lite_s with SHA-256 .*expected 0000.*, as the driver has"):
        process.segment(b"")
