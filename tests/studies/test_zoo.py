"""The zoo trains, measures, and goes on where it was stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from studies.zoo import STUDY, ZooConfig, measure

pytestmark = pytest.mark.slow


def test_finished_networks_are_skipped(split_scenes: Callable[..., Path], scene_dir: Path, tmp_path: Path) -> None:
    data = split_scenes(tmp_path / "data", train=3, val=1)
    (data / "test").symlink_to(scene_dir / "test")
    config = ZooConfig(
        data=data, networks=("unet_lite_s", "unet_lite", "u2netp"), size=32, steps=1, batch=2, limit=2, latency_runs=0,
        runs=tmp_path / "runs", out=tmp_path / "out",
    )  # fmt: skip
    STUDY.main(config)
    page = (tmp_path / "out" / "zoo.md").read_text()
    assert "unet_lite_s" in page and "ImageNet" in page and "classical:color" in page
    (tmp_path / "runs" / "unet_lite_s" / "checkpoint.pt").unlink()  # whatever trains again would need or write it
    figures = [figures for _, figures in measure(config)][-1]
    assert figures["networks"]["unet_lite_s"]["images"] == 2
    ((name, mean),) = (item for item in figures["others"].items() if item[0].startswith("mean of "))
    assert all(network in name for network in config.networks)
    assert mean["parameters"] == sum(row["parameters"] for row in figures["networks"].values())
    assert not (tmp_path / "runs" / "unet_lite_s" / "checkpoint.pt").exists()
    with pytest.raises(InputError, match="got network 'resnext'"):
        list(measure(dataclasses.replace(config, networks=("resnext",))))
