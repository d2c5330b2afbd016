"""Faults in the middle of a run: nothing is lost, nothing is doubled, and the counts are equal."""

from __future__ import annotations

import os
import signal
import textwrap
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from skyedge.batch.shards import MANIFESTS, SHARDS

pytestmark = pytest.mark.full
COUNT = 120


@pytest.fixture
def archive(make_images: Callable[..., Path], tools: Any, tmp_path: Path) -> Any:
    """Return an archive of `COUNT` images in some ten shards."""
    return tools.Archive(
        str(make_images(tmp_path / "images", COUNT)), str(tmp_path / "dest"), ("--workers", "2", "--shard", "10")
    )


def committed(archive: Any) -> int:
    folder = Path(archive.dest) / MANIFESTS
    return len(list(folder.glob("*.json"))) if folder.is_dir() else 0


def check(archive: Any, count: int = COUNT, failed: int = 0) -> list[dict[str, Any]]:
    """Check that every image has one record, of its own content, and that no other file is left; returns the records."""
    rows, summary = archive.rows(), archive.summary()
    assert [row["uri"] for row in rows] == sorted({row["uri"] for row in rows}) and len(rows) == count
    assert summary["images"] == count and summary["failed"] == failed == sum(row["error"] is not None for row in rows)
    for row in rows:
        if row["error"] is None:
            assert row["sha256"] == sha256(Path(row["uri"]).read_bytes()).hexdigest() and row["mask"]
    assert len(list((Path(archive.dest) / SHARDS).iterdir())) == committed(archive) == summary["shards"]
    return rows


def processes(run: Any, text: str) -> list[psutil.Process]:
    """Return the processes of a run whose command line holds `text`."""
    found = []
    for process in psutil.Process(run.pid).children(recursive=True):
        try:
            if text in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue  # it ended meanwhile
    return found


def test_segmenting_processes_that_are_killed_cost_a_second_try(archive: Any, tools: Any) -> None:
    run = archive.start()
    for number in (1, 2, 3):
        tools.wait_for(lambda number=number: committed(archive) >= number, run)
        tools.wait_for(lambda: processes(run, "single.open_network"), run)[0].kill()
    tools.ended(run)
    check(archive)
    assert 1 <= archive.summary()["retried"] <= 3


def test_a_driver_that_is_killed_goes_on_where_it_was(archive: Any, tools: Any) -> None:
    for number in (2, 5):
        run = archive.start()
        tools.wait_for(lambda number=number: committed(archive) >= number, run)
        family = psutil.Process(run.pid).children(recursive=True)
        run.kill()
        run.wait()
        assert len(family) >= 2 and not psutil.wait_procs(family, timeout=60)[1]
    before = committed(archive)
    said = archive.run()
    assert f"{COUNT} images to do" not in said and 5 <= before < archive.summary()["shards"]
    rows = check(archive)
    assert "0 images to do" in archive.run() and archive.rows() == rows


def test_a_full_disk_ends_the_run_with_advice_and_room_lets_it_go_on(
    make_images: Callable[..., Path], tools: Any, tmp_path: Path
) -> None:
    """No file may grow beyond a limit that a shard of many images needs: the error of a full disk, at the same place."""
    folder = make_images(tmp_path / "images", 40)
    archive = tools.Archive(str(folder), str(tmp_path / "dest"), ("--workers", "1", "--shard", "40"))
    small = tmp_path / "small"
    small.mkdir()
    if os.geteuid() == 0 and os.system(f"mount -t tmpfs -o size=96k tmpfs {small} 2>/dev/null") == 0:
        try:
            full = tools.Archive(archive.source, str(small / "dest"), archive.flags)
            said = full.run(code=2)
            assert "No space left" in said and "free some room" in said, said
            assert not list((small / "dest" / SHARDS).glob("*.jsonl")) and committed(full) == 0
            assert os.system(f"mount -o remount,size=64m {small}") == 0
            full.run()
            check(full, 40)
        finally:
            os.system(f"umount {small}")
    else:
        pytest.skip("only root can mount a small disk")


POISON = """
    # What a bug in a decoder does, at images that ask for it.
    import os, time
    import PIL.PngImagePlugin as plugin
    loaded = plugin.PngImageFile.load_end
    def load_end(self):
        loaded(self)
        kind = self.info.get("poison")
        if kind == "crash": os.abort()
        if kind == "hang": time.sleep(1000)
        if kind == "once" and not os.path.exists(os.environ["POISON_MARK"]):
            open(os.environ["POISON_MARK"], "w").close()
            os.abort()
    plugin.PngImageFile.load_end = load_end
"""


def test_poison_costs_its_image_alone(make_images: Callable[..., Path], tools: Any, tmp_path: Path) -> None:
    folder = make_images(tmp_path / "images", 30)
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(textwrap.dedent(POISON))
    image = Image.open(folder / "00000.jpg")
    for name in ("crash", "crash2", "hang", "once"):
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("poison", name.rstrip("2"))
        image.save(folder / f"00010{name}.png", pnginfo=info)
    Image.fromarray(np.zeros((12_000, 13_000), np.uint8)).save(folder / "00011bomb.png")
    (folder / "00012text.jpg").write_text("no image")
    os.symlink("nothing", folder / "00013link.jpg")
    environment = (("EXTRA_PATH", str(tmp_path / "path")), ("POISON_MARK", str(tmp_path / "mark")))
    flags = ("--workers", "2", "--shard", "8", "--time-limit", "8", "--memory-limit", "600")
    archive = tools.Archive(str(folder), str(tmp_path / "dest"), flags, environment)
    said = archive.run(code=2)
    assert "6 of 37 images failed" in said, said
    kinds = {Path(row["uri"]).name: row["error_kind"] for row in check(archive, 37, 6) if row["error"] is not None}
    assert kinds == {
        "00010crash.png": "crashed",
        "00010crash2.png": "crashed",
        "00010hang.png": "timed out",
        "00011bomb.png": "memory",
        "00012text.jpg": "unreadable",
        "00013link.jpg": "missing",
    }
    assert archive.summary()["retried"] == 4  # the one that failed once has its mask
    assert archive.run("--allow-failed", "0.5").startswith("37 images in")


def test_a_signal_ends_the_run_and_all_its_processes(archive: Any, tools: Any) -> None:
    run = archive.start()
    tools.wait_for(lambda: committed(archive) >= 2, run)
    family = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGTERM)
    run.wait(60)
    assert run.returncode == 128 + signal.SIGTERM
    assert not psutil.wait_procs(family, timeout=60)[1]
    archive.run()
    check(archive)


def test_two_runs_do_not_share_a_folder(archive: Any, tools: Any) -> None:
    run = archive.start()
    tools.wait_for(lambda: committed(archive) >= 1, run)
    assert "in which another run is at work" in archive.run(code=2)
    tools.ended(run)
    check(archive)


def test_images_that_come_and_go_between_runs(archive: Any, make_images: Callable[..., Path], tools: Any) -> None:
    archive.run()
    folder = Path(archive.source)
    (folder / "00050.jpg").unlink()
    os.replace(folder / "00003.jpg", folder / "00060b.jpg")
    said = archive.run()
    check(archive, COUNT - 1)
    done = int(said.partition(" images to do")[0].rsplit("\n", 1)[-1])
    assert 0 < done < COUNT - 1, said
