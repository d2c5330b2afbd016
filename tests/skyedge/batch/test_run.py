"""One archive from a list to its records and masks, and again: the whole path, small."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def test_records_and_masks_are_those_of_segment_and_a_second_run_only_does_what_is_new(
    make_images: Callable[..., Path], tools: Any, tmp_path: Path
) -> None:
    folder = make_images(tmp_path / "images", 20)
    (folder / "broken.jpg").write_bytes((folder / "00000.jpg").read_bytes()[:500])
    names = [*sorted(path.name for path in folder.iterdir()), "gone.jpg"]
    (tmp_path / "list.csv").write_text("\n".join(["uri", *(f"images/{name}" for name in names)]))
    archive = tools.Archive((tmp_path / "list.csv").as_uri(), (tmp_path / "dest ü").as_uri())
    said = archive.run(code=2)
    assert "2 of 22 images failed (1 missing, 1 unreadable)" in said and "22 images to do, 0 done before" in said

    archive = replace(archive, dest=str(tmp_path / "dest ü"))
    found = archive.rows()
    assert [row["uri"] for row in found] == sorted(f"{folder}/{name}" for name in names)
    words = ("--model", tools.MODEL, "--out", tmp_path / "masks", "--low-res")
    segment = [sys.executable, "-m", "edge_runtime.segment", folder, *words]
    subprocess.run(list(map(str, segment)), cwd=tools.ROOT, capture_output=True)
    for row in found:
        path = Path(row["uri"])
        if path.name in ("broken.jpg", "gone.jpg"):
            assert row["error"] and row["mask"] is None and row["sky_share"] is None
            continue
        assert (row["error"], row["width"], row["height"]) == (None, 192, 144)
        assert row["sha256"] == sha256(path.read_bytes()).hexdigest() and len(row["model_sha256"]) == 64
        mask = np.asarray(Image.open(BytesIO(row["mask"])))
        assert np.array_equal(mask, np.asarray(Image.open(tmp_path / "masks" / f"{path.stem}.png")))
        assert row["sky_share"] == pytest.approx(np.mean(mask >= 128), abs=0.02)

    summary = archive.summary()
    assert (summary["images"], summary["failed"], summary["new_images"]) == (22, 2, 22)
    assert summary["errors"] == {"missing": 1, "unreadable": 1}

    snippet = re.search(r"^```py\n(.*?)^```", (tools.ROOT / "docs" / "archives.md").read_text(), flags=re.M | re.S)
    assert snippet is not None
    (tmp_path / "sky").symlink_to(tmp_path / "dest ü")
    shown = subprocess.run([sys.executable, "-c", snippet[1]], cwd=tmp_path, capture_output=True, text=True)
    assert shown.returncode == 0 and "gone.jpg, which does not exist" in shown.stdout and "(144, 192)" in shown.stdout, shown

    said = archive.run("--allow-failed", "0.2")
    assert "0 images to do, 22 done before" in said and "0 new" in said
    assert "another SOURCE, model or options" in archive.run("--min-sky", "0.1", code=2)
    assert archive.rows() == found


def test_a_tar_of_images_gives_tars_of_masks(make_images: Callable[..., Path], tools: Any, tmp_path: Path) -> None:
    """Both are webdatasets: NUMBER.json holds the record and NUMBER.png the mask."""
    folder = make_images(tmp_path / "images", 9)
    (folder / "00004.jpg").write_text("no image")
    with tarfile.open(tmp_path / "photos.tar", "w") as tar:
        for path in sorted(folder.iterdir()):
            tar.add(path, path.name)
    archive = tools.Archive(str(tmp_path / "photos.tar"), str(tmp_path / "dest"), ("--workers", "1"))
    said = archive.run("--masks", "tar", "--full-size", "--allow-failed", "0.2")
    assert said.startswith("9 images in 1 shards, 1 failed")
    segment = [sys.executable, "-m", "edge_runtime.segment", folder, "--model", tools.MODEL, "--out", tmp_path / "masks"]
    subprocess.run(list(map(str, segment)), cwd=tools.ROOT, capture_output=True)
    (shard,) = (tmp_path / "dest" / "shards").glob("*.tar")
    with tarfile.open(shard) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    assert set(members) == {f"{n:06d}.{suffix}" for n in range(9) for suffix in ("png", "json")} - {"000004.png"}
    for number in range(9):
        record = json.loads(members[f"{number:06d}.json"])
        assert record["uri"] == f"{tmp_path}/photos.tar#{number:05d}.jpg" and bool(record["error"]) == (number == 4)
        if number != 4:
            mask = np.asarray(Image.open(BytesIO(members[f"{number:06d}.png"])))
            assert np.array_equal(mask, np.asarray(Image.open(tmp_path / "masks" / f"{number:05d}.png")))


def test_bad_input_is_refused_before_anything_is_written(tools: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    cases = (
        ("none", "dest", (), "got SOURCE"),
        ("empty", "other", (), "which holds other files"),
        ("empty", "dest", (), "got no image in"),
        ("empty", "dest", ("--shard", "0"), "got --shard 0, expected 1 to"),
        ("empty", "dest", ("--allow-failed", "2"), "expected a share of the images"),
        ("file://other/x", "dest", (), "on the host other, expected file:///PATH"),
    )
    for source, dest, flags, message in cases:
        said = tools.Archive(source if "://" in source else str(tmp_path / source), str(tmp_path / dest), ()).run(*flags, code=2)
        assert message in said, said
    assert not (tmp_path / "dest ü" / "shards").exists() and [path.name for path in (tmp_path / "other").iterdir()] == [
        "mine.txt"
    ]
