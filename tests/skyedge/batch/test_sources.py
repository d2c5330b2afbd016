"""Sources, shards, plans and stores; nothing is segmented."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import InputError
from skyedge.batch import shards, sources, worker
from skyedge.batch.claims import Claims
from skyedge.batch.pool import Pool, duration
from skyedge.batch.results import Manifest
from skyedge.batch.single import Process, Settings, horizon_of, visible
from skyedge.batch.sources import Item, content_of
from skyedge.batch.storage import create, place, read_bytes, with_tries, write


def uris(source: str | Path) -> list[str]:
    return [item.uri for item in sources.images(str(source))]


def tree(folder: Path) -> Path:
    for name in ("a.jpg", "b.png", "sub/c.JPG", "sub/deep/d.webp", ".hidden.jpg", "notes.txt", "sub/._c.JPG", "x[1].jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_a_folder_gives_its_images_in_order_with_size_and_time(tmp_path: Path) -> None:
    folder = tree(tmp_path / "50 % zürich#1")
    expected = [f"{folder}/{name}" for name in ("a.jpg", "b.png", "sub/c.JPG", "sub/deep/d.webp", "x[1].jpg")]
    assert uris(folder) == uris(folder.as_uri()) == expected  # as_uri writes %20, %25, %23 and %C3%BC
    found = os.stat(folder / "a.jpg")
    assert next(sources.images(str(folder))).identity == f"{found.st_size} {found.st_mtime}"
    with pytest.raises(InputError, match="on the host data, expected file:///PATH"):
        uris("file://data/x")


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


@pytest.mark.parametrize("kind", [",", ";", "\t", "jsonl"])
def test_lists_count_paths_from_their_folder(kind: str, tmp_path: Path) -> None:
    tree(tmp_path)
    gone = (tmp_path / "gone ü.jpg").as_uri()
    if kind == "jsonl":
        path = tmp_path / "list.jsonl"
        rows = [{"lat": 1.5, "url": "a.jpg", "id": 7}, {"url": "s3://bucket/k.jpg", "id": 8}, {"url": gone, "lat": 3.5}]
        path.write_text("\n\n".join(map(json.dumps, rows)))
    else:
        path = tmp_path / "list.csv"
        rows = [("lat", "url", "id"), ("1.5", "a.jpg", "007"), ("2.5", "s3://bucket/k.jpg", "8"), ("3.5", gone, '"9')]
        text = "\ufeff" + "".join(kind.join(row) + "\r\n" for row in rows)
        path.write_text(text.replace('"9', f'"9{kind}"'), newline="")
    found = list(sources.images(str(path)))
    assert [item.uri for item in found] == [f"{tmp_path}/a.jpg", "s3://bucket/k.jpg", f"{tmp_path}/gone ü.jpg"]
    assert [item.identity for item in found[1:]] == ["", "missing"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "name,lat\nx,1\n", "with the columns name, lat, expected one of uri or url or path .*; rename the column"),
        ("a.csv", "uri,lat\nx,1\ny\n", "got 1 fields in line 3 .*, expected 2, as in its header, parted by ','"),
        ("a.csv", "uri;lat\nx;1;2\n", "got 3 fields in line 2 .*, expected 2, as in its header, parted by ';'"),
        ("a.csv", "uri,lat\n,1\n", "has a row with '' for its image, expected text in every row"),
        ("a.jsonl", '{"uri": "x"}\n{"uri": 1}\n', "has a row with 1 for its image"),
        ("a.jsonl", '{"uri": "x"}\n[1]\n', "in line 2 of .*, expected a JSON object"),
        ("a.jsonl", '{"uri": "x"\n', "cannot read line 1 of .*: Expecting"),
        ("a.jsonl", "", "the empty list"),
        ("a.tar", "no tar", "cannot read the tar .*expected a whole one, not compressed"),
    ],
)
def test_lists_that_lack_something_are_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        uris(tmp_path / name)


def test_images_in_tars_are_read_by_themselves(tmp_path: Path) -> None:
    """A webdataset: samples of several files each, in a folder, by a glob, or alone."""
    for shard in range(2):
        with tarfile.open(tmp_path / f"{shard:03d}.tar", "w") as tar:
            for name in ("a/0.jpg", "a/0.json", "a/1.png", "._1.png"):
                info = tarfile.TarInfo(name)
                info.size = len(content := f"{shard} {name}".encode())
                tar.addfile(info, io.BytesIO(content))
    expected = [f"{tmp_path}/{shard:03d}.tar#a/{name}" for shard in range(2) for name in ("0.jpg", "1.png")]
    assert uris(tmp_path) == uris(f"{tmp_path}/*.tar") == expected and uris(tmp_path / "001.tar") == expected[2:]
    assert [content_of(item) for item in sources.images(str(tmp_path))] == [
        b"0 a/0.jpg",
        b"0 a/1.png",
        b"1 a/0.jpg",
        b"1 a/1.png",
    ]


def test_sources_that_are_none_are_refused(tmp_path: Path) -> None:
    tree(tmp_path)
    for source, message in (("none", "which does not exist"), ("a.jpg", "for which edge_runtime.segment is made")):
        with pytest.raises(InputError, match=message):
            uris(tmp_path / source)
    with pytest.raises(InputError, match="nosuch://"):
        place("nosuch://x/y")


def items(names: list[str]) -> list[Item]:
    return [Item(name, "1") for name in names]


def test_shards_hold_every_image_once(tmp_path: Path) -> None:
    names = [f"/data/{number:06d}.jpg" for number in range(5000)]
    found = list(shards.cut(iter(items(names)), 100))
    assert [item.uri for each in found for item in each] == names
    sizes = [len(each) for each in found]
    assert min(sizes[:-1]) >= 50 and max(sizes) <= 200 and 70 < np.mean(sizes) < 130


def test_a_new_image_changes_few_shards() -> None:
    names = [f"/data/{number:06d}.jpg" for number in range(5000)]
    before = {shards.shard_id(each, "m") for each in shards.cut(items(names), 100)}
    after = {shards.shard_id(each, "m") for each in shards.cut(items([*names[:2000], "/data/001999b.jpg", *names[2000:]]), 100)}
    assert 1 <= len(before - after) <= 4 and len(after - before) <= 4


def test_a_shard_is_named_by_all_that_decides_it() -> None:
    plain = [Item("a", "1"), Item("b", "2")]
    names = {
        shards.shard_id(plain, "m"),
        shards.shard_id(plain, "other model"),
        shards.shard_id([plain[0], Item("b", "3")], "m"),
        shards.shard_id(plain[:1], "m"),
    }
    assert len(names) == 4 and shards.shard_id([*plain[:1], *plain[1:]], "m") in names


def test_a_plan_gives_every_shard_back(tmp_path: Path) -> None:
    dest = place(str(tmp_path))
    parts = [[Item(f"/{shard}/ü\n{number}.jpg", "1", "a.tar", 5, 6) for number in range(3)] for shard in range(20)]
    assert shards.read_plan(dest) is None
    planned = shards.write_plan(((f"id{index}", part) for index, part in enumerate(parts)), dest)
    assert [each.id for each in planned] == [f"id{index}" for index in range(20)] and shards.read_plan(dest) == planned
    assert all(shards.read_planned(dest, each) == part for each, part in zip(planned, parts, strict=True))


def manifest(id: str, file: str, size: int) -> Manifest:
    return Manifest(1, id, file, "0", size, 4, 0, {}, 0, 0.0, 2.0, "w")


def test_only_a_shard_whose_file_is_whole_is_finished_and_the_rest_is_removed(tmp_path: Path) -> None:
    dest = place(str(tmp_path))
    (tmp_path / "shards").mkdir()
    for name, size in (("a-1.tar", 5), ("b-1.tar", 3), ("a-2.tar", 5)):
        (tmp_path / "shards" / name).write_bytes(b"x" * size)
    good = manifest("a", "a-1.tar", 5)
    for each in (good, manifest("b", "b-1.tar", 4), manifest("c", "c-1.tar", 1)):
        shards.commit(dest, each)
    assert shards.finished(dest) == {"a": good}
    assert shards.clean(dest, [good]) == 4
    assert [path.name for path in sorted((tmp_path / "shards").iterdir())] == ["a-1.tar"]
    assert shards.finished(dest) == {"a": good}


def test_a_shard_belongs_to_one_machine_until_that_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("skyedge.batch.claims.BEAT_S", 0.05)
    monkeypatch.setattr("skyedge.batch.claims.DEAD_S", 3.0)
    dest = place(str(tmp_path))
    first, second = Claims(dest), Claims(dest)
    first.start()
    first.count(None)
    first.count("unreadable")
    assert first.take("x") and not second.take("x") and not second.take_over("x") and second.take("y")
    assert not second.take_over("x")
    time.sleep(3.5)
    assert not second.take_over("x")  # the heart goes on
    assert [(each["images"], each["errors"]) for each in second.others()] == [(2, {"unreadable": 1})]
    first._ended.set()  # as a machine that lost its power: it says no goodbye
    time.sleep(0.2)
    assert not second.take_over("x")
    end = time.monotonic() + 60
    while not second.take_over("x"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert not first.take("x")


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
    assert create(place("memory://claims/x"), b"1") and not create(place("memory://claims/x"), b"2")
    assert read_bytes(place("memory://claims/x")) == b"1" and read_bytes(place("memory://claims/x"), 0, 1) == b"1"


def test_masks_keep_the_structure_below_the_source_and_never_leave_their_folder() -> None:
    assert worker.mask_path("/data/a/b.jpg", "/data/") == "a/b.jpg.png"
    assert worker.mask_path("s3://bucket/x/b?.jpg", "s3://bucket/") == "x/b?.jpg.png"
    assert worker.mask_path("/other/../../b.jpg", "/data/") == "other/b.jpg.png"
    assert worker.mask_path("/data/x.tar#../a/b.jpg", "/data/") == "x.tar/a/b.jpg.png"


def test_times_are_told_as_a_person_says_them() -> None:
    said = {40: "40 s", 119: "2 min", 3599: "1 h 0 min", 19200: "5 h 20 min", 300_000: "3 d 11 h"}
    assert {seconds: duration(seconds) for seconds in said} == said


def test_what_a_lost_machine_began_is_not_more_than_all(tmp_path: Path) -> None:
    task = worker.Task(str(tmp_path), Settings((), "", "cpu", None, True, False, 1.0, 0), "png", "")
    pool = Pool([shards.Planned("a", 100)], task, 0)
    write(place(str(tmp_path / "nodes" / "lost")), b'{"images": 30, "errors": {}}')
    for _ in range(90):
        pool._claims.count(None)
    assert "100 of 100 images (100.0 %) on 2 machines" in (said := pool._progress()) and "about 0 s left" in said


def test_horizon_of_scenes() -> None:
    sky = np.zeros((100, 80), np.float32)
    sky[:60] = 1
    sky[20:, 10:30] = 0  # a house
    sky[80, 40:60] = 1  # a puddle
    assert horizon_of(sky) == pytest.approx(0.6)
    assert horizon_of(np.ones((100, 80), np.float32)) is None
    assert horizon_of(np.zeros((100, 80), np.float32)) is None


def test_gpus_are_shared_out_among_those_that_are_visible() -> None:
    assert [visible(gpu, None) for gpu in (0, 1)] == ["0", "1"] and visible(1, "4,7") == "7"


def test_a_machine_with_another_model_is_refused() -> None:
    process = Process(Settings(("unet_lite_s",), "0" * 64, "cpu", None, True, False, 60, 0))
    with pytest.raises(InputError, match="got unet_lite_s with SHA-256 .*expected 0000.*, as the driver has"):
        process.segment(b"")
