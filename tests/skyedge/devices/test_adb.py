"""A device over adb: Debian's client, a stand-in for the device's side, and the program for Arm in an emulator."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.benchmark.results import FULL, Results, Rule, default_out
from edge_runtime.errors import InputError
from skyedge.devices.measure import Devices, measure_device

pytestmark = pytest.mark.slow
SERVER = Path(__file__).with_name("adb_server.py")
SHORT = Rule(turns=2, min_runs=2, min_seconds=0.0)
EMULATOR = "qemu-aarch64 -cpu cortex-a53"
LIMIT_BYTES = 1 << 20


@pytest.fixture(scope="module")
def tiny(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an artifact whose network is one layer."""
    build = project_root / "cpp_demo" / "build"
    if not (build / "aarch64" / "skyedge").is_file() or shutil.which("qemu-aarch64") is None:
        pytest.skip("cpp_demo/build/aarch64/skyedge is not built; run `make cpp-arm`")
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny").mkdir()
    subprocess.run([build / "tests" / "write_tiny_artifact", "tiny", "image.png"], cwd=folder, check=True)
    return folder / "tiny"


@pytest.fixture(scope="module")
def adb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give adb a server and a home of its own, so that this user's devices and keys are left alone."""
    if shutil.which("adb") is None:
        pytest.skip("adb is not installed; run `make packages`")
    with socket.socket() as probe, pytest.MonkeyPatch.context() as patch:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        patch.setenv("ANDROID_ADB_SERVER_PORT", str(port))
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
        subprocess.run(["adb", "kill-server"], check=True, capture_output=True)


def start_device(folder: Path, before: Callable[[], None] | None = None) -> tuple[subprocess.Popen[str], str]:
    """Start a stand-in; return its process and address."""
    folder.mkdir()
    words = [sys.executable, SERVER, "--folder", folder]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, preexec_fn=before)
    assert process.stdout
    return process, f"adb://127.0.0.1:{int(process.stdout.readline())}"


@pytest.fixture
def device(adb: None, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Return a stand-in that runs, and its address."""
    process, address = start_device(tmp_path / "bin")
    yield process, address
    process.kill()
    process.wait()


def measure(
    address: str, tiny: Path, cache: Path, hear: Callable[[str], None] = print, binary: Path | None = None, rule: Rule = SHORT
) -> Results:
    config = Devices((tiny,), address, cache=str(cache), prefix=EMULATOR, binary=binary)
    return measure_device(config, {"tiny": read_artifact(tiny)}, rule, hear)


def listed_devices() -> str:
    return (
        subprocess.run(["adb", "devices"], capture_output=True, text=True, check=True).stdout.partition("attached\n")[2].strip()
    )


def test_the_arm_program_runs_and_is_called_an_emulator(
    device: tuple[subprocess.Popen[str], str], tiny: Path, tmp_path: Path
) -> None:
    lines: list[str] = []
    results: Results = measure(device[1], tiny, tmp_path / "dev", lines.append)
    assert results.machine.architecture == "aarch64" and results.rows[0].artifact == "tiny"
    assert results.device_run is not None and results.device_run.link == "adb"
    assert results.device_run.emulator == f"a program for aarch64 on {results.machine.cpu}"
    assert results.machine.name.startswith("emulated: ") and "emulator" in results.warnings[0]
    assert default_out(results).name.startswith("emulated-") and default_out(results).parent == Path("results/devices")
    assert "aarch64, 6." in lines[0]  # MB of the program
    assert [path.name for path in (tmp_path / "dev").iterdir()] == ["files"]
    assert listed_devices() == ""  # it connected, so it disconnected
    measure(device[1], tiny, tmp_path / "dev", lines.append)
    assert any("0.00 MB brought" in line for line in lines)


def test_a_program_for_another_architecture(device: tuple[subprocess.Popen[str], str], tiny: Path, tmp_path: Path) -> None:
    x86 = Path(__file__).parents[3] / "cpp_demo" / "build" / "skyedge"
    with pytest.raises(InputError, match="for x86_64, expected a program for aarch64"):
        measure(device[1], tiny, tmp_path / "dev", binary=x86)
    assert not (tmp_path / "dev").exists()


def test_a_device_lost_in_the_middle(device: tuple[subprocess.Popen[str], str], tiny: Path, tmp_path: Path) -> None:
    process, address = device

    def lose(line: str) -> None:
        if "turn 1 of" in line:
            process.kill()

    with pytest.raises(InputError, match="lost adb://.* in the middle"):
        measure(address, tiny, tmp_path / "dev", lose, rule=FULL)
    end = time.monotonic() + 20.0
    while [path.name for path in (tmp_path / "dev").iterdir()] != ["files"]:  # what ran there saw its stdin end
        assert time.monotonic() < end
        time.sleep(0.02)
    assert listed_devices() == ""


def test_no_room(adb: None, tiny: Path, tmp_path: Path) -> None:
    def small_files_only() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))

    process, address = start_device(tmp_path / "bin", small_files_only)
    try:
        with pytest.raises(InputError, match="got no space on adb://.*File too large"):
            measure(address, tiny, tmp_path / "dev")
    finally:
        process.kill()
        process.wait()
    assert [path.name for path in (tmp_path / "dev").iterdir()] == ["files"] and not os.listdir(tmp_path / "dev" / "files")


def test_nobody_there(adb: None, tiny: Path, tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match="adb over network"):
            measure(f"adb://127.0.0.1:{closed.getsockname()[1]}", tiny, tmp_path)
    with pytest.raises(InputError, match="'nosuch' not found.*expected a device that is ready"):
        measure("adb://nosuch", tiny, tmp_path)
