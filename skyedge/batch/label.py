"""The images of lowest confidence, copied with their masks to DEST/label_next/: the layout that `fit` reads."""

from __future__ import annotations

import csv
import io
import posixpath
from collections.abc import Mapping, Sequence

from pyarrow import parquet

from edge_runtime.errors import InputError
from skyedge.batch.results import LABEL_FOLDER, Low, Manifest
from skyedge.batch.shards import SHARDS
from skyedge.batch.storage import Place, listed, place, read_bytes, remove, write

LIST_FILE = "manifest.csv"
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
        bare = low.uri.partition("?")[0]
        stem, suffix = posixpath.splitext(posixpath.basename(bare))
        id = f"{number:02d}_{stem}"
        try:
            image = read_bytes(place(low.uri))
        except (InputError, OSError):
            continue
        write(folder / "masks" / f"{id}.png", mask_of(dest, manifests[low.shard], low.row))
        write(folder / "images" / f"{id}{suffix}", image)
        rows.writerow((id, posixpath.dirname(bare), low.uri, low.confidence, low.sky_share))
    write(folder / LIST_FILE, text.getvalue().encode())


def mask_of(dest: Place, manifest: Manifest, row: int) -> bytes:
    """Return the mask of a row of a shard as PNG."""
    where = dest / SHARDS / manifest.file
    with parquet.ParquetFile(where.filesystem.open_input_file(where.path)) as file:
        name = "mask" if "mask" in file.schema_arrow.names else "mask_path"
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if row < count:
                value = file.read_row_group(group, columns=[name]).column(0)[row].as_py()
                return value if name == "mask" else read_bytes(dest / value)
            row -= count
    raise InputError(f"got {where.uri} without row {row}, expected {manifest.images} rows; run it again")
