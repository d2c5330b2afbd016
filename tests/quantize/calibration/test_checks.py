"""The gate of int8: it has something to compare, or it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.errors import GateError, InputError
from edge_runtime.images.dataset import Pair
from edge_runtime.images.network_input import Size
from export.network import Network, load_network
from export.parity import built_in_scenes, run_torch
from quantize.calibration.checks import gate, prepare
from quantize.calibration.labeled import LabeledSet
from quantize.calibration.ranking import rank
from quantize.int8 import Int8Config, quantize
from scenes.render import generate

pytestmark = pytest.mark.slow
SIZE = Size.square(64)


@pytest.fixture
def network(tiny_checkpoint: Path) -> Network:
    return load_network(tiny_checkpoint, "64")


@pytest.mark.parametrize("kind", ["allsky", "wall"])
def test_calibration_images_of_one_class_are_refused(
    kind: str, tiny_checkpoint: Path, tmp_path: Path, project_root: Path
) -> None:
    words = ["--out", tmp_path, "--count", "8", "--size", "96", "128", "--kind", kind]
    subprocess.run([sys.executable, "-m", "scenes.render", *map(str, words)], cwd=project_root, check=True)
    with pytest.raises(InputError, match=r"finds sky in .* of the 2 images of --calib .* expected sky and ground"):
        quantize(Int8Config(tmp_path, tiny_checkpoint, format=("onnx",), out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_network_without_sky_in_the_scenes_cannot_be_checked(network: Network) -> None:
    network.reference.network.head.bias.fill_(-100.0)
    with pytest.raises(GateError, match="finds sky in 0.0% of the pixels of the built-in scenes"):
        prepare(network, built_in_scenes(SIZE), None, None)


def test_scenes_and_held_out_images_both_decide() -> None:
    good = {"agreement": {"value": 0.99, "on_scenes": 0.99}}
    assert gate(good, 0.95, 1.0) is None
    for key, where in (("value", "images kept back"), ("on_scenes", "built-in scenes")):
        for value in (0.9, float("nan")):
            failure = gate({"agreement": good["agreement"] | {key: value}}, 0.95, 1.0)
            assert failure is not None and f"on {where}, expected at least 0.95" in str(failure)


def test_layers_cannot_be_ranked_on_empty_masks(network: Network, scene_dir: Path) -> None:
    pairs = [Pair(path.stem, path, scene_dir / "test" / "masks" / path.name, "", "", "") for path in _images(scene_dir)[:4]]
    labeled = LabeledSet(pairs, SIZE)
    network.folded.network.head.bias.fill_(-100.0)
    with pytest.raises(InputError, match="finds sky in 0.0% of the pixels of the images that rank layers"):
        rank(network, labeled.images, labeled.images)


@pytest.mark.parametrize(("kind", "missing"), [("allsky", "ground"), ("wall", "sky")])
def test_labels_of_one_class_are_refused(kind: str, missing: str, tmp_path: Path) -> None:
    from PIL import Image

    scene = generate(1, (96, 128), kind)
    Image.fromarray(scene.image).save(tmp_path / "a.png")
    Image.fromarray(np.full((96, 128), 255 if kind == "allsky" else 0, np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(InputError, match=f"labeled images without {missing}, expected sky and ground"):
        LabeledSet([Pair("a", tmp_path / "a.png", tmp_path / "mask.png", "", "", "")], SIZE)


def test_built_in_scenes_hold_sky_and_ground(network: Network) -> None:
    masks = run_torch(network.reference, built_in_scenes(SIZE)) >= 0.5
    assert 0.2 < masks.mean() < 0.8


def _images(scene_dir: Path) -> list[Path]:
    return sorted((scene_dir / "test" / "images").iterdir())
