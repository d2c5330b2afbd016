"""Write files and folders whole or not at all; the digest of a file.

The content goes to a partial file of a unique hidden name beside the target, is synced to the disk, and is renamed at the
end. When writing fails, Ctrl-C included, the partial file is removed. A killed process leaves its partial file; the next
process that writes into that folder removes it. A writer holds a lock on its partial file, so one in use is left alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import re
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from edge_runtime.errors import InputError

fcntl = importlib.import_module("fcntl") if os.name == "posix" else None  # elsewhere nothing stale is removed
STALE = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.(?P<kind>partial|replaced)(\.[^.]{1,15})?", re.DOTALL)
LONGEST_NAME = 255  # bytes, on every common file system
_swept: set[Path] = set()
_sweeping = threading.Lock()


@contextlib.contextmanager
def partial_file(target: Path, replace: bool = True) -> Iterator[Path]:
    """Yield the path of an empty file with the suffix of `target`; what the block writes into it becomes `target`.

    Missing parent folders are made. Raises `InputError` where `target` is anything but a file, or exists and `replace`
    is False. That is checked again at the end, so two processes cannot both create it.
    """
    _check_file_target(target, replace)
    partial, lock = _create(target, folder=False)
    try:
        yield partial
        _sync(partial)
        if replace:
            partial.replace(target)
        else:
            _rename_new(partial, target)
        _sync(target.parent)
    finally:
        partial.unlink(missing_ok=True)
        os.close(lock)


@contextlib.contextmanager
def partial_folder(target: Path, replace: bool = False) -> Iterator[Path]:
    """Yield an empty folder; what the block writes into it becomes the folder `target`.

    Raises `InputError` where `target` is a file, or is a folder that is not empty and `replace` is False. A folder that is
    replaced is lost only after the new one has its name.
    """
    target = target.resolve()
    _check_folder_target(target, replace)
    partial, lock = _create(target, folder=True)
    try:
        yield partial
        for path in [*partial.rglob("*"), partial]:
            _sync(path)
        _check_folder_target(target, replace)
        if replace and target.exists():
            _replace_folder(partial, target)
        else:
            partial.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(target: Path, content: bytes, replace: bool = True) -> None:
    """Write a file in one step; see `partial_file`."""
    with partial_file(target, replace) as partial:
        partial.write_bytes(content)


def write_text(target: Path, text: str, replace: bool = True) -> None:
    """Write a UTF-8 file in one step; see `partial_file`."""
    write_bytes(target, text.encode(), replace)


def write_json(target: Path, value: Any, replace: bool = True) -> None:
    """Write `value` as JSON, one key a line, in one step; NaN and infinity are a `ValueError`. See `partial_file`."""
    write_text(target, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n", replace)


def check_free(targets: Iterable[Path], ours: Callable[[Path], bool] | None = None) -> None:
    """Raise `InputError` where a target has content: the rule of every command without --overwrite.

    `ours` tells by its record what the command itself wrote, and may replace.
    """
    taken = [path for path in targets if is_content(path) and not (ours and ours(path))]
    if taken:
        more = f" and {len(taken) - 1} more" if taken[1:] else ""
        whose = ", and not as this command writes it, or too damaged to tell" if ours else ""
        raise InputError(
            f"got {taken[0]}{more}, which exists already{whose}, expected a new place; choose another --out, or replace it with "
            "--overwrite"
        )


def is_content(path: Path) -> bool:
    """Tell whether something would be lost if `path` were overwritten; a power cut leaves empty files, and files of zeros."""
    if not path.is_file():
        return os.path.exists(path)
    with path.open("rb") as file:
        return any(chunk.strip(b"\0") for chunk in iter(lambda: file.read(1 << 16), b""))


def remove_stale(folder: Path) -> None:
    """Remove the partial files and folders that killed processes left in `folder`, and bring back a half-replaced folder.

    Writers call it once for every folder. Where `folder` cannot be read nothing happens.
    """
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = STALE.fullmatch(entry.name)
            if match is not None and (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                with contextlib.suppress(OSError):
                    _remove_if_unlocked(Path(entry.path), folder / match["name"], match["kind"])


def _remove_if_unlocked(path: Path, target: Path, kind: str) -> None:
    lock = os.open(path, os.O_RDONLY)
    try:
        if not _lock(lock):
            return
        if kind == "replaced" and not target.exists():
            path.rename(target)  # its writer was killed between the two renames
        elif path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(lock)


def _create(target: Path, folder: bool) -> tuple[Path, int]:
    """Make and lock an empty partial file or folder beside `target`; returns its path and the handle with the lock."""
    target.parent.mkdir(parents=True, exist_ok=True)
    parent = target.parent.resolve()
    with _sweeping:
        if parent not in _swept:
            remove_stale(parent)
            _swept.add(parent)
    while True:
        partial = _hidden_name(target, "partial", keep_suffix=not folder)
        if folder:
            partial.mkdir()
        handle = os.open(partial, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        # Another process may sweep between the creation and the lock: then the file is locked by it, or has no name left.
        if _lock(handle) is not False and os.fstat(handle).st_nlink > 0:
            return partial, handle
        os.close(handle)


def _hidden_name(target: Path, kind: str, keep_suffix: bool) -> Path:
    """Return a unique path beside `target`; a long name is cut, since the addition must fit too."""
    suffix = target.suffix if keep_suffix and 1 < len(os.fsencode(target.suffix)) <= 16 else ""
    tail = f".{secrets.token_hex(6)}.{kind}{suffix}"
    stem, room = os.fsencode(target.name.removesuffix(suffix)), LONGEST_NAME - 1 - len(os.fsencode(tail))
    shown = os.fsdecode(stem) if len(stem) <= room else stem[:room].decode(sys.getfilesystemencoding(), "ignore")
    return target.with_name(f".{shown or 'file'}{tail}")


def _replace_folder(partial: Path, target: Path) -> None:
    replaced = _hidden_name(target, "replaced", keep_suffix=False)
    lock = os.open(target, os.O_RDONLY)
    try:
        _lock(lock)
        target.rename(replaced)
        try:
            partial.rename(target)
        except BaseException:
            if not target.exists():
                replaced.rename(target)
            raise
        finally:
            shutil.rmtree(replaced, ignore_errors=True)
    finally:
        os.close(lock)


def _rename_new(partial: Path, target: Path) -> None:
    """Give `partial` its name unless something has it, also where another process is as quick."""
    try:
        os.link(partial, target)
    except FileExistsError as error:
        raise _exists(target) from error
    except OSError:  # the file system has no hard links
        if os.path.lexists(target):
            raise _exists(target) from None
        partial.rename(target)


def _check_file_target(target: Path, replace: bool) -> None:
    if target.is_dir():
        raise InputError(f"got the folder {target}, expected a file to write; add a file name")
    if target.exists() and not target.is_file():
        raise InputError(f"got {target}, which is a device or a pipe, expected a file to write")
    if not replace and os.path.lexists(target):
        raise _exists(target)


def _check_folder_target(target: Path, replace: bool) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"got the file {target}, expected a folder to write; choose another name")
    if not replace and target.exists() and any(target.iterdir()):
        raise InputError(f"got the folder {target}, which is not empty; choose another name or remove it")


def _exists(target: Path) -> InputError:
    return InputError(f"got {target}, which exists already; choose another name or remove it")


def _lock(handle: int) -> bool | None:
    """Lock an open file or folder until it is closed; False where another process holds it, None without locks here."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sync(path: Path) -> None:
    """Bring a file or the entries of a folder to the disk; not every file system can sync a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():
            raise
    finally:
        os.close(handle)
