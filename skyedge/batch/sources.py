"""SOURCE as a stream of images: folders, globs, webdataset tars, and lists.

Memory does not grow with the number of images.
"""

from __future__ import annotations

import csv
import io
import json
import os
import posixpath
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge_runtime.errors import InputError
from edge_runtime.images.formats import IMAGE_SUFFIXES
from skyedge.batch.storage import SOURCE_EXPECTED, Entry, Place, kind_of, path_of, place, read_bytes, walk

MOST_SKIPPED = 100_000  # that are remembered
LISTS = (".csv", ".jsonl")
URI_COLUMNS = ("uri", "url", "path", "image", "file", "jpg")
DELIMITERS = ",;\t|"
JSON_LINE = 'a JSON object such as {"uri": "a.jpg"}'
WILD = re.compile(r"[*\[]")


@dataclass(frozen=True)
class Item:
    """An image of SOURCE.

    Attributes
    ----------
    uri
        Where it is, as its record says: a path, a URI, or TAR#MEMBER.
    identity
        What else tells one content from another: size, and time of change or tag, where the listing or the disk says them.
    container, start, size
        Of an image inside a tar: that file, and where, in bytes.
    """

    uri: str
    identity: str
    container: str = ""
    start: int = 0
    size: int = 0


def images(source: str, skipped: list[str] | None = None) -> Iterator[Item]:
    """Yield the images of SOURCE, in its order.

    `skipped` gets a line for each file of a folder that is no image by its name, up to `MOST_SKIPPED`.
    Raises `InputError` where SOURCE does not exist, or a list lacks the column of its images.
    """
    source = path_of(source)
    glob = WILD.search(source) is not None
    suffix = posixpath.splitext(source)[1].lower()
    if suffix in LISTS:
        if glob:
            return (item for entry, folder in _matching(source) for item in _list(folder.at(entry.path)))
        if kind_of(where := place(source)) == "file":
            return _list(where)
    if glob:
        return (item for entry, folder in _matching(source) for item in _images_of(folder, entry, None))
    where = place(source)
    kind = kind_of(where)
    if kind == "file" and suffix == ".tar":
        return _members(where)
    if kind != "folder":
        got = "an image, for which edge_runtime.segment is made" if kind == "file" else "which does not exist"
        raise InputError(f"got SOURCE {source}, {got}, expected {SOURCE_EXPECTED}")
    return (item for entry in walk(where) for item in _images_of(where, entry, skipped))


def _images_of(folder: Place, entry: Entry, skipped: list[str] | None) -> Iterator[Item]:
    suffix = posixpath.splitext(entry.path)[1].lower()
    if suffix == ".tar":
        yield from _members(folder.at(entry.path))
    elif suffix in IMAGE_SUFFIXES:
        yield Item(folder.at(entry.path).uri, f"{entry.size} {entry.stamp}")
    elif skipped is not None and len(skipped) < MOST_SKIPPED:
        skipped.append(f"{entry.path}: not an image by its name")


def _matching(source: str) -> Iterator[tuple[Entry, Place]]:
    """Yield what a glob matches: * and [...] within a name, ** over any number of folders."""
    from fsspec.utils import glob_translate

    start = WILD.search(source)
    assert start is not None
    fixed = source[: source.rfind("/", 0, start.start()) + 1]
    rest = source[len(fixed) :]
    folder = place(fixed.rstrip("/") or ("/" if fixed else "."))
    pattern = re.compile(glob_translate(rest))
    for entry in walk(folder, recursive="/" in rest or "**" in rest):
        if pattern.fullmatch(posixpath.relpath(entry.path, folder.path)):
            yield entry, folder


def _members(where: Place) -> Iterator[Item]:
    """Yield the images of a tar that is not compressed, so that each can be read by itself."""
    stamp = _identity(where.uri)
    try:
        with where.filesystem.open(where.path, "rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                name = posixpath.basename(member.name)
                if member.isfile() and posixpath.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith("."):
                    uri = f"{where.uri}#{member.name}"
                    yield Item(uri, f"{stamp} {member.size}", where.uri, member.offset_data, member.size)
                tar.members.clear()  # type: ignore[attr-defined]  # which would hold all of them
    except (tarfile.TarError, OSError) as error:
        raise InputError(f"cannot read the tar {where.uri}: {error}; expected a whole one, not compressed") from error


def _list(where: Place) -> Iterator[Item]:
    """Return the images that a list names; its column is looked for at once."""
    rows = _whole(where, _csv_rows(where) if where.path.lower().endswith(".csv") else _json_rows(where))
    uri_name = _find_column(where, list(next(rows)))
    return (_listed(where, row.get(uri_name)) for row in rows)


def _whole(where: Place, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a list; raises `InputError` where it turns out to be none, on whatever line that is."""
    try:
        yield from rows
    except InputError:
        raise
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise InputError(f"cannot read the list {where.uri}: {error}; expected {SOURCE_EXPECTED}") from error


def _find_column(where: Place, names: Sequence[str]) -> str:
    """Return the name of the column with the images; raises `InputError` where the list lacks it."""
    for name in URI_COLUMNS:
        if name in names:
            return name
    found, expected = f"the list {where.uri} with the columns {', '.join(names)}", " or ".join(URI_COLUMNS)
    raise InputError(f"got {found}, expected one of {expected}; rename the column with the images")


def _csv_rows(where: Place) -> Iterator[dict[str, Any]]:
    """Yield the header as keys, then the rows: commas, semicolons, tabs or bars, whichever the header has most of."""
    with where.filesystem.open(where.path, "rb") as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
        header = text.readline()
        delimiter = max(DELIMITERS, key=header.count)
        names = next(csv.reader([header], delimiter=delimiter), [])
        yield dict.fromkeys(names)
        rows = csv.reader(text, delimiter=delimiter)
        for row in rows:
            if row and len(row) != len(names):
                got = f"got {len(row)} fields in line {rows.line_num + 1} of {where.uri}"
                raise InputError(f"{got}, expected {len(names)}, as in its header, parted by {delimiter!r}; complete or quote it")
            if row:
                yield dict(zip(names, row, strict=True))


def _json_rows(where: Place) -> Iterator[dict[str, Any]]:
    """Yield the keys of the first line, then every line, an object each."""
    with where.filesystem.open(where.path, "rb") as file:
        number = 0
        for number, line in enumerate(filter(bytes.strip, file), 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(f"cannot read line {number} of {where.uri}: {error}; expected {JSON_LINE}") from error
            if not isinstance(row, dict):
                raise InputError(f"got {line[:80]!r} in line {number} of {where.uri}, expected {JSON_LINE}")
            if number == 1:
                yield dict.fromkeys(row)
            yield row
        if number == 0:
            raise InputError(f"got the empty list {where.uri}, expected {JSON_LINE} in each line")


def _listed(where: Place, uri: Any) -> Item:
    if not isinstance(uri, str) or not uri or "\0" in uri:
        raise InputError(f"the list {where.uri} has a row with {uri!r} for its image, expected text in every row: paths or URIs")
    uri = path_of(uri)
    if "://" not in uri and not uri.startswith("/"):  # a relative path counts from the list's folder
        uri = (where.folder / uri).uri
    return Item(uri, _identity(uri))


def content_of(item: Item) -> bytes:
    """Return the bytes of an image file. Raises `InputError` and `OSError` as `read_bytes` does."""
    if not item.container:
        return read_bytes(place(item.uri))
    return read_bytes(place(item.container), item.start, item.size)


def _identity(uri: str) -> str:
    """Return size and time of change of a local file; a store would be asked once for every image, so it is not."""
    if "://" in uri:
        return ""
    try:
        found = os.stat(uri)
    except (OSError, ValueError):  # ValueError: half a surrogate pair
        return "missing"
    return f"{found.st_size} {found.st_mtime}"
