"""The one writer: whole or not at all, no leftovers, and nothing lost when processes meet."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_runtime.errors import InputError
from edge_runtime.files import partial_file, partial_folder, remove_stale, write_bytes, write_json, write_text

HANGING = """
import sys, time
from pathlib import Path
from edge_runtime.files import {call}
with {call}(Path(sys.argv[1])) as partial:
    (partial / "a" if partial.is_dir() else partial).write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def names(folder: Path) -> list[str]:
    """Return what lies in `folder`, hidden files too."""
    return sorted(path.name for path in folder.iterdir())


def start_writer(target: Path, call: str) -> subprocess.Popen[str]:
    """Start a process that hangs in the middle of writing `target`."""
    process = subprocess.Popen([sys.executable, "-c", HANGING.format(call=call), target], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


def test_files_are_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "sky\n")
    write_bytes(tmp_path / "new" / "a.txt", b"ground")
    write_json(tmp_path / "new" / "a.json", {"é": [1, None]})
    assert (tmp_path / "new" / "a.txt").read_bytes() == b"ground"
    assert (tmp_path / "new" / "a.json").read_text(encoding="utf-8") == json.dumps(
        {"é": [1, None]}, indent=1, ensure_ascii=False
    ) + "\n"
    assert names(tmp_path / "new") == ["a.json", "a.txt"]
    assert (tmp_path / "new" / "a.txt").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("fault", [OSError("disk full"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, fault: BaseException) -> None:
    target = tmp_path / "mask.png"
    target.write_bytes(b"old")
    with pytest.raises(type(fault)), partial_file(target) as partial:
        assert partial.suffix == ".png"  # encoders go by it
        partial.write_bytes(b"half")
        raise fault
    folder = tmp_path / "model"
    with pytest.raises(type(fault)), partial_folder(folder) as half:
        (half / "model.json").write_text("{")
        raise fault
    assert target.read_bytes() == b"old" and names(tmp_path) == ["mask.png"]


def test_what_must_not_be_overwritten_is_refused(tmp_path: Path) -> None:
    target, folder = tmp_path / "mask.png", tmp_path / "images"
    write_bytes(target, b"by hand")
    write_bytes(folder / "a.jpg", b"mine")
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    for path, replace, message in (
        (target, False, "exists already"),
        (folder, True, "got the folder"),
        (fifo, True, "a device or a pipe"),
        (Path("/dev/null"), True, "a device or a pipe"),
    ):
        with pytest.raises(InputError, match=message):
            write_bytes(path, b"new", replace)
    for path, message in ((target, "got the file"), (folder, "not empty")):
        with pytest.raises(InputError, match=message), partial_folder(path):
            pass
    assert target.read_bytes() == b"by hand" and names(folder) == ["a.jpg"]
    assert names(tmp_path) == ["images", "mask.png", "pipe"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "mask.png"
    with pytest.raises(InputError, match="exists already"), partial_file(target, replace=False) as partial:
        partial.write_bytes(b"ours")
        target.write_bytes(b"theirs")
    assert target.read_bytes() == b"theirs" and names(tmp_path) == ["mask.png"]


def test_folders_are_replaced_whole(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()  # an empty one counts as free
    for content in ("old", "new"):
        with partial_folder(folder, replace=True) as partial:
            (partial / "deep").mkdir()
            (partial / "deep" / content).write_text(content)
    assert names(folder / "deep") == ["new"] and names(tmp_path) == ["model"]


def test_writers_of_one_target_do_not_meet(tmp_path: Path) -> None:
    target = tmp_path / "mask.png"
    contents = [bytes([number]) * 100_000 for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_bytes(target, content), contents))
    assert target.read_bytes() in contents and names(tmp_path) == ["mask.png"]


@pytest.mark.parametrize("call", ["partial_file", "partial_folder"])
def test_what_a_killed_writer_left_goes_and_a_live_one_is_left_alone(tmp_path: Path, call: str) -> None:
    writer = start_writer(tmp_path / "out", call)
    try:
        remove_stale(tmp_path)
        assert len(names(tmp_path)) == 1 and ".partial" in names(tmp_path)[0]
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (tmp_path / ".someone.elses.partial").touch()
    write_text(tmp_path / "other.txt", "the first write into the folder removes it")
    assert names(tmp_path) == [".someone.elses.partial", "other.txt"]


def test_a_writer_killed_between_two_renames_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / ".model.0123456789ab.replaced").mkdir()
    (tmp_path / ".model.0123456789ab.replaced" / "model.json").write_text("{}")
    remove_stale(tmp_path)
    assert names(tmp_path) == ["model"] and names(tmp_path / "model") == ["model.json"]
    (tmp_path / ".model.0123456789ab.replaced").mkdir()
    remove_stale(tmp_path)
    assert names(tmp_path) == ["model"]


@pytest.mark.parametrize(
    "name", ["x" * 251 + ".png", "ü" * 125 + ".png", "." + "y" * 254, "a." + "b" * 253, os.fsdecode(b"\xff.png")]
)
def test_names_that_just_fit(tmp_path: Path, name: str) -> None:
    write_bytes(tmp_path / name, b"whole")
    assert names(tmp_path) == [name]
