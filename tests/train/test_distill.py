"""Softened masks: the mix that is asked for, void filled by the teacher, and a killed run goes on."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from edge_runtime.images.dataset import find_pairs, read_pair
from edge_runtime.images.mask_file import VOID
from train.data.teachers import teachers_of
from train.distill import DistillConfig, soften
from train.evaluation.model import open_model
from train.models import load_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(split_scenes: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes in `train`; the first has a void band."""
    root = split_scenes(tmp_path_factory.mktemp("labeled"), train=3)
    mask = sorted((root / "train" / "masks").iterdir())[0]
    values = np.array(Image.open(mask))
    values[:20] = VOID
    Image.fromarray(values).save(mask)
    return root


@pytest.fixture(scope="module")
def loose(scene_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two images without masks."""
    folder = tmp_path_factory.mktemp("loose")
    for path in sorted((scene_dir / "test" / "images").iterdir())[5:7]:
        shutil.copy(path, folder)
    return folder


def test_targets_are_the_mix(data: Path, loose: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = DistillConfig((tiny_checkpoint,), (data,), (loose,), out=tmp_path / "soft", weight=0.25)
    out = soften(config)
    teacher = open_model(tiny_checkpoint)
    labels = {pair.id: read_pair(pair) for pair in find_pairs(data, "train")}
    written = find_pairs(out, "train")
    assert {pair.id for pair in written} == labels.keys() | {path.stem for path in loose.iterdir()}
    for pair in written:
        got = read_pair(pair)
        mirrored = np.ascontiguousarray(got.image[:, ::-1])
        opinion = (teacher.predict(got.image) + teacher.predict(mirrored)[:, ::-1]) / 2
        expected = opinion
        if pair.id in labels:
            label = labels[pair.id]
            expected = np.where(label.valid, 0.75 * label.sky + 0.25 * opinion, opinion)
        assert got.valid.all(), "a soft value was written as void"
        assert np.abs(got.sky - expected).max() < 1.6 / 255
    assert {pair.source for pair in written} == {data.name, loose.name}
    (teacher,) = teachers_of([config.out, data])
    assert teacher["sha256"] == file_sha256(tiny_checkpoint) and teacher["name"] == "unet_lite_s-192"
    assert teacher["training"] == load_checkpoint(tiny_checkpoint).training and "non-commercial" in teacher["weights_license"]


def test_a_killed_run_goes_on(data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    config = DistillConfig((tiny_checkpoint,), (data,), (), out=tmp_path / "soft")
    soften(config)
    masks = sorted((tmp_path / "soft" / "train" / "masks").iterdir())
    before = [mask.stat().st_mtime_ns for mask in masks]
    content = masks[1].read_bytes()
    masks[1].unlink()
    soften(config)
    after = [mask.stat().st_mtime_ns for mask in masks]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert masks[1].read_bytes() == content
    with pytest.raises(InputError, match="other teachers, corrections or weights"):
        soften(DistillConfig((tiny_checkpoint,), (data,), (), out=tmp_path / "soft", weight=0.9))


def test_refusals(data: Path, loose: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("keep")
    out = tmp_path / "never"
    for config, words in (
        (DistillConfig((), (data,), (), out=out), "no teacher"),
        (DistillConfig((tiny_checkpoint,), (), (), out=out), "no image"),
        (DistillConfig((tiny_checkpoint,), (data,), (), out=out, weight=1.5), "weight 1.5"),
        (DistillConfig((tiny_checkpoint,), (), (loose, loose), out=out), "one image of a name"),
        (DistillConfig((tiny_checkpoint,), (data,), (), out=full), "something else"),
    ):
        with pytest.raises(InputError, match=words):
            soften(config)
    assert not out.exists() and [path.name for path in full.iterdir()] == ["mine.txt"]


def test_the_command(project_root: Path, data: Path, tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = [sys.executable, str(project_root / "train" / "distill.py")]
    done = subprocess.run(
        [*words, str(tiny_checkpoint), "--data", str(data), "--out", str(tmp_path / "soft")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "soft")
    refused = subprocess.run([*words, str(tmp_path / "none.pt"), "--data", str(data)], capture_output=True, text=True)
    assert refused.returncode == 2 and "checkpoint" in refused.stderr and "Traceback" not in refused.stderr
    assert "--unlabeled" in subprocess.run([*words, "--help"], capture_output=True, text=True).stdout
