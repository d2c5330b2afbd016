"""`segment` and `correct` on files that are not what they seem, in places that are taken, and beside each other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segmenting import MODEL, PIXELS, segment, write

from edge_runtime.errors import InputError
from edge_runtime.images.formats import read_rgb
from edge_runtime.images.mask_file import record_of
from edge_runtime.segment.run import Segment, main
from scenes.render import generate
from skyedge.correct.run import Correct
from skyedge.correct.run import main as correct_main


def dangling(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


ODD: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "dangling link": ("a.jpg", dangling, "a link to nothing"),
    "loop": ("a.jpg", loop, "Too many levels"),
    "FIFO": ("a.png", fifo, "a FIFO"),
    "folder named as an image": ("a.jpg", folder, "a folder"),
    "folder": ("inside", folder, "a folder"),
    "text": ("notes.txt", lambda path: path.write_text("x"), "not an image by its name"),
    "raw": ("a.cr2", lambda path: path.write_bytes(b"x"), "not an image by its name"),
}


@pytest.mark.parametrize("kind", ODD)
def test_what_is_skipped_is_counted_and_named(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "good.jpg")
    name, make, reason = ODD[kind]
    make(tmp_path / "in" / name)
    segment(tmp_path / "in", out=tmp_path / "out")
    told = capsys.readouterr()
    assert told.out.startswith("1 masks written, 0 failed, 1 skipped, ")
    assert f"skipped: {tmp_path / 'in' / name}: {reason}" in told.err


@pytest.mark.parametrize("kind", [kind for kind in ODD if kind not in ("folder named as an image", "folder", "text", "raw")])
def test_named_itself_it_is_a_failure(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, (name, make, reason) = write(tmp_path / "good.jpg"), ODD[kind]
    make(tmp_path / name)
    with pytest.raises(InputError, match="1 of 2 inputs failed"):
        segment(good, tmp_path / name, out=tmp_path / "out")
    assert reason in capsys.readouterr().err and (tmp_path / "out" / "good.png").is_file()


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPE", ".mpo", ".JPEG", ".Png"])
def test_every_suffix_is_read(suffix: str, tmp_path: Path) -> None:
    write(tmp_path / "in" / f"a{suffix}", format="PNG" if suffix == ".Png" else "MPO" if suffix == ".mpo" else "JPEG")
    segment(tmp_path / "in", out=tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.png"]


def test_folders_inside_of_folders(tmp_path: Path) -> None:
    places = ["a.jpg", "x/a.jpg", "x/y/b.png"]
    for place in places:
        write(tmp_path / "in" / place)
    (tmp_path / "in" / "x" / "again").symlink_to(tmp_path / "in")
    segment(tmp_path / "in", out=tmp_path / "out", recursive=True)
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert found == {"a.png", "x/a.png", "x/y/b.png"}


def test_a_folder_of_folders_names_the_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "in" / "x" / "a.jpg")
    with pytest.raises(InputError, match="1 of 1 inputs failed"):
        segment(tmp_path / "in", out=tmp_path / "out")
    assert "--recursive reads the folders inside" in capsys.readouterr().err


def test_a_suffix_in_capitals_is_no_other_file(tmp_path: Path) -> None:
    """On many disks NAME.PNG is NAME.png: a mask beside its image would replace it."""
    image = write(tmp_path / "a.PNG", format="PNG")
    with pytest.raises(InputError, match="is an input and would be overwritten"):
        segment(image, out=tmp_path)
    write(tmp_path / "a.png")
    with pytest.raises(InputError, match="a.PNG and .*a.png would both give .*, expected inputs of different stems"):
        segment(tmp_path, out=tmp_path / "out")


def test_an_ascii_locale_and_a_name_that_is_not(tmp_path: Path) -> None:
    write(tmp_path / "in" / f"{'é' * 100}ü.jpg")
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [tmp_path / "in", "--model", MODEL, "--out", tmp_path / "out", "--overlay"]
    command = [sys.executable, "-m", "edge_runtime.segment", *map(str, words)]
    done = subprocess.run(command, env=ascii_only, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{'é' * 100}ü{end}" for end in (".png", ".overlay.jpg")}


def test_one_image_may_name_its_mask(tmp_path: Path) -> None:
    image = write(tmp_path / "a.jpg")
    segment(image, out=tmp_path / "new" / "mask.png", overlay=True)
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"mask.png", "mask.overlay.jpg"}
    with pytest.raises(InputError, match="for 2 images, expected a folder"):
        segment(image, write(tmp_path / "b.jpg"), out=tmp_path / "two.png")
    with pytest.raises(InputError, match="ends in .png: masks are lossless"):
        segment(image, out=tmp_path / "mask.jpg")
    (tmp_path / "folder.png").mkdir()
    segment(image, out=tmp_path / "folder.png")
    assert (tmp_path / "folder.png" / "a.png").is_file()


@pytest.mark.parametrize("overlay", [False, True])
def test_labels_made_by_hand_stay(overlay: bool, tmp_path: Path) -> None:
    images, masks = write(tmp_path / "images" / "a.jpg").parent, tmp_path / "masks"
    write(tmp_path / "images" / "b.jpg")
    foreign = masks / ("a.overlay.jpg" if overlay else "a.png")
    masks.mkdir()
    Image.new("L", (60, 40), 255).save(foreign)
    before = foreign.read_bytes()
    for resume in (False, True):
        with pytest.raises(InputError, match=rf"{foreign}, which exists already, and not as this command writes it.*--overwrite"):
            segment(images, out=masks, overlay=overlay, resume=resume)
    assert foreign.read_bytes() == before and len(list(masks.iterdir())) == 1
    segment(images, out=masks, overlay=overlay, overwrite=True)
    assert foreign.read_bytes() != before
    segment(images, out=masks, overlay=overlay)  # over its own


def flipped(content: bytes, share: float) -> bytes:
    at = int(share * len(content))
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    **{f"cut to {count} bytes": lambda content, count=count: content[:count] for count in (0, 1, 8, 33, 60, 300)},  # type: ignore[misc]
    **{f"cut by {count} bytes": lambda content, count=count: content[:-count] for count in (1, 12, 40)},  # type: ignore[misc]
    **{f"a bit at {share}": lambda content, share=share: flipped(content, share) for share in (0.3, 0.9, 0.99)},  # type: ignore[misc]
    "zeros": lambda content: bytes(len(content)),
    "its end as zeros": lambda content: content[:400] + bytes(len(content) - 400),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_mask_is_made_again_and_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, out = write(tmp_path / "in" / "a.jpg").parent, tmp_path / "out"
    write(images / "b.jpg")
    segment(images, out=out, overlay=True)
    for target in (out / "a.png", out / "a.overlay.jpg"):
        whole = target.read_bytes()
        capsys.readouterr()
        if target.suffix == ".jpg" and name.startswith(("a bit", "cut by 1 ")):
            continue  # a JPEG has no checksum; its last byte alone is no loss
        target.write_bytes(DAMAGE[name](whole))
        segment(images, out=out, overlay=True, resume=True)
        told = capsys.readouterr()
        assert target.read_bytes() == whole and "1 masks written, 1 kept, 0 failed" in told.out
        assert f"{out / 'a.png'} was damaged: made again" in told.err


def test_what_might_be_somebodys_is_no_damaged_mask(tmp_path: Path) -> None:
    image, mask = write(tmp_path / "a.jpg"), write(tmp_path / "out" / "a.png")
    for content in (b"half", mask.read_bytes()[:-40]):
        mask.write_bytes(content)
        for resume in (False, True):
            with pytest.raises(InputError, match="or too damaged to tell"):
                segment(image, out=tmp_path / "out", resume=resume)
        assert mask.read_bytes() == content


def correct(image: Path, out: Path, **options: object) -> None:
    options = {"model": MODEL, "not_sky": ("5,5",)} | options
    correct_main(Correct(image, out, **options))  # type: ignore[arg-type]


def test_a_corrected_mask_is_a_label_for_segment_but_not_for_correct(tmp_path: Path) -> None:
    image, mask = write(tmp_path / "a.jpg"), tmp_path / "out" / "a.png"
    segment(image, out=mask.parent)
    with pytest.raises(InputError, match="not as this command"):
        correct(image, mask)
    correct(image, mask, mask=mask, model=None)
    assert record_of(mask) == "correct"
    correct(image, mask)
    with pytest.raises(InputError, match="not as this command"):
        segment(image, out=mask.parent)
    foreign = tmp_path / "foreign.png"
    Image.new("L", (60, 40), 255).save(foreign)
    with pytest.raises(InputError, match="exists already"):
        correct(image, foreign)
    correct(image, foreign, mask=foreign, model=None)


@pytest.mark.parametrize("make", [fifo, dangling, loop, folder])
@pytest.mark.parametrize("what", ["strokes", "mask"])
def test_what_is_no_file_is_refused_and_not_waited_for(make: Callable[[Path], None], what: str, tmp_path: Path) -> None:
    image, odd = write(tmp_path / "a.jpg"), tmp_path / "odd.png"
    make(odd)
    with pytest.raises(InputError, match=f"got the {what} .*odd.png, .*expected an 8-bit PNG"):
        correct(image, tmp_path / "out.png", **{what: odd, "model": None if what == "mask" else MODEL})


def test_a_name_of_255_bytes_costs_no_other_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long, short = write(tmp_path / "in" / ("x" * 251 + ".jpg")), write(tmp_path / "in" / "a.jpg")
    segment(long, short, out=tmp_path / "out")
    assert len(list((tmp_path / "out").iterdir())) == 2
    with pytest.raises(InputError, match="1 of 2 inputs failed"):
        segment(long, short, out=tmp_path / "tinted", overlay=True)
    assert "name too long" in capsys.readouterr().err
    assert {path.name for path in (tmp_path / "tinted").iterdir()} == {"a.png", "a.overlay.jpg"}


def test_every_image_may_be_read_again(tmp_path: Path) -> None:
    """What `segment` writes, others read: the overlay with its record is a plain JPEG."""
    segment(write(tmp_path / "a.jpg"), out=tmp_path / "out", overlay=True)
    assert record_of(tmp_path / "out" / "a.overlay.jpg") == "overlay"
    assert read_rgb(tmp_path / "out" / "a.overlay.jpg").shape == PIXELS.shape
    shutil.copy(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert record_of(tmp_path / "b.jpg") is None


@pytest.mark.parametrize("orientation", [1, 6])
def test_fast_decoding_keeps_size_and_nearly_the_mask(orientation: int, tmp_path: Path) -> None:
    """Only large JPEGs change: others are decoded as ever, and the record tells the masks apart."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    scene = Image.fromarray(generate(3, (300, 400), "street").image)
    large = scene.resize((3200, 2400))
    if orientation == 6:
        large = large.transpose(Image.Transpose.ROTATE_90)  # upright again as it is seen
    large.save(tmp_path / "large.jpg", exif=exif)
    scene.save(tmp_path / "small.png")
    masks = {}
    for fast in (False, True):
        out = tmp_path / str(fast)
        segment(tmp_path / "large.jpg", tmp_path / "small.png", out=out, exact=not fast)
        masks[fast] = [np.asarray(Image.open(out / f"{name}.png")) for name in ("large", "small")]
    plain, fast_mask = masks[False][0] > 127, masks[True][0] > 127
    assert plain.shape == fast_mask.shape == (2400, 3200)
    assert (plain == fast_mask).mean() > 0.99 and not np.array_equal(masks[False][0], masks[True][0])
    assert np.array_equal(masks[False][1], masks[True][1])
    for out, options in (("exact", {"exact": True}), ("plain", {})):  # what needs every pixel gets it
        segment(tmp_path / "large.jpg", out=tmp_path / out, overlay=True, **options)
        assert np.array_equal(np.asarray(Image.open(tmp_path / out / "large.png")), masks[False][0])


def test_an_out_that_is_a_file_is_refused_before_the_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("somebody's")
    with pytest.raises(InputError, match="which exists and is no folder"):
        main(Segment((write(tmp_path / "a.jpg"),), (tmp_path / "no model",), tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "somebody's"


def test_a_folder_that_cannot_be_listed_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("in/a.jpg", "in/locked/b.jpg", "alone/c.jpg"):
        write(tmp_path / place)
    real = Path.iterdir

    def iterdir(path: Path) -> object:  # root may list everything, so rights cannot be taken away for a test
        if path.name in ("locked", "alone"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    with pytest.raises(InputError, match="1 of 2 inputs failed"):
        segment(tmp_path / "in", tmp_path / "alone", out=tmp_path / "out", recursive=True)
    told = capsys.readouterr().err
    assert f"{tmp_path / 'in' / 'locked'}: Permission denied" in told and f"got no image in {tmp_path / 'alone'}" in told
    assert {path.name for path in real(tmp_path / "out")} == {"a.png"}


def test_a_name_cannot_forge_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forged = "a\n9 masks written, 0 failed\x1b[31m"
    write(tmp_path / "in" / f"{forged}.jpg")
    (tmp_path / "in" / f"{forged}.txt").write_text("x")
    (tmp_path / "in" / f"b{forged}.png").write_text("x")
    with pytest.raises(InputError, match="1 of 2 inputs failed"):
        segment(tmp_path / "in", out=tmp_path / "out", confidence=True)
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2 and len(told.err.splitlines()) == 2
    assert "\x1b" not in told.out + told.err and told.out.count("a\\n9 masks written, 0 failed\\x1b[31m") == 1
