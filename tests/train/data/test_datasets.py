"""Training samples: pure functions of seed and number, sources balanced, splits respected."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import Pair
from edge_runtime.images.resize import resize_rgb
from train.data.datasets import Samples, gather, to_tensor


def write_set(root: Path, counts: dict[str, int], split: str | None) -> None:
    """Write small images whose gray level tells their source, first source 10, next 60, ..."""
    folder = root / split if split else root
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = ["id,source,scene"]
    for level, (source, count) in enumerate(counts.items()):
        for number in range(count):
            name = f"{source}{number}"
            image = np.full((40, 48, 3), 10 + 50 * level, np.uint8)
            mask = np.zeros((40, 48), np.uint8)
            mask[:20], mask[:, :6] = 255, 128
            Image.fromarray(image).save(folder / "images" / f"{name}.png")
            Image.fromarray(mask).save(folder / "masks" / f"{name}.png")
            rows.append(f"{name},{source},")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    write_set(tmp_path / "set", {"many": 16, "few": 4, "one": 1}, "train")
    return gather((tmp_path / "set",), "train")


def test_to_tensor_is_the_contract() -> None:
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    image[0, 0] = (255, 127, 0)
    tensor = to_tensor(image)
    assert tensor.shape == (3, 16, 16) and tensor.dtype == torch.float32
    assert tensor[:, 0, 0].tolist() == [1.0, 0.0, -127 / 128]


def test_gather_takes_the_split_and_nothing_else(tmp_path: Path) -> None:
    write_set(tmp_path / "a", {"x": 3}, "train")
    write_set(tmp_path / "b", {"y": 2}, None)
    write_set(tmp_path / "c", {"z": 2}, "test")
    folders = (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert Counter(pair.source for pair in gather(folders, "train")) == {"x": 3, "y": 2}  # never the test images
    assert Counter(pair.source for pair in gather(folders, "test")) == {"z": 2}
    assert gather(folders, "val") == []
    with pytest.raises(InputError, match="existing folder"):
        gather((tmp_path / "absent",), "train")


def test_samples_have_the_size_of_their_stage(pairs: list[Pair]) -> None:
    samples = Samples(pairs, np.array([32, 32, 64]), seed=0)
    assert len(samples) == 3
    for index, size in enumerate((32, 32, 64)):
        image, sky, valid = samples[index]
        assert image.shape == (3, size, size) and sky.shape == valid.shape == (1, size, size)
        assert image.dtype == sky.dtype == valid.dtype == torch.float32
        assert set(valid.unique().tolist()) <= {0.0, 1.0}
        assert image.min() >= -1.0 and image.max() <= 1.0


def test_a_sample_depends_on_seed_and_number_alone(pairs: list[Pair]) -> None:
    first, second = Samples(pairs, np.full(20, 32), seed=5), Samples(pairs, np.full(20, 32), seed=5)
    later = [second[index] for index in (19, 3, 3)]  # another order, and twice
    for index, item in zip((19, 3, 3), later, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first[index], item, strict=True))
    assert not torch.equal(first[3][0], first[4][0])
    other = Samples(pairs, np.full(20, 32), seed=6)
    assert any(not torch.equal(first[index][0], other[index][0]) for index in range(3))


def test_sources_are_drawn_by_the_root_of_their_size(pairs: list[Pair]) -> None:
    samples = Samples(pairs, np.full(400, 32), seed=0)
    chances: Counter[str] = Counter()
    for pair, share in zip(pairs, np.diff(samples.ends, prepend=0.0), strict=True):
        chances[pair.source] += share
    assert dict(chances) == pytest.approx({"few": 2 / 7, "many": 4 / 7, "one": 1 / 7})
    ones = sum((samples[index][0] * 128 + 127).mean() > 85 for index in range(200))  # gray 110, the others 10 and 60
    assert ones / 200 == pytest.approx(1 / 7, abs=0.08)


def test_void_is_marked(pairs: list[Pair]) -> None:
    samples = Samples(pairs, np.full(40, 32), seed=0)
    shares = [1.0 - samples[index][2].mean().item() for index in range(40)]
    assert 0.03 < np.mean(shares) < 0.25 and max(shares) < 0.6  # an eighth of every whole image


def test_broken_image_names_itself(pairs: list[Pair]) -> None:
    for pair in pairs:
        pair.image.write_bytes(pair.image.read_bytes()[:40])
    with pytest.raises(InputError, match=r"\.png"):
        Samples(pairs, np.full(1, 32), seed=0)[0]


def test_scenes_can_be_trained_on(scene_dir: Path) -> None:
    pairs = gather((scene_dir / "test",), "train")
    assert len(pairs) == 12
    image, sky, valid = Samples(pairs, np.array([64]), seed=1)[0]
    assert valid.all() and image.std() > 0.01 and sky.min() >= 0.0 and sky.max() <= 1.0


def test_resized_image_reaches_the_network_unchanged() -> None:
    image = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    small = resize_rgb(image, 32, 32)
    assert np.array_equal((to_tensor(small) * 128 + 127).permute(1, 2, 0).numpy(), small)
