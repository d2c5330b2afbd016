"""SOURCE as a stream of images: folders, globs, and Parquet or CSV lists, with the columns that are carried along.

Every batch is a table with `uri`, `identity` (what else tells one content from another: size and time of change where the
listing or the disk says them, else empty) and the carried columns. Memory does not grow with the number of images.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import dataset as arrow_dataset

from edge_runtime.errors import InputError
from edge_runtime.images.formats import IMAGE_SUFFIXES
from skyedge.batch.storage import LIST_EXPECTED, Place, kind_of, place, walk

ROWS = 8192  # of a batch
MOST_SKIPPED = 100_000  # that are remembered
LIST_SUFFIXES = {".parquet": "parquet", ".csv": "csv"}
URI_COLUMNS = ("uri", "url", "path", "image", "file")
WILD = re.compile(r"[*\[]")


def images(
    source: str, columns: Sequence[str] = (), uri_column: str | None = None, skipped: list[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the images of SOURCE, in its order, in batches; see the module.

    `skipped` gets a line for each file of a folder that is no image by its name, up to `MOST_SKIPPED`.
    Raises `InputError` where SOURCE does not exist, or a list lacks a column.
    """
    bare = source.partition("?")[0] if "://" in source else source
    suffix = posixpath.splitext(bare)[1].lower()
    if WILD.search(bare):
        if columns:
            raise InputError(f"got --columns with the glob {source}, expected them with a Parquet or CSV list; leave them out")
        return _batches(_matching(source))
    where = place(source)
    kind = kind_of(where)
    if suffix in LIST_SUFFIXES and kind != "nothing":
        return _list(where, LIST_SUFFIXES[suffix], columns, uri_column)
    if kind != "folder":
        got = "an image, for which edge_runtime.segment is made" if kind == "file" else "which does not exist"
        raise InputError(f"got SOURCE {source}, {got}, expected {LIST_EXPECTED}")
    if columns:
        raise InputError(f"got --columns with the folder {source}, expected them with a Parquet or CSV list; leave them out")
    return _batches(_row(where, info) for info in walk(where) if _is_image(info.path, skipped))


def _is_image(path: str, skipped: list[str] | None = None) -> bool:
    found = posixpath.splitext(path)[1].lower() in IMAGE_SUFFIXES
    if not found and skipped is not None and len(skipped) < MOST_SKIPPED:
        skipped.append(f"{path}: not an image by its name")
    return found


def _row(folder: Place, info: Any) -> tuple[str, str]:
    """Return URI and identity of a listed file."""
    return folder.at(info.path).uri, f"{info.size} {info.mtime_ns}"


def _batches(rows: Iterator[tuple[str, str]]) -> Iterator[pa.Table]:
    uris: list[str] = []
    identities: list[str] = []
    for uri, identity in rows:
        uris.append(uri)
        identities.append(identity)
        if len(uris) == ROWS:
            yield pa.table({"uri": uris, "identity": identities})
            uris, identities = [], []
    if uris:
        yield pa.table({"uri": uris, "identity": identities})


def _matching(source: str) -> Iterator[tuple[str, str]]:
    """Yield what a glob matches: * and [...] within a name, ** over any number of folders."""
    bare, mark, query = source.partition("?") if "://" in source else (source, "", "")
    start = WILD.search(bare)
    assert start is not None
    fixed = bare[: bare.rfind("/", 0, start.start()) + 1]
    folder = place((fixed.rstrip("/") or ("/" if fixed else ".")) + mark + query)
    pattern = re.compile(glob_pattern(bare[len(fixed) :]))
    for info in walk(folder, recursive="/" in bare[len(fixed) :] or "**" in bare):
        if pattern.fullmatch(posixpath.relpath(info.path, folder.path)) and _is_image(info.path):
            yield _row(folder, info)


def glob_pattern(glob: str) -> str:
    """Return a glob as a regular expression; * and [...] stay within a name, ** goes over any number of folders."""
    out = []
    for part in re.findall(r"\*\*/|\*\*|\*|\[[^\]/]+\]|.", glob, re.DOTALL):
        if part in ("**/", "**"):
            out.append("(?:[^/]+/)*" if part == "**/" else ".*")
        elif part == "*":
            out.append("[^/]*")
        elif len(part) > 1:
            out.append("[" + part[1:-1].replace("\\", r"\\").replace("!", "^", part[1] == "!") + "]")
        else:
            out.append(re.escape(part))
    return "".join(out)


def _list(where: Place, kind: str, columns: Sequence[str], uri_column: str | None) -> Iterator[pa.Table]:
    try:
        data = arrow_dataset.dataset(where.path, filesystem=where.filesystem, format=kind)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the list {where.uri}: {error}; expected {LIST_EXPECTED}") from error
    names = data.schema.names
    uri_name = uri_column or next((name for name in URI_COLUMNS if name in names), None)
    missing = [name for name in (uri_name or " or ".join(URI_COLUMNS), *columns) if name not in names]
    if missing:
        raise InputError(
            f"the list {where.uri} has no column {', '.join(missing)}, expected columns among {', '.join(names)}; "
            "--uri-column names the one with the images"
        )
    if not (pa.types.is_string(data.schema.field(uri_name).type) or pa.types.is_large_string(data.schema.field(uri_name).type)):
        raise InputError(f"column {uri_name} of {where.uri} is {data.schema.field(uri_name).type}, expected text: paths or URIs")
    return _list_batches(where, data, str(uri_name), columns)


def _list_batches(where: Place, data: Any, uri_name: str, columns: Sequence[str]) -> Iterator[pa.Table]:
    folder = where.at(posixpath.dirname(where.path))
    wanted = list(dict.fromkeys((uri_name, *columns)))
    try:
        # Little read-ahead: a list of 10^8 rows must not lie in memory.
        for batch in data.to_batches(columns=wanted, batch_size=ROWS, batch_readahead=1, fragment_readahead=1, use_threads=False):
            uris = [_absolute(uri, folder) for uri in _uris(batch.column(uri_name), where)]
            yield pa.table({"uri": uris, "identity": list(map(_identity, uris))} | {name: batch.column(name) for name in columns})
    except pa.ArrowInvalid as error:
        raise InputError(f"cannot read the list {where.uri}: {error}; expected {LIST_EXPECTED}") from error


def _uris(column: Any, where: Place) -> list[str]:
    if column.null_count:
        raise InputError(f"the list {where.uri} has {column.null_count} rows without a URI, expected one in every row")
    return column.to_pylist()


def _absolute(uri: str, folder: Place) -> str:
    """Return what a list names: a relative path counts from the list's folder."""
    if "://" in uri:
        return uri.removeprefix("file://")
    return uri if uri.startswith("/") else (folder / uri).uri


def _identity(uri: str) -> str:
    """Return size and time of change of a local file; a store would be asked once for every image, so it is not."""
    if "://" in uri:
        return ""
    try:
        found = os.stat(uri)
    except OSError:
        return "missing"
    return f"{found.st_size} {found.st_mtime_ns}"
