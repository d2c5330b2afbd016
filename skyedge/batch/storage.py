"""Files by URI, local or in an object store: open, list, read with retries, write whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pyarrow import fs as arrow_fs

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from edge_runtime.images.formats import what_is_wrong

T = TypeVar("T")
TRIES, FIRST_WAIT_S = 5, 0.5  # of an object store; the wait doubles
MOST_BYTES = 1 << 30  # of one image file
NATIVE = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs")  # schemes that pyarrow knows; fsspec opens the others
LIST_EXPECTED = "a folder, a glob, a Parquet or CSV list, or a URI such as s3://BUCKET/FOLDER"


class StoreError(OSError):
    """An object store that does not answer, after all tries; another image may fare better."""


@dataclass(frozen=True)
class Place:
    """A file or folder: `path` in the terms of its file system; `root` is the URI's part before the path ("" on a disk)."""

    filesystem: Any
    path: str
    root: str
    query: str = ""

    @property
    def local(self) -> Path | None:
        """The path on this machine's disk, None for a store."""
        return Path(self.path) if not self.root else None

    def at(self, path: str) -> Place:
        """Return another path of the same file system."""
        return Place(self.filesystem, path, self.root, self.query)

    def __truediv__(self, name: str) -> Place:
        """Return a place inside this folder."""
        return self.at(f"{self.path.rstrip('/')}/{name}")

    @property
    def uri(self) -> str:
        """The URI that `place` turns into this place again; on a disk the plain path."""
        return f"{self.root}{self.path}{self.query}" if self.root else self.path


def place(uri: str) -> Place:
    """Return the place of a URI or a path; a relative path counts from the current folder."""
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme in ("", "file"):
        return Place(_disk(), os.path.abspath(uri.removeprefix("file://")), "")
    rest, mark, query = uri.partition("?")
    if scheme in NATIVE:
        bucket = urlsplit(rest).netloc
        filesystem = _native(f"{scheme}://{bucket}{mark}{query}")
        return Place(filesystem, rest.partition("://")[2], f"{scheme}://", mark + query)
    return Place(_fsspec(scheme), rest.partition("://")[2], f"{scheme}://", mark + query)


@lru_cache(maxsize=256)
def _native(uri: str) -> Any:
    try:
        return with_tries(lambda: arrow_fs.FileSystem.from_uri(uri)[0], f"cannot open {uri}")  # asks where a bucket is
    except ValueError as error:
        raise InputError(f"cannot open {uri}: {error}; expected {LIST_EXPECTED}") from error


@lru_cache(maxsize=64)
def _fsspec(scheme: str) -> Any:
    try:
        import fsspec

        return arrow_fs.PyFileSystem(arrow_fs.FSSpecHandler(fsspec.filesystem(scheme)))
    except (ImportError, ValueError) as error:
        raise InputError(f"got a URI {scheme}://...: {error}; expected {LIST_EXPECTED}") from error


@lru_cache(maxsize=1)
def _disk() -> Any:
    return arrow_fs.LocalFileSystem()


def with_tries(action: Callable[[], T], what: str) -> T:
    """Return what `action` returns; an object store that fails is asked again, what does not exist is not."""
    wait = FIRST_WAIT_S
    for attempt in range(1, TRIES + 1):
        try:
            return action()
        except FileNotFoundError:
            raise
        except OSError as error:
            if attempt == TRIES or "ACCESS_DENIED" in str(error):
                raise StoreError(f"{what}: {error}") from error
        time.sleep(wait)
        wait *= 2
    raise AssertionError("unreachable")


def read_bytes(where: Place) -> bytes:
    """Read a file; raises `InputError` where there is none or it is too large, `StoreError` where the store fails."""
    if (path := where.local) is not None:
        if wrong := what_is_wrong(path):
            raise InputError(f"got {path}, {wrong}, expected an existing image")
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"got {path} of {path.stat().st_size} bytes, expected at most {MOST_BYTES}")
        return path.read_bytes()

    def read() -> bytes:
        with where.filesystem.open_input_file(where.path) as file:
            if file.size() > MOST_BYTES:
                raise InputError(f"got {where.uri} of {file.size()} bytes, expected at most {MOST_BYTES}")
            return file.read()

    try:
        return with_tries(read, f"cannot read {where.uri}")
    except FileNotFoundError as error:
        raise InputError(f"got {where.uri}, which does not exist, expected an existing image") from error


def write(where: Place, content: bytes) -> None:
    """Write a file whole or not at all; an existing one is replaced. In a store that is one upload."""
    if (path := where.local) is not None:
        with partial_file(path) as partial:
            partial.write_bytes(content)
        return

    def upload() -> None:
        with where.filesystem.open_output_stream(where.path) as stream:
            stream.write(content)

    with_tries(upload, f"cannot write {where.uri}")


def upload_file(source: Path, where: Place) -> None:
    """Move a finished local file to `where`; in a store it appears when the upload is complete."""
    if (path := where.local) is not None:
        with partial_file(path) as partial:
            shutil.copyfile(source, partial)
        return

    def upload() -> None:
        with source.open("rb") as file, where.filesystem.open_output_stream(where.path) as stream:
            shutil.copyfileobj(file, stream, 1 << 23)

    with_tries(upload, f"cannot write {where.uri}")


def listed(folder: Place) -> dict[str, int]:
    """Return the sizes of the files in a folder by name; nothing where there is no folder."""
    infos = _infos(folder)
    names = ((info.base_name, info.size) for info in infos if info.type == arrow_fs.FileType.File)
    return {name: size or 0 for name, size in names if not name.startswith(".")}


def walk(folder: Place, recursive: bool = True) -> Iterator[Any]:
    """Yield the `FileInfo` of all files below a folder, sorted by path, without hidden ones; memory holds one folder."""
    for info in sorted(_infos(folder), key=lambda info: info.path):
        if info.base_name.startswith("."):
            continue
        if info.type == arrow_fs.FileType.Directory and recursive:
            yield from walk(folder.at(info.path))
        elif info.type == arrow_fs.FileType.File:
            yield info


def _infos(folder: Place) -> list[Any]:
    if folder.local is not None:
        return [_local_info(entry) for entry in os.scandir(folder.path)] if folder.local.is_dir() else []
    selector = arrow_fs.FileSelector(folder.path, allow_not_found=True)
    return with_tries(lambda: folder.filesystem.get_file_info(selector), f"cannot list {folder.uri}")


def _local_info(entry: os.DirEntry[str]) -> Any:
    """Return what pyarrow says of a local entry, but name links to nothing, and take a link to a folder for a file.

    Such links are not followed, for they may lead back; the record of one with an image's name says what it is.
    """
    if entry.is_dir(follow_symlinks=False):
        return arrow_fs.FileInfo(entry.path, arrow_fs.FileType.Directory)
    found = entry.stat(follow_symlinks=not _leads_nowhere(entry))
    return arrow_fs.FileInfo(entry.path, arrow_fs.FileType.File, size=found.st_size, mtime_ns=found.st_mtime_ns)


def _leads_nowhere(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)


def kind_of(where: Place) -> str:
    """Return `file`, `folder` or `nothing`."""
    info = with_tries(lambda: where.filesystem.get_file_info(where.path), f"cannot look at {where.uri}")
    kinds = {arrow_fs.FileType.File: "file", arrow_fs.FileType.Directory: "folder"}
    return kinds.get(info.type, "nothing")


def remove(where: Place) -> None:
    """Remove a file, if it is there."""
    try:
        with_tries(lambda: where.filesystem.delete_file(where.path), f"cannot remove {where.uri}")
    except FileNotFoundError:
        return


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
