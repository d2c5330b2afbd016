"""The page of a batch run."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
from PIL import Image

from edge_runtime.errors import InputError
from edge_runtime.images.dataset import find_pairs, read_pair
from scenes.render import generate
from skyedge.batch.results import BINS, LABEL_FOLDER, SUMMARY_FILE, Low, Step, Summary
from skyedge.report.archive import write_page
from skyedge.report.build import ReportConfig, main

pytestmark = pytest.mark.slow
URI = "s3://archive/street/00_<b>x.jpg"
SUMMARY = Summary(
    schema_version=1,
    source="s3://archive/<street>",
    model="unet_lite_s",
    model_sha256="ab" * 32,
    workers=2,
    shards=40,
    images=10_000,
    failed=7,
    errors={"unreadable": 4, "timed out": 3},
    retried=3,
    new_images=10_000,
    seconds=240.0,
    stage_seconds={"read": 30.0, "decode": 90.0, "infer": 200.0, "encode": 120.0, "write": 10.0},
    sky_shares=tuple(range(BINS)),
    timeline=(Step(0.0, 35.0), Step(120.0, 48.0)),
    lowest=(Low(URI, "0" * 16, 3, 0.25, 0.5),),
)


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    """Return what a run leaves for the report: the summary, and one image to label."""
    folder = tmp_path / "dest"
    scene = generate(3, (90, 120), "street", "clear")
    for kind, pixels in (("images", scene.image), ("masks", (scene.alpha * 255).astype("uint8"))):
        (folder / LABEL_FOLDER / kind).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / LABEL_FOLDER / kind / "00_x.png")
    with (folder / LABEL_FOLDER / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("id", "source", "uri", "confidence", "sky_share"), ("00_x", "street", URI, 0.25, 0.5)])
    (folder / SUMMARY_FILE).write_text(json.dumps(dataclasses.asdict(SUMMARY)))
    return folder


def test_the_page_shows_the_run(dest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(ReportConfig((dest,), tmp_path / "page"))
    page = (tmp_path / "page" / "index.html").read_text()
    assert capsys.readouterr().out.strip() == str(tmp_path / "page" / "index.html")
    for text in (
        "10,000 images in 40 shards",
        "10,000 images in 240.0 s by 2 workers: 41.7 a second",
        "9,993",
        "timed out",
        "20.01",
    ):
        assert text in page, text
    assert page.count("data:image/jpeg;base64,") == 1 and "0.250" in page
    assert "<street>" not in page and "<b>x" not in page and page.count("<svg") == 2
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page


def test_without_the_copies_the_page_says_so(dest: Path, tmp_path: Path) -> None:
    (dest / LABEL_FOLDER / "manifest.csv").unlink()
    assert "No copies here" in write_page(dest, tmp_path / "page").read_text()


def test_a_broken_summary_and_other_options_are_refused(dest: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a batch run alone"):
        main(ReportConfig((dest, dest), tmp_path / "page"))
    values = json.loads((dest / SUMMARY_FILE).read_text())
    (dest / SUMMARY_FILE).write_text(json.dumps(values | {"images": "many"}))
    with pytest.raises(InputError, match="images: got 'many', expected a whole number.*run skyedge.batch again"):
        main(ReportConfig((dest,), tmp_path / "page"))
    assert not (tmp_path / "page").exists()


def test_fit_reads_what_is_to_be_labeled(dest: Path) -> None:
    """The folder is a data set: images, masks, and a manifest whose ids are the images."""
    (pair,) = find_pairs(dest / LABEL_FOLDER)
    assert (pair.id, pair.source) == ("00_x", "street") and read_pair(pair).image.shape == (90, 120, 3)
