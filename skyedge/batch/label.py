"""The images of lowest confidence, copied with their masks to DEST/label_next/: the layout that `fit` reads."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Mapping, Sequence

from edge_runtime.errors import InputError
from skyedge.batch.records import mask_of
from skyedge.batch.results import LABEL_FOLDER, Low, Manifest
from skyedge.batch.shards import SHARDS
from skyedge.batch.sources import Item, content_of
from skyedge.batch.storage import Place, listed, remove, write

LIST_FILE = "manifest.csv"
JPEG = ".jpg"  # of an image in Parquet, which has no name; readers go by the content
HEADER = ("id", "source", "uri", "confidence", "sky_share")


def copy_lowest(dest: Place, manifests: Mapping[str, Manifest], lowest: Sequence[Low]) -> None:
    """Copy images and masks, and list them in manifest.csv with their URIs; an image that is gone by now is left out."""
    folder = dest / LABEL_FOLDER
    for kind in ("images", "masks"):
        for name in listed(folder / kind):
            remove(folder / kind / name)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(HEADER)
    for number, low in enumerate(lowest):
        try:
            image = content_of(Item(low.uri, "", {}, low.container, low.start, low.size))
        except (InputError, OSError):
            continue
        folder_of, _, name = low.uri.replace("#", "/").rpartition("/")
        stem, suffix = posixpath.splitext(name)
        id = f"{number:02d}_{stem}"
        write(folder / "masks" / f"{id}.png", mask_of(dest, dest / SHARDS / manifests[low.shard].file, low.row))
        write(folder / "images" / f"{id}{suffix or JPEG}", image)
        rows.writerow((id, folder_of, low.uri, low.confidence, low.sky_share))
    write(folder / LIST_FILE, text.getvalue().encode())
