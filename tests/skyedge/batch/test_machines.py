"""Several machines that share DEST: one begins the run, others join, and any of them may be lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skyedge.batch.claims import NODES
from skyedge.batch.shards import MANIFESTS

pytestmark = pytest.mark.full
COUNT = 320


@pytest.fixture
def archive(make_images: Callable[..., Path], tools: Any, tmp_path: Path) -> Any:
    folder = make_images(tmp_path / "images", COUNT)
    return tools.Archive(str(folder), str(tmp_path / "dest"), ("--shard", "10", "--workers", "1"))


def committed(archive: Any) -> int:
    return len(list((Path(archive.dest) / MANIFESTS).glob("*.json")))


def at_work(archive: Any) -> int:
    return len(list((Path(archive.dest) / NODES).glob("[!.]*")))


def check(archive: Any) -> None:
    rows, summary = archive.rows(), archive.summary()
    assert [row["uri"] for row in rows] == sorted({row["uri"] for row in rows}) and len(rows) == COUNT
    assert (summary["images"], summary["failed"]) == (COUNT, 0)
    assert {path.name for path in Path(archive.dest).rglob(".*")} == {".lock"}


@pytest.mark.parametrize("lost", ["the one that joined", "the one that began"])
def test_a_machine_that_is_lost_loses_nothing(archive: Any, tools: Any, lost: str) -> None:
    first = archive.start()
    second = archive.start("--join")
    tools.wait_for(lambda: committed(archive) >= 3 and at_work(archive) == 2, first)
    (second if "joined" in lost else first).kill()
    done = committed(archive)
    (Path(archive.dest) / "masks" / ".00001.jpg.0123456789ab.partial.png").touch()  # as if it had been writing a mask
    if "joined" in lost:
        second.wait()
        said = tools.ended(first)
    else:
        first.wait()
        assert "done on this machine" in tools.ended(second)
        said = archive.run()
        assert f"0 images to do, {COUNT} done before" in said
    assert done < COUNT // 20 and committed(archive) == archive.summary()["shards"], said
    check(archive)


def test_machines_share_the_work_and_refuse_another_model(archive: Any, tools: Any) -> None:
    first = archive.start()
    tools.wait_for(lambda: committed(archive) >= 1, first)
    assert "another SOURCE, model or options" in archive.run("--join", "--min-sky", "0.5", code=2)
    said = archive.run("--join")
    tools.ended(first)
    check(archive)
    helped = int(said.partition(" images in ")[0].rsplit("\n", 1)[-1])
    assert 0 < helped < COUNT and archive.summary()["workers"] == 2


def test_machines_in_networks_of_their_own(archive: Any, tools: Any) -> None:
    """The machines share the storage and nothing else: each has a network namespace without even a loopback."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-n", "true"], capture_output=True).returncode:
        pytest.skip("only root can make network namespaces")
    alone = replace(archive, python=("unshare", "-n", *archive.python))
    runs = [alone.start(), alone.start("--join"), alone.start("--join")]
    tools.wait_for(lambda: committed(archive) >= 3, runs[0])
    runs[1].kill()
    runs[1].wait()
    tools.ended(runs[2])
    tools.ended(runs[0])
    check(archive)
