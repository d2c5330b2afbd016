"""What results take over from photographs: profile, metadata, and sizes that a kind of file cannot have."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms

from edge_runtime import Segmenter
from edge_runtime.errors import InputError
from edge_runtime.images.photo import EXIF_IFD, SIZE_TAGS, Photo, check_side, to_profile
from edge_runtime.masks.cutout import remove_sky
from edge_runtime.segment.run import Segment
from edge_runtime.segment.run import main as segment
from skyedge.replace.run import Replace, main

MODEL = Path(__file__).parents[3] / "models" / "unet_lite_s" / "onnx-int8"
GREEN = (30, 150, 40)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" photoshop:City="Chur"/></x:xmpmeta>'


def display_p3() -> bytes:
    """Return the profile of sRGB with the primaries of Display P3, as XYZ under D50."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    primaries = {b"rXYZ": (0.5151, 0.2412, -0.0011), b"gXYZ": (0.2920, 0.6922, 0.0419), b"bXYZ": (0.1571, 0.0666, 0.7841)}
    for tag, values in primaries.items():
        at = content.index(tag)
        offset = int.from_bytes(content[at + 4 : at + 8], "big") + 8
        content[offset : offset + 12] = b"".join(round(65_536 * value).to_bytes(4, "big", signed=True) for value in values)
    return bytes(content)


WIDE = display_p3()


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return a photograph that was held on its side, with a profile, a place and an old thumbnail."""
    image = np.full((160, 240, 3), GREEN, np.uint8)
    image[:80] = (120, 170, 230)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0132] = 6, "Maker", "2026:11:29 12:30:05"
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 51.0, 0.0)})
    exif.get_ifd(EXIF_IFD).update({0x9003: "2026:11:29 12:30:05", SIZE_TAGS[0]: 160, SIZE_TAGS[1]: 240})
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.rot90(image)).save(path, quality=98, exif=exif, icc_profile=WIDE, xmp=XMP)
    return path


def seen(path: Path) -> np.ndarray:
    """Return an image as a color-managed viewer shows it, in sRGB."""
    with Image.open(path) as opened:
        return to_profile(np.asarray(opened.convert("RGB")), opened.info.get("icc_profile"), None).astype(int)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_replaced_sky_keeps_colors_and_metadata(suffix: str, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / f"out{suffix}"
    main(Replace(photo, MODEL, "clouds", out, relight=0, min_sky=0))
    wanted = seen(photo)[10, 120]  # of the ground, stored on its side
    assert np.abs(seen(out)[150, 120] - wanted).max() <= 3 and np.abs(wanted - GREEN).max() > 5
    with Image.open(out) as found:
        exif = found.getexif()
        assert found.info["icc_profile"] == WIDE and found.size == (240, 160)
        assert exif[0x010F] == "Maker" and exif.get_ifd(0x8825)[2] == (46.0, 51.0, 0.0)
        assert exif.get(0x0112, 1) == 1 and exif[0x0131] == "skyedge replace"
        assert [exif.get_ifd(EXIF_IFD)[tag] for tag in SIZE_TAGS] == [240, 160]
        assert not exif.get_ifd(ExifTags.IFD.IFD1)  # the old sky
        xmp = found.info.get("xmp") or found.info["XML:com.adobe.xmp"]
        xmp = xmp.encode() if isinstance(xmp, str) else xmp
        assert b'tiff:Orientation="1"' in xmp and b"Chur" in xmp


def test_metadata_goes_where_asked(photo: Path, tmp_path: Path) -> None:
    main(Replace(photo, MODEL, "clouds", tmp_path / "out.jpg", min_sky=0, strip_metadata=True))
    with Image.open(tmp_path / "out.jpg") as found:
        assert found.info["icc_profile"] == WIDE and "xmp" not in found.info
        assert dict(found.getexif()) == {0x0131: "skyedge replace"}


def test_overlays_and_cut_outs_keep_the_profile(photo: Path, tmp_path: Path) -> None:
    segment(Segment((photo,), (MODEL,), tmp_path / "masks", overlay=True))
    with Image.open(tmp_path / "masks" / "photo.overlay.jpg") as overlay:
        assert overlay.info["icc_profile"] == WIDE
    segmenter = Segmenter.load(MODEL)
    for given in (photo, photo.read_bytes(), Image.open(photo)):
        found = remove_sky(given, segmenter)
        if isinstance(found, bytes):
            found = Image.open(io.BytesIO(found))
        assert found.info["icc_profile"] == WIDE


def test_a_sky_image_comes_in_the_colors_of_the_photograph(photo: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((90, 240, 3), (250, 150, 60), np.uint8)).save(tmp_path / "sky.png")
    main(Replace(photo, MODEL, str(tmp_path / "sky.png"), tmp_path / "out.png", relight=0, min_sky=0))
    assert np.abs(np.median(seen(tmp_path / "out.png")[:30].reshape(-1, 3), axis=0) - (250, 150, 60)).max() <= 3


def test_profiles_of_other_colors_and_broken_files(tmp_path: Path) -> None:
    Image.new("CMYK", (8, 8)).save(tmp_path / "a.jpg", icc_profile=WIDE[:16] + b"CMYK" + WIDE[20:])
    (tmp_path / "b.jpg").write_bytes(b"no image")
    assert Photo.of(tmp_path / "a.jpg").icc is None and Photo.of(tmp_path / "b.jpg").icc is None
    with pytest.raises(InputError, match="sides of at most 16383 in .webp; choose .png"):
        check_side(tmp_path / "a.webp", (16_384, 10, 3))
    check_side(tmp_path / "a.png", (70_000, 10, 3))
