"""`segment` with several workers, several times into one folder, and ended by a signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from segmenting import MODEL, PIXELS, segment, write

from edge_runtime.errors import InputError


@pytest.mark.parametrize("workers", [-1, 1000])
def test_numbers_of_workers(workers: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected 1 to 256"):
        segment(write(tmp_path / "a.jpg"), out=tmp_path / "out", workers=workers)


def test_workers_write_the_same_bytes_and_tell_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        image = Image.fromarray(np.roll(PIXELS, number, axis=0)).resize((60 + 40 * (number % 3), 50))
        image.save(tmp_path / f"{number:02d}.png")
    (tmp_path / "05.png").write_bytes(b"broken")
    told = []
    for workers in (1, 2):
        with pytest.raises(InputError, match="1 of 12 inputs failed"):
            segment(tmp_path, out=tmp_path / str(workers), workers=workers, confidence=True)
        told.append(capsys.readouterr().out.splitlines()[:-1])
    assert told[0] == told[1] and len(told[0]) == 11
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes()


def write_many(folder: Path, count: int) -> None:
    """Write images of 2 megapixels."""
    large = Image.fromarray(PIXELS).resize((1600, 1200))
    folder.mkdir()
    for number in range(count):
        large.save(folder / f"{number:02d}.jpg")


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_ends_workers_and_leaves_whole_masks(workers: int, tmp_path: Path) -> None:
    write_many(tmp_path / "in", 40)
    words = [sys.executable, "-m", "edge_runtime.segment", tmp_path / "in", "--model", MODEL, "--out", tmp_path / "out"]
    run = subprocess.Popen([*map(str, words), "--workers", str(workers)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((tmp_path / "out").glob("[0-9]*.png")) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(signal.SIGTERM)
    assert run.wait(timeout=60) == 143 and run.stderr is not None and "Traceback" not in run.stderr.read()
    done = list((tmp_path / "out").iterdir())
    assert 0 < len(done) < 40 and not [path for path in done if path.name.startswith(".")]
    for path in done:
        assert np.asarray(Image.open(path)).shape == (1200, 1600)


def test_several_runs_into_one_folder(tmp_path: Path) -> None:
    for number in range(6):
        write(tmp_path / "in" / f"{number}.jpg")
    words = [sys.executable, "-m", "edge_runtime.segment", tmp_path / "in", "--model", MODEL, "--out", tmp_path / "out"]
    runs = [subprocess.Popen(list(map(str, words)), stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0, 0], [run.stderr.read() for run in runs if run.stderr]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"{number}.png" for number in range(6)]
