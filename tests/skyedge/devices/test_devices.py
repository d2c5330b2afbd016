"""Parts of a measurement on a device that need no device: addresses, sensors, drift, and what is refused."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.benchmark.device_record import Call, DeviceRun, Drift, State, Window, find_drift
from edge_runtime.benchmark.results import read_results, write_results
from edge_runtime.errors import InputError
from skyedge.devices.cache import Device, choose_program
from skyedge.devices.errors import LostError
from skyedge.devices.link import Link, open_link
from skyedge.devices.measure import Devices, find_emulator, format_run
from skyedge.devices.run import main
from skyedge.devices.state import parse_state, shell_functions

pytestmark = pytest.mark.slow
HOST = open_link("host")
RELEASED = Path(__file__).parents[3] / "models" / "unet_lite_s"


def tree(folder: Path, files: dict[str, str]) -> Path:
    """Write files as /sys has them, and return the folder."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n")
    return folder


def ask(sys: Path, function: str) -> list[list[str]]:
    """Run one of the shell functions on a tree, as a device would."""
    done = HOST.run(shell_functions(str(sys)) + function)
    assert done.code == 0 and done.err == ""
    return [line.split("\t", 2) for line in done.out.splitlines()]


BOARD = {
    "devices/system/cpu/cpu0/cpufreq/scaling_governor": "schedutil",
    "devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1800000",
    "devices/system/cpu/cpu4/cpufreq/scaling_governor": "performance",
    "devices/system/cpu/cpu4/cpufreq/scaling_cur_freq": "2400000",
    "devices/system/cpu/cpu5/cpufreq/scaling_governor": "performance",
    "devices/system/cpu/cpu5/cpufreq/scaling_cur_freq": "<unknown>",
    "devices/system/cpu/cpu6/online": "0",
    "class/thermal/thermal_zone0/type": "cpu thermal",
    "class/thermal/thermal_zone0/temp": "45500",
    "class/thermal/thermal_zone1/type": "not connected",
    "class/thermal/thermal_zone1/temp": "-274000",
    "class/hwmon/hwmon1/name": "k10temp",
    "class/hwmon/hwmon1/temp1_input": "61250",
}


def test_sensors_are_read_by_the_shell(tmp_path: Path) -> None:
    state = parse_state(ask(tree(tmp_path, BOARD), "state before"))
    assert state == State(
        governors=("schedutil", "performance"),
        clocks_mhz={"cpu0": 1800.0, "cpu4": 2400.0},
        temperatures_c={"cpu thermal 0": 45.5, "k10temp temp1": 61.25},
    )
    assert parse_state(ask(tmp_path / "nothing", "state before")) == State((), {}, {})


CALL = Call(1, "skyedge bench", State((), {}, {}), State((), {}, {}), 1.0)


def test_drift_is_last_against_first() -> None:
    windows = tuple(Window(float(index), {"a": value}, CALL) for index, value in enumerate((2.0, 3.0, 2.5)))
    assert find_drift(windows) == (Drift("a", 1, 2.0, 2.5, 3.0, 0.25),)
    assert find_drift(windows[:1]) == ()


def test_a_run_reads_as_text() -> None:
    call = dataclasses.replace(
        CALL,
        before=State(("performance",), {"cpu0": 2400.0}, {"cpu": 40.0}),
        after=State(("performance",), {"cpu0": 1800.0}, {"cpu": 70.6}),
    )
    text = format_run(DeviceRun("ssh", "", None, "0" * 64, (call,), 1.0, (), (Drift("a", 1, 2.0, 2.5, 3.0, 0.25),)))
    assert "governor performance, clock 2400 -> 1800 MHz, hottest 40 -> 71 °C" in text
    assert "drift: a, 1 thread: 2.00 -> 2.50 ms (+25.0%), slowest 3.00 ms" in text


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("ssh://pi@board:2222", ["-p", "2222", "-l", "pi", "--", "board"]),
        ("ssh://board", ["RemoteCommand=none", "--", "board"]),
        ("ssh://[::1]:22/", ["-p", "22", "--", "::1"]),
        ("adb://0123456789ABCDEF", ["adb", "-s", "0123456789ABCDEF", "shell"]),
        ("adb://192.168.1.5:5555", ["adb", "-s", "192.168.1.5:5555", "shell"]),
    ],
)
def test_addresses(device: str, words: list[str]) -> None:
    assert list(open_link(device).words)[-len(words) :] == words


@pytest.mark.parametrize(
    "device",
    ["board", "ssh://", "adb://", "http://board", "ssh://-oProxyCommand=x", "ssh://a:secret@b", "ssh://b/x", "ssh://b:99999",
     "ssh://-x@b", "adb://-d", "adb://a b", "HOST"],
)  # fmt: skip
def test_other_addresses_are_refused(device: str) -> None:
    with pytest.raises(InputError, match="expected host, ssh://user@host:port or adb://SERIAL"):
        open_link(device)


def test_login_scripts_may_talk() -> None:
    noisy = Link("host", "x", ("sh", "-c", 'echo welcome; echo "skyedge-exit 0"; exec sh -c "$0"'), "")
    done = noisy.run("echo out; echo err >&2; exit 7")
    assert (done.code, done.out, done.err) == (7, "out\n", "err\n")


def test_a_silent_device_is_lost(tmp_path: Path) -> None:
    with pytest.raises(LostError, match="silent for 0 s"):
        HOST.run(f"exec 3<&0; cleanup() {{ touch {tmp_path}/clean; }}; read -r _ <&3; exit 1", patience_seconds=0.2)
    assert (tmp_path / "clean").exists()  # its stdin ended, so it could clean up


def test_a_device_that_never_ends_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skyedge.devices.link.GRACE_SECONDS", 0.1)
    with pytest.raises(LostError, match="busy for over 0 s"):
        HOST.run("while :; do echo alive; sleep 0.05; done", limit_seconds=0.3)


def test_a_missing_client_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError, match="apt-get install -y openssh-client"):
        open_link("ssh://board").run("true")


def test_programs_by_architecture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'armv7l', expected x86_64 or aarch64"):
        choose_program(Device("armv7l", "", "", ""), None, "board")
    (tmp_path / "script").write_text("#!/bin/sh\n")
    with pytest.raises(InputError, match="for no known architecture"):
        choose_program(Device("aarch64", "", "", ""), tmp_path / "script", "board")
    with pytest.raises(InputError, match="no program .*name another --binary"):
        choose_program(Device("aarch64", "", "", ""), tmp_path / "nothing", "board")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "of format onnx, expected ncnn"),
        ({"reference": "other"}, "--reference 'other'"),
        ({"threads": (1, 1)}, "each count once"),
        ({"minutes": 1e9}, "--minutes"),
        ({"prefix": "'"}, "--prefix"),
        ({"device": "nowhere"}, "expected host, ssh"),
        ({"device": "ssh://x", "ssh_config": Path("no-such-file")}, "--ssh-config"),
    ],
)
def test_bad_flags_are_refused(flags: dict[str, Any], message: str) -> None:
    folder = RELEASED / ("onnx-fp32" if "onnx" in message else "ncnn-fp16")
    with pytest.raises(InputError, match=message):
        main(Devices(**{"models": (folder,), "device": "host", "quick": True} | flags))


def test_this_machine_through_the_same_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--device host` gives what the other links give; emulators are told by what they cannot hide."""
    if not (Path(__file__).parents[3] / "cpp_demo" / "build" / "skyedge").is_file():
        pytest.skip("cpp_demo/build/skyedge is not built; run `make cpp`")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    main(Devices(models=(RELEASED / "ncnn-fp16",), device="host", quick=True, out=tmp_path / "r.json"))
    results = read_results(tmp_path / "r.json")
    assert results.device_run is not None and results.device_run.emulator is None
    assert [path.name for path in (tmp_path / "skyedge").iterdir()] == ["files"]
    arm = dataclasses.replace(results, machine=dataclasses.replace(results.machine, architecture="aarch64"))
    if "avx" in results.machine.cpu_flags:
        assert "aarch64 on" in (find_emulator(Device("aarch64", "", "", ""), arm, "") or "")
    assert find_emulator(Device("x86_64", "", "", ""), results, "") is None
    assert "run through qemu" in (find_emulator(Device("x86_64", "", "", ""), results, "qemu-x86_64 -d x") or "")
    write_results(results, tmp_path / "again.json")
    assert read_results(tmp_path / "again.json") == results  # the file holds all of it


def test_committed_results_stay_readable(project_root: Path) -> None:
    committed = subprocess.run(["git", "ls-files", "results/*.json"], cwd=project_root, capture_output=True, text=True).stdout
    names = [name for name in committed.split() if Path(name).parent in (Path("results"), Path("results/devices"))]
    for name in names or [str(path.relative_to(project_root)) for path in (project_root / "results").glob("*.json")]:
        assert read_results(project_root / name).rows
