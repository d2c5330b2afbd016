"""The file of a shard: a record for each image as JSON lines beside PNG files, as a webdataset tar, or as Parquet."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from edge_runtime.errors import InputError
from skyedge.batch.storage import Place, read_bytes

Masks = Literal["png", "tar", "parquet"]
SUFFIX = {"png": ".jsonl", "tar": ".tar", "parquet": ".parquet"}
ROW_GROUP = 32  # records in memory before they are written
FIELDS = {
    "sha256": "string",
    "width": "int32",
    "height": "int32",
    "sky_share": "float32",
    "confidence": "float32",
    "horizon": "float32",
    "model_sha256": "string",
    "seconds": "float32",
    "error": "string",
    "error_kind": "string",
}
RESERVED = frozenset(FIELDS) | {"uri", "identity", "mask", "mask_path"}
Row = dict[str, Any]  # "mask" holds the PNG, None where the image failed


def write_rows(local: Path, rows: Iterator[Row], columns: Mapping[str, Sequence[Any]]) -> None:
    """Write the records of a shard to a local file, whose suffix says how; `columns` are the carried ones of all rows."""
    {".jsonl": _write_lines, ".tar": _write_tar, ".parquet": _write_parquet}[local.suffix](local, rows, columns)


def _write_lines(local: Path, rows: Iterator[Row], _columns: Mapping[str, Sequence[Any]]) -> None:
    with local.open("wb") as file:
        file.writelines(_json(row) + b"\n" for row in rows)


def _write_tar(local: Path, rows: Iterator[Row], _columns: Mapping[str, Sequence[Any]]) -> None:
    """Write NUMBER.png and NUMBER.json for each row; an image that failed has no PNG."""
    with tarfile.open(local, "w", format=tarfile.PAX_FORMAT) as tar:
        for number, row in enumerate(rows):
            mask = row.pop("mask")
            for suffix, content in (("png", mask), ("json", _json(row))):
                if content is not None:
                    info = tarfile.TarInfo(f"{number:06d}.{suffix}")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))


def _json(row: Row) -> bytes:
    return json.dumps(row, allow_nan=False, default=str).encode()


def _write_parquet(local: Path, rows: Iterator[Row], columns: Mapping[str, Sequence[Any]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    kinds = {name: pa.array(values).type for name, values in columns.items()}
    carried = [(name, pa.string() if pa.types.is_null(kind) else kind) for name, kind in kinds.items()]
    schema = pa.schema([("uri", pa.string()), *carried, *FIELDS.items(), ("mask", pa.binary())])
    with parquet.ParquetWriter(local, schema) as writer:
        while group := list(islice(rows, ROW_GROUP)):
            writer.write_table(pa.Table.from_pylist(group, schema))


def read_rows(dest: Place, where: Place) -> Iterator[Row]:
    """Yield the records of the file of a shard, with their masks."""
    with where.filesystem.open(where.path, "rb") as file:
        if where.path.endswith(".jsonl"):
            for line in file:
                row = json.loads(line)
                yield row | {"mask": row["mask_path"] and read_bytes(dest / row["mask_path"])}
        elif where.path.endswith(".tar"):
            with tarfile.open(fileobj=file, mode="r:") as tar:
                mask = None
                for member in tar:
                    content = tar.extractfile(member)
                    assert content is not None
                    if member.name.endswith(".json"):
                        yield json.load(content) | {"mask": mask}
                        mask = None
                    else:
                        mask = content.read()
        else:
            from pyarrow import parquet

            for batch in parquet.ParquetFile(file).iter_batches(ROW_GROUP):
                yield from batch.to_pylist()


def mask_of(dest: Place, where: Place, row: int) -> bytes:
    """Return the mask of a row of the file of a shard, as PNG."""
    found = next(islice(read_rows(dest, where), row, None), None)
    if found is None or found["mask"] is None:
        raise InputError(f"got {where.uri} without a mask in row {row}, expected one; run it again")
    return bytes(found["mask"])


def check_masks(masks: Masks) -> None:
    """Raise `InputError` where Parquet is asked for without pyarrow."""
    if masks == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            got = f"got --masks parquet without pyarrow ({error})"
            raise InputError(f"{got}; install it: pip install pyarrow, or take --masks tar") from error
