"""Fixtures that every folder's tests share; each is made once a session, by the real commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# What `make check` leaves to `make test`.
SLOW_PLACES = (
    "export/",
    "quantize/",
    "cpp_demo/",
    "studies/",
    "web_demo/",
    "train/test_",
    "test_readme.py",
    "skyedge/devices/",
    "edge_runtime/benchmark/",
    "skyedge/report/",
    "skyedge/replace/",
    "edge_runtime/video/",
    "train/engine/",
)
SLOW_FIXTURES = {"artifacts", "server"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full` of `make test-full`, `--quick` of `make check`, and `--rewrite-readme`."""
    parser.addoption("--full", action="store_true", help="run the tests marked `full` too")
    parser.addoption("--quick", action="store_true", help="leave out what converts, trains, compiles or starts servers")
    parser.addoption("--rewrite-readme", action="store_true", help="put what the README's commands print into it")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests to `make test-full`, and with `--quick` those that need a converter, a compiler or a server too."""
    if config.getoption("--quick"):
        quick = [item for item in items if not _is_slow(item)]
        config.hook.pytest_deselected(items=[item for item in items if _is_slow(item)])
        items[:] = quick
    if config.getoption("--full"):
        return
    for item in items:
        if "full" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="long: runs with `make test-full`"))


def _is_slow(item: pytest.Item) -> bool:
    place = item.path.relative_to(ROOT / "tests").as_posix()
    fixtures = set(getattr(item, "fixturenames", ()))
    return place.startswith(SLOW_PLACES) or bool(fixtures & SLOW_FIXTURES) or "full" in item.keywords


def _run(*words: str | Path) -> None:
    subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, check=True, timeout=600)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Return the project's root."""
    return ROOT


@pytest.fixture(scope="session")
def zig() -> Path:
    """Return Zig, which `make dist` compiles with."""
    place = Path(".cache") / "ziglang" / "ziglang" / "zig"
    subprocess.run(["make", "--no-print-directory", place], cwd=ROOT, check=True, timeout=300)
    return ROOT / place


@pytest.fixture(scope="session")
def sky_data() -> Path:
    """Return the folder of real labeled images, which is never part of the project."""
    folder = ROOT.parent / "shared" / "data" / "sky"
    if not folder.is_dir():
        pytest.skip("the real images (../shared/data/sky) are not here")
    return folder


@pytest.fixture(scope="session")
def scene_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of 12 procedural scenes in the `test` split, with masks and manifest."""
    folder = tmp_path_factory.mktemp("scenes")
    _run("-m", "scenes.render", "--out", folder, "--count", "12", "--seed", "7", "--size", "240", "320", "--split", "test")
    return folder


@pytest.fixture(scope="session")
def split_scenes(scene_dir: Path) -> Callable[[Path, int, int], Path]:
    """Return a function (folder, train, val) that copies that many scenes into those splits of `folder`, and returns it."""

    def copy(folder: Path, train: int, val: int = 0) -> Path:
        for split, chosen in (("train", slice(None, train)), ("val", slice(train, train + val))):
            for kind in ("images", "masks"):
                for path in sorted((scene_dir / "test" / kind).iterdir())[chosen]:
                    (folder / split / kind).mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, folder / split / kind)
        return folder

    return copy


@pytest.fixture(scope="session")
def tiny_checkpoint() -> Path:
    """Return the released checkpoint of the smallest network."""
    return ROOT / "models" / "unet_lite_s" / "checkpoint.pt"


@pytest.fixture(scope="session")
def artifacts(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return fp32 artifacts of the smallest network, exported by the commands, by FORMAT-PRECISION."""
    folder = tmp_path_factory.mktemp("artifacts")
    made = {}
    for name in ("onnx", "tflite", "ncnn", "torch"):
        made[f"{name}-fp32"] = folder / f"{name}-fp32"
        _run(f"export/to_{name}.py", "--checkpoint", tiny_checkpoint, "--out", made[f"{name}-fp32"])
    return made
