"""Fixtures that every folder's tests share; each is made once a session, by the real commands."""

from __future__ import annotations
from edge_runtime.cli import run_command

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from in_process import Done

ROOT = Path(__file__).resolve().parent.parent
PACKAGE_MANAGERS = {"pip", "pip3", "uv", "npm", "npx", "apt", "apt-get"}
is_quick_test = False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--rewrite-readme`."""
    parser.addoption("--rewrite-readme", action="store_true", help="put what the README's commands print into it")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note whether the test belongs to `make check`, which installs nothing."""
    global is_quick_test
    is_quick_test = not {"slow", "full"} & item.keywords.keys()


def _refuse_package_managers(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "subprocess.Popen" and is_quick_test:
        words = [Path(os.fsdecode(word)).name for word in arguments[1] if isinstance(word, str | bytes | os.PathLike)]
        started = {words[0], *(after for word, after in zip(words, words[1:], strict=False) if word == "-m")}
        if started & PACKAGE_MANAGERS:
            pytest.fail(f"{' '.join(words)}: a test that installs something is marked `slow` or `full`")


sys.addaudithook(_refuse_package_managers)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function (name, make) that has `make` fill a folder, once for all processes of a run, and returns the folder."""
    folder = tmp_path_factory.getbasetemp()
    shared = folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder

    def once(name: str, make: Callable[[Path], object]) -> Path:
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (shared / name).exists():
                (shared / f"{name}.partial").mkdir()
                make(shared / f"{name}.partial")
                (shared / f"{name}.partial").rename(shared / name)
        return shared / name

    return once


def _start(*words: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """Return the project's root."""
    return ROOT


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function (main, config type, words) that runs a command in this process, as `python -m` would run it."""

    def run(main: Callable[[Any], None], config_type: type[Any], *words: str | bytes | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["command", *map(os.fsdecode, words)])
        capfd.readouterr()
        code = 0
        try:
            run_command(main, config_type)
        except SystemExit as stop:
            code = int(stop.code or 0)
        return Done(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def zig(once: Callable[..., Path]) -> Path:
    """Return Zig, which `make dist` compiles with."""
    place = Path(".cache") / "ziglang" / "ziglang" / "zig"
    once("zig", lambda _: subprocess.run(["make", "--no-print-directory", place], cwd=ROOT, check=True, timeout=300))
    return ROOT / place


@pytest.fixture(scope="session")
def sky_data() -> Path:
    """Return the folder of real labeled images, which is never part of the project."""
    folder = ROOT.parent / "shared" / "data" / "sky"
    if not folder.is_dir():
        pytest.skip("the real images (../shared/data/sky) are not here")
    return folder


@pytest.fixture(scope="session")
def scene_dir(once: Callable[..., Path]) -> Path:
    """Return a folder of 12 procedural scenes in the `test` split, with masks and manifest."""
    from scenes.render import RenderConfig, main

    return once("scenes", lambda folder: main(RenderConfig(folder, count=12, seed=7, size=(240, 320), split="test")))


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
def artifacts(tiny_checkpoint: Path, once: Callable[..., Path]) -> dict[str, Path]:
    """Return fp32 artifacts of the smallest network, exported by the commands, by FORMAT-PRECISION."""
    formats = ("onnx", "tflite", "ncnn", "torch")

    def make(folder: Path) -> None:
        flags = ("--checkpoint", tiny_checkpoint, "--out")
        started = [_start(f"export/to_{name}.py", *flags, folder / f"{name}-fp32") for name in formats]
        assert [process.wait(timeout=600) for process in started] == [0] * len(formats)

    folder = once("artifacts", make)
    return {f"{name}-fp32": folder / f"{name}-fp32" for name in formats}
