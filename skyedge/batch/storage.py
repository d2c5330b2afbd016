"""Files by URI, on a disk or in an object store: list, read with retries, write whole or not at all.

`fsspec` opens every scheme but file://, which is a path here. Keys and endpoints come from the environment.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file
from edge_runtime.images.formats import what_is_wrong

T = TypeVar("T")
TRIES, FIRST_WAIT_S = 5, 0.5  # of an object store; the wait doubles
MOST_BYTES = 1 << 30  # of one image file
SOURCE_EXPECTED = "a folder, a glob, a .tar, a list (.csv, .jsonl), or a URI such as s3://BUCKET/FOLDER"


class StoreError(OSError):
    """An object store that does not answer, after all tries; another image may fare better."""


@dataclass(frozen=True)
class Entry:
    """A file of a listing: `stamp` is its time of change or tag, "" where the store tells none."""

    path: str
    size: int
    stamp: str


@dataclass(frozen=True)
class Place:
    """A file or folder: `path` in the terms of its file system."""

    filesystem: Any
    path: str

    @property
    def local(self) -> Path | None:
        """The path on this machine's disk, None for a store."""
        return Path(self.path) if getattr(self.filesystem, "local_file", False) else None

    @property
    def uri(self) -> str:
        """What `place` turns into this place again; on a disk the plain path."""
        return self.path if self.local is not None else str(self.filesystem.unstrip_protocol(self.path))

    @property
    def folder(self) -> Place:
        """The folder that this is in."""
        return self.at(posixpath.dirname(self.path))

    def at(self, path: str) -> Place:
        """Return another path of the same file system."""
        return Place(self.filesystem, path)

    def __truediv__(self, name: str) -> Place:
        """Return a place inside this folder."""
        return self.at(f"{self.path.rstrip('/')}/{name}")


def place(uri: str) -> Place:
    """Return the place of a URI or a path; a relative path counts from the current folder.

    In file:// URIs %20 is a space; paths, and the keys of stores, are taken as they stand.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme in ("", "file"):
        return Place(_opened("file"), os.path.abspath(path_of(uri)))
    filesystem = _opened(scheme)
    return Place(filesystem, filesystem._strip_protocol(uri))


def path_of(uri: str) -> str:
    """Return the path of a file:// URI; anything else as it is. A host other than this one is an `InputError`."""
    if not uri.startswith("file://"):
        return uri
    parts = urlsplit(uri.replace("?", "%3F").replace("#", "%23"))
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"got {uri} on the host {parts.netloc}, expected file:///PATH, with three slashes")
    return unquote(parts.path)


@lru_cache(maxsize=64)
def _opened(scheme: str) -> Any:
    options = {} if scheme == "file" else {"use_listings_cache": False}
    try:
        import fsspec
    except ImportError as error:
        raise InputError(f"skyedge.batch needs fsspec ({error}); install it: pip install 'skyedge[batch]'") from error
    try:
        return with_tries(lambda: fsspec.filesystem(scheme, **options), f"cannot open {scheme}://")
    except (ImportError, ValueError) as error:
        raise InputError(f"got a URI {scheme}://...: {error}; expected {SOURCE_EXPECTED}") from error


def with_tries(action: Callable[[], T], what: str) -> T:
    """Return what `action` returns; an object store that fails is asked again, but not for what is not there or not allowed."""
    wait = FIRST_WAIT_S
    for attempt in range(1, TRIES + 1):
        try:
            return action()
        except (FileNotFoundError, FileExistsError):
            raise
        except OSError as error:
            if attempt == TRIES or isinstance(error, PermissionError):
                raise StoreError(f"{what}: {error}") from error
        time.sleep(wait)
        wait *= 2
    raise AssertionError("unreachable")


def read_bytes(where: Place, start: int = 0, size: int | None = None) -> bytes:
    """Read a file, or `size` bytes of it.

    Raises `InputError` where there is none or it is too large, `StoreError` where the store fails.
    """
    if (path := where.local) is not None and (wrong := what_is_wrong(path)):
        raise InputError(f"got {path}, {wrong}, expected an existing image")

    def read() -> bytes:
        if size is None and (found := int(where.filesystem.size(where.path) or 0)) > MOST_BYTES:
            raise InputError(f"got {where.uri} of {found} bytes, expected at most {MOST_BYTES}")
        end = None if size is None else start + size
        return bytes(where.filesystem.cat_file(where.path, start=start, end=end))

    try:
        return read() if path is not None else with_tries(read, f"cannot read {where.uri}")
    except FileNotFoundError as error:
        raise InputError(f"got {where.uri}, which does not exist, expected an existing image") from error


def write(where: Place, content: bytes) -> None:
    """Write a file whole or not at all; an existing one is replaced. In a store that is one upload."""
    if (path := where.local) is not None:
        with partial_file(path) as partial:
            partial.write_bytes(content)
    else:
        with_tries(lambda: where.filesystem.pipe_file(where.path, content), f"cannot write {where.uri}")


def create(where: Place, content: bytes) -> bool:
    """Write a small file unless it is there; tells whether it was written. Some stores let two callers win at once."""
    if kind_of(where) == "file":
        return False
    try:
        if (path := where.local) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                file.write(content)
        else:
            with_tries(lambda: where.filesystem.pipe_file(where.path, content, mode="create"), f"cannot write {where.uri}")
    except FileExistsError:
        return False
    return True


def upload_file(source: Path, where: Place) -> None:
    """Copy a finished local file to `where`; in a store it appears when the upload is complete."""
    if (path := where.local) is not None:
        with partial_file(path) as partial:
            shutil.copyfile(source, partial)
    else:
        with_tries(lambda: where.filesystem.put_file(str(source), where.path), f"cannot write {where.uri}")


def listed(folder: Place) -> dict[str, int]:
    """Return the sizes of the files in a folder by name; nothing where there is no folder."""
    return {posixpath.basename(entry.path): entry.size for entry in walk(folder, recursive=False)}


def walk(folder: Place, recursive: bool = True) -> Iterator[Entry]:
    """Yield the files below a folder, sorted by path, without hidden ones; memory holds one folder at a time.

    Links to folders are not followed, for they may lead back; they and links to nothing are named like files.
    """
    try:
        infos = with_tries(lambda: folder.filesystem.ls(folder.path, detail=True), f"cannot list {folder.uri}")
    except (FileNotFoundError, NotADirectoryError):
        return
    for info in sorted(infos, key=lambda info: str(info["name"])):
        path = str(info["name"]).rstrip("/")
        if posixpath.basename(path).startswith(".") or path == folder.path.rstrip("/"):
            continue
        if info["type"] == "directory":
            if recursive:
                yield from walk(folder.at(path))
            continue
        stamp = info.get("ETag") or info.get("LastModified") or info.get("mtime") or ""
        if info.get("islink") and os.path.exists(path):
            stamp = os.stat(path).st_mtime
        yield Entry(path, info["size"] or 0, str(stamp).strip('"'))


def kind_of(where: Place) -> str:
    """Return `file`, `folder` or `nothing`."""
    try:
        info = with_tries(lambda: where.filesystem.info(where.path), f"cannot look at {where.uri}")
    except FileNotFoundError:
        return "nothing"
    return "folder" if info["type"] == "directory" else "file"


def remove(where: Place) -> None:
    """Remove a file, if it is there."""
    try:
        with_tries(lambda: where.filesystem.rm_file(where.path), f"cannot remove {where.uri}")
    except FileNotFoundError:
        return
