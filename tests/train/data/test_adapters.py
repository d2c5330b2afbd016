"""Adapters: folders exactly as their owners publish them, read pixel by pixel into the house's layout."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import pytest
from adapter_trees import (
    NAMES,
    ONE_PAIR,
    TREES,
    ade20k_tree,
    cityscapes_tree,
    convert,
    folder_tree,
    mask_of,
    refused,
    rows_of,
    skyfinder_tree,
    write,
    write_image,
)
from PIL import Image

from edge_runtime.images.dataset import find_pairs, splits
from edge_runtime.images.resize import resize_rgb
from train.adapters import ADAPTERS, AdapterConfig
from train.data.sources.plan import split_names


def test_the_command_line_names_every_adapter() -> None:
    assert tuple(ADAPTERS) == get_args(get_type_hints(AdapterConfig)["name"]) and {*ADAPTERS} == {*NAMES, "coco", "labelme"}


# --- the data sets ----------------------------------------------------------------------------------------------------


def test_ade20k(tmp_path: Path) -> None:
    source, out = ade20k_tree(tmp_path / "ADEChallengeData2016", count=40), tmp_path / "out"
    (source / "sceneCategories.txt").write_text("ADE_train_00000001 airport_terminal\nADE_val_00000002 street\n")
    (source / "images" / "training" / "._ADE_train_00000001.jpg").write_bytes(b"left by macOS")
    rows = convert("ade20k", source, out)
    assert Counter(row["split"] for row in rows.values()) == {"train": 38, "val": 2, "test": 2}  # 5 % of 40
    assert all((row["split"] == "test") == name.startswith("ADE_val_") for name, row in rows.items())
    assert rows["ADE_train_00000001"]["scene"] == "airport_terminal" and rows["ADE_val_00000001"]["scene"] == ""
    assert rows["ADE_val_00000002"]["scene"] == "street" and rows["ADE_val_00000002"]["source"] == "ade20k"
    assert np.array_equal(mask_of(out, "test", "ADE_val_00000002"), rows_of(255, 128, 0, 0, width=26))
    again = convert("ade20k", source, tmp_path / "again")
    assert again == rows
    other = convert("ade20k", source, tmp_path / "other", seed=1)
    assert {name for name in rows if rows[name]["split"] == "val"} != {name for name in other if other[name]["split"] == "val"}


def test_ade20k_outdoors_takes_all_of_the_subset(tmp_path: Path) -> None:
    rows = convert("ade20k_outdoors", ade20k_tree(tmp_path / "subset", count=18), tmp_path / "out")
    assert Counter(row["split"] for row in rows.values()) == {"train": 12, "val": 4, "test": 4}
    assert {row["source"] for row in rows.values()} == {"ade20k_outdoors"}


def test_ade20k_outdoors_leaves_rooms_out_of_the_benchmark(tmp_path: Path) -> None:
    source = ade20k_tree(tmp_path / "full", count=4)
    (source / "sceneCategories.txt").write_text("")
    for number, labels in ((1, (3, 6, 1, 1)), (2, (1, 2, 5, 20)), (3, (1, 2, 12, 20))):  # sky and ceiling; nothing; sidewalk
        write(source / "annotations" / "training" / f"ADE_train_{number:08d}.png", rows_of(*labels, width=24 + number))
    rows = convert("ade20k_outdoors", source, tmp_path / "out")
    assert set(rows) == {"ADE_train_00000003", "ADE_train_00000004", "ADE_val_00000001", "ADE_val_00000002"}


def test_ade20k_outdoors_does_not_take_the_benchmark_for_the_subset(tmp_path: Path) -> None:
    source = ade20k_tree(tmp_path / "full", count=1)
    for number in range(10_000):
        (source / "images" / "training" / f"ADE_train_1{number:07d}.jpg").touch()
    assert "no sceneCategories.txt" in refused("ade20k_outdoors", source, tmp_path / "out")


def test_cityscapes(tmp_path: Path) -> None:
    rows = convert("cityscapes", cityscapes_tree(tmp_path / "city"), tmp_path / "out")
    cities = {(row["split"], row["group"]) for row in rows.values()}
    assert cities == {("train", "aachen"), ("val", "frankfurt"), ("test", "lindau"), ("test", "munster")}
    assert len(rows) == 8 and "lindau_000000_000019" in rows  # the official test, without labels, is left out
    mask = mask_of(tmp_path / "out", "test", "lindau_000000_000019")
    assert np.array_equal(mask, rows_of(255, *[128] * 7, 128))
    write(tmp_path / "city/gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png", rows_of(23, 7, 11, 21, 22, 24, 33, 4, 8))
    convert("cityscapes", tmp_path / "city", tmp_path / "more")
    assert np.array_equal(mask_of(tmp_path / "more", "test", "lindau_000000_000019"), rows_of(255, 0, 0, 0, 0, 0, 0, 128, 0))


def test_skyfinder_splits_cameras(tmp_path: Path) -> None:
    source = skyfinder_tree(tmp_path / "sky")
    rows = convert("skyfinder", source, tmp_path / "out")
    where = {row["group"]: row["split"] for row in rows.values()}
    assert all(row["split"] == where[row["group"]] for row in rows.values()) and len(rows) == 15
    assert Counter(where.values()) == {"train": 3, "val": 1, "test": 1}
    expected = rows_of(255, 255, 255, 0, 0, 0, width=16 + 204 % 7)
    assert np.array_equal(mask_of(tmp_path / "out", where["204"], "204_20130606_014951"), expected)


def test_skyfinder_leaves_out_and_counts_unfit_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = skyfinder_tree(tmp_path / "sky")
    broken = source / "65" / "20130606_004951.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    write_image(source / "858" / "20130606_014951.jpg", 20, 30)
    rows = convert("skyfinder", source, tmp_path / "out")
    assert len(rows) == 13 and "65_20130606_004951" not in rows and "858_20130606_014951" not in rows
    assert "left out: 2 images" in capsys.readouterr().out
    write(source / "skyfinder_masks" / "204.png", rows_of(1, 1, 1, 0, 0, 0, width=16 + 204 % 7))
    assert "never brighter than 1" in refused("skyfinder", source, tmp_path / "dark")  # a mask is never skipped


def test_folder_takes_house_masks_as_they_are(tmp_path: Path) -> None:
    rows = convert("folder", folder_tree(tmp_path / "mine"), tmp_path / "out")
    assert Counter(row["split"] for row in rows.values()) == {"train": 6, "val": 2, "test": 2}
    assert {row["source"] for row in rows.values()} == {"mine"}
    assert np.array_equal(mask_of(tmp_path / "out", rows["3"]["split"], "3"), rows_of(255, 0, 128, 0))


@pytest.mark.parametrize(
    ("mask", "options", "expected"),
    [
        (rows_of(250, 3, 128, 127), {}, (255, 0, 255, 0)),
        (rows_of(1, 0, 1, 0).astype(bool), {}, (255, 0, 255, 0)),
        (rows_of(1, 0, 9, 0), {"sky_value": (1,)}, (255, 0, 0, 0)),
        (rows_of(10, 0, 255, 2), {"sky_value": (10,), "void_value": (255,)}, (255, 0, 128, 0)),
        (rows_of(10, 0, 2, 2).astype(np.uint16) * 1000, {"sky_value": (10_000,), "void_value": (0,)}, (255, 128, 0, 0)),
        (
            np.array([(70, 130, 180), (0, 0, 0), (70, 130, 181)], np.uint8)[rows_of(0, 1, 2, 0)],
            {"sky_value": (70, 130, 180), "void_value": (0, 0, 0)},
            (255, 128, 0, 255),
        ),
    ],
)
def test_folder_reads_many_masks(tmp_path: Path, mask: np.ndarray, options: dict[str, object], expected: tuple[int, ...]) -> None:
    convert("folder", folder_tree(tmp_path / "mine", mask, count=2), tmp_path / "out", split="val", **options)
    assert splits(tmp_path / "out") == ["val"]
    assert np.array_equal(mask_of(tmp_path / "out", "val", "1"), rows_of(*expected))


def test_folder_of_other_names_and_suffixes(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    for stem in "abc":
        write_image(source / "raw_images" / f"{stem}.JPG", 8, 24)
        write(source / "mask_images" / f"{stem}.bmp", rows_of(0, 255, 255, 0))
    rows = convert("folder", source, tmp_path / "out", image_folder="raw_images", mask_folder="mask_images", split="train")
    assert sorted(rows) == ["a", "b", "c"] and np.array_equal(mask_of(tmp_path / "out", "train", "b"), rows_of(0, 255, 255, 0))


@pytest.mark.parametrize(
    ("mask", "palette", "options", "message"),
    [
        (rows_of(1, 0, 1, 0), False, {}, "--sky-value 1"),
        (rows_of(1, 0, 1, 0), True, {}, "mode P"),
        (rows_of(1, 0, 1, 0).astype(np.uint16), False, {}, "mode I;16"),
        (np.zeros((8, 24, 3), np.uint8), False, {}, "mode RGB"),
        (np.zeros((8, 24, 3), np.uint8), False, {"sky_value": (1,)}, "one channel"),
        (rows_of(1, 0, 1, 0), False, {"sky_value": (1, 2, 3)}, "expected RGB"),
        (rows_of(1, 0, 1, 0), False, {"sky_value": (1, 2)}, "one number"),
        (rows_of(1, 0, 1, 0), False, {"void_value": (1,)}, "one number"),
    ],
)
def test_folder_refuses_what_it_cannot_know(
    tmp_path: Path, mask: np.ndarray, palette: bool, options: dict[str, object], message: str
) -> None:
    source = folder_tree(tmp_path / "mine", count=3)
    write(source / "masks" / "2.png", mask, palette)
    assert message in refused("folder", source, tmp_path / "out", **options)


# --- what holds for all -----------------------------------------------------------------------------------------------


def test_images_are_hard_links(tmp_path: Path) -> None:
    source = folder_tree(tmp_path / "mine", count=3)
    convert("folder", source, tmp_path / "out", split="train")
    assert (tmp_path / "out/train/images/0.png").samefile(source / "images" / "0.png")


def test_an_empty_out_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert len(convert("folder", folder_tree(tmp_path / "mine", count=4), tmp_path / "out")) == 4


def test_max_side_resizes_the_larger_images_only(tmp_path: Path) -> None:
    source = folder_tree(tmp_path / "mine", count=1)
    write_image(source / "images" / "large.png", 50, 100)
    labels = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint8), (50, 100))
    write(source / "masks" / "large.png", labels)
    rows = convert("folder", source, tmp_path / "out", max_side=40, split="train")
    assert (rows["large"]["width"], rows["large"]["height"]) == ("40", "20")
    assert (tmp_path / "out/train/images/0.png").samefile(source / "images" / "0.png")
    with Image.open(source / "images/large.png") as before, Image.open(tmp_path / "out/train/images/large.png") as after:
        assert np.array_equal(np.asarray(after), resize_rgb(np.asarray(before), 20, 40))
    nearest = labels[(np.arange(20) * 2.5 + 1.25).astype(int)][:, (np.arange(40) * 2.5 + 1.25).astype(int)]
    assert np.array_equal(mask_of(tmp_path / "out", "train", "large"), nearest)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_layout_says_what_was_expected(tmp_path: Path, name: str) -> None:
    (tmp_path / "wrong").mkdir()
    message = refused(name, tmp_path / "wrong", tmp_path / "out")
    assert "expected this tree" in message and str(tmp_path / "wrong") in message
    assert message.splitlines()[-1].startswith(("Unpack", "Name"))
    assert "existing folder" in refused(name, tmp_path / "absent", tmp_path / "out")


@pytest.mark.parametrize("name", NAMES)
def test_missing_annotation_names_itself(tmp_path: Path, name: str) -> None:
    source = TREES[name](tmp_path / "set")
    gone = source / ONE_PAIR[name][1]
    gone.unlink()
    message = refused(name, source, tmp_path / "out")
    assert "has no annotation" in message and str(gone) in message


@pytest.mark.parametrize("name", [name for name in NAMES if name != "skyfinder"])
def test_image_that_is_broken_or_of_another_size_is_refused(tmp_path: Path, name: str) -> None:
    source = TREES[name](tmp_path / "set")
    image = source / ONE_PAIR[name][0]
    write_image(image, 30, 40)
    assert "(30, 40) (height, width)" in refused(name, source, tmp_path / "out")
    image.write_bytes(b"not an image")
    assert "cannot read image" in refused(name, source, tmp_path / "out")
    write_image(image, 30, 40)
    (source / ONE_PAIR[name][1]).write_bytes(b"not an image")
    assert "cannot read annotation" in refused(name, source, tmp_path / "out")


def test_labels_of_another_kind_are_refused(tmp_path: Path) -> None:
    ade, city = ade20k_tree(tmp_path / "ade"), cityscapes_tree(tmp_path / "city")
    write(ade / "annotations/training/ADE_train_00000002.png", np.zeros((8, 26, 3), np.uint8))
    assert "mode RGB, expected one channel of class numbers" in refused("ade20k", ade, tmp_path / "out")
    write(city / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png", rows_of(23, 200, 0))
    assert "holds [200]" in refused("cityscapes", city, tmp_path / "out")


def test_skyfinder_needs_three_cameras(tmp_path: Path) -> None:
    source = skyfinder_tree(tmp_path / "two", cameras=(65, 204))
    assert "frames of 2 cameras" in refused("skyfinder", source, tmp_path / "out")


def test_options_and_out_are_checked(tmp_path: Path) -> None:
    source, out = folder_tree(tmp_path / "mine"), tmp_path / "out"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    assert "not empty" in refused("folder", source, out)
    assert (out / "precious.txt").read_text() == "mine"
    assert "--max-side 5" in refused("folder", source, tmp_path / "new", max_side=5)
    assert "--sky-value" in refused("ade20k", source, tmp_path / "new", sky_value=(1,))
    write_image(source / "images" / "3.jpg", 8, 24)
    assert "one image of a name" in refused("folder", source, tmp_path / "new")
    write(source / "masks" / "3.bmp", rows_of(0, 0, 0, 0))
    assert "one mask per stem" in refused("folder", source, tmp_path / "new")


def test_splits_do_not_depend_on_the_order_of_names() -> None:
    names = [f"n{number}" for number in range(50)]
    dealt = split_names(names, 3, val=0.2, test=0.2)
    assert dealt == split_names(names[::-1], 3, val=0.2, test=0.2)
    assert Counter(dealt.values()) == {"train": 30, "val": 10, "test": 10}
    assert set(split_names(names[:2], 3, val=0.2, test=0.2).values()) == {"train"}
    assert Counter(split_names(names[:3], 3, val=0.2, test=0.2).values()) == {"train": 1, "val": 1, "test": 1}


# --- the command ------------------------------------------------------------------------------------------------------


def run(project_root: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "train/adapters.py", *map(str, words)]
    return subprocess.run(command, cwd=project_root, capture_output=True, text=True, timeout=300)


def test_command(tmp_path: Path, project_root: Path) -> None:
    result = run(project_root, "cityscapes", cityscapes_tree(tmp_path / "city"), "--out", tmp_path / "deep" / "out")
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == ["train", "val", "test"]
    assert lines[2] == "test: 4 images of 2 groups, 11.1% sky, 88.9% void"
    assert len(find_pairs(tmp_path / "deep" / "out", "test")) == 4
    again = run(project_root, "cityscapes", tmp_path / "city", "--out", tmp_path / "deep" / "out")
    assert again.returncode == 2 and "not empty" in again.stderr


def test_command_takes_a_config_file(tmp_path: Path, project_root: Path) -> None:
    source = folder_tree(tmp_path / "mine", rows_of(7, 0, 9, 0), count=3)
    config = tmp_path / "mine.yaml"
    config.write_text(f"name: folder\nsource: {source}\nout: {tmp_path / 'out'}\nsky_value: [7]\nvoid_value: [9]\nsplit: test\n")
    result = run(project_root, "--config", config)
    assert result.returncode == 0, result.stderr
    assert np.array_equal(mask_of(tmp_path / "out", "test", "0"), rows_of(255, 0, 128, 0))


def test_command_refuses_a_wrong_layout_and_explains_itself(tmp_path: Path, project_root: Path) -> None:
    result = run(project_root, "ade20k", tmp_path, "--out", tmp_path / "out")
    assert result.returncode == 2 and "annotations/{training,validation}" in result.stderr and result.stdout == ""
    assert list(tmp_path.iterdir()) == []
    assert run(project_root, "imagenet", tmp_path, "--out", tmp_path / "out").returncode == 2
    usage = run(project_root, "--help")
    assert usage.returncode == 0 and all(name in usage.stdout for name in (*NAMES, "--max-side", "--sky-value", "--seed"))
