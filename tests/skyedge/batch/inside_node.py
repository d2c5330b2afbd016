"""A cluster of two Ray nodes on loopback, of which one is killed in the middle of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.cluster_utils import Cluster

from skyedge.batch.shards import MANIFESTS

COUNT = 160


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setenv("RAY_worker_niceness", "0")
    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    yield found
    found.shutdown()


def test_a_node_that_is_lost_loses_nothing(
    cluster: Cluster, make_images: Callable[..., Path], tools: Any, tmp_path: Path
) -> None:
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    folder = make_images(tmp_path / "images", COUNT)
    archive = tools.Archive(str(folder), str(tmp_path / "dest"), ("--shard", "10", "--address", cluster.address))
    run = archive.start()
    manifests = tmp_path / "dest" / MANIFESTS
    tools.wait_for(lambda: manifests.is_dir() and len(list(manifests.iterdir())) >= 3, run)
    cluster.remove_node(second, allow_graceful=False)  # SIGKILL to all its processes
    done = len(list(manifests.glob("*.json")))
    said = tools.ended(run)
    assert done < len(list(manifests.glob("*.json"))), "the node was lost after the end"
    rows, summary = archive.rows(), archive.summary()
    assert [row["uri"] for row in rows] == sorted({row["uri"] for row in rows}) and len(rows) == COUNT
    assert (summary["images"], summary["failed"], summary["workers"]) == (COUNT, 0, 2), said


def test_a_cluster_that_is_not_there_is_named(make_images: Callable[..., Path], tools: Any, tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 2)
    archive = tools.Archive(str(folder), str(tmp_path / "dest"), ("--address", "127.0.0.1:9"))
    assert "got no Ray cluster at 127.0.0.1:9" in archive.run(code=2)
