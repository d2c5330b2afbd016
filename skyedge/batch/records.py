"""The file of a shard: a record for each image, as JSON lines beside PNG files, or with the masks as a webdataset tar."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

Masks = Literal["png", "tar"]
SUFFIX = {"png": ".jsonl", "tar": ".tar"}
Row = dict[str, Any]  # "mask" holds the PNG, None where the image failed


def write_rows(local: Path, rows: Iterator[Row]) -> None:
    """Write the records of a shard to a local file, whose suffix says how: a tar has NUMBER.png and NUMBER.json of each row."""
    if local.suffix == ".jsonl":
        with local.open("wb") as file:
            file.writelines(_json(row) + b"\n" for row in rows)
        return
    with tarfile.open(local, "w", format=tarfile.PAX_FORMAT) as tar:
        for number, row in enumerate(rows):
            mask = row.pop("mask")
            for suffix, content in (("png", mask), ("json", _json(row))):
                if content is not None:
                    info = tarfile.TarInfo(f"{number:06d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))


def _json(row: Row) -> bytes:
    return json.dumps(row, allow_nan=False).encode()
