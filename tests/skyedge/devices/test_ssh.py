"""A device over ssh: a real sshd on this machine, with keys of its own, that runs the program built for it."""

from __future__ import annotations

import dataclasses
import getpass
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.benchmark.results import Results, Rule, read_results
from edge_runtime.errors import InputError
from edge_runtime.files import file_sha256
from skyedge.devices.cache import list_files
from skyedge.devices.measure import Devices, measure_device
from skyedge.report.build import ReportConfig, report

pytestmark = pytest.mark.slow
LIMIT_BYTES = 1 << 20  # the program is larger


@dataclass(frozen=True)
class Server:
    """A running sshd: its process, its address, a configuration for ssh that trusts it, and a folder for its files."""

    process: subprocess.Popen[bytes]
    address: str
    config: Path
    cache: Path

    def flags(self) -> tuple[str, ...]:
        """Return flags that lead here."""
        return ("--device", self.address, "--ssh-config", str(self.config), "--cache", str(self.cache))

    def measure(self, models: Path, **changes: Any) -> tuple[Results, float]:
        """Measure for a moment; return the result and how many MB traveled."""
        lines: list[str] = []
        artifact = read_artifact(models / "tiny")
        config = Devices((models,), self.address, cache=str(self.cache), ssh_config=self.config)
        rule = Rule(turns=2, min_runs=2, min_seconds=0.0)
        results = measure_device(dataclasses.replace(config, **changes), {"tiny": artifact}, rule, lines.append)
        assert any("turn 2 of 2" in line for line in lines)
        return results, float(lines[0].partition(" MB brought")[0].split()[-1])


def small_files_only() -> None:
    """Run in the new process: no file beyond `LIMIT_BYTES`, and an error rather than a signal for who tries."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT_BYTES, LIMIT_BYTES))


def start_sshd(folder: Path, before: Callable[[], None] | None = None) -> Server:
    """Start sshd on a free port, with a host key and a user key made for it."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None or shutil.which("ssh-keygen") is None:
        pytest.skip("openssh-server or openssh-client is not installed; run `make packages`")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it parts its privileges, and refuses to run without
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
    )
    key = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {key}")
    write_ssh_config(folder / "ssh_config", folder / "known_hosts", folder / "user_key")
    log = (folder / "sshd.log").open("wb")
    process = subprocess.Popen([sshd, "-D", "-e", "-f", folder / "sshd_config"], stderr=log, preexec_fn=before)
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            assert process.poll() is None, (folder / "sshd.log").read_text()
            time.sleep(0.05)
    return Server(process, f"ssh://{getpass.getuser()}@127.0.0.1:{port}", folder / "ssh_config", folder / "cache")


def write_ssh_config(path: Path, known_hosts: Path, key: Path) -> Path:
    """Write a configuration that knows nothing of this user's own ssh files."""
    path.write_text(
        f"UserKnownHostsFile {known_hosts}\nGlobalKnownHostsFile /dev/null\nIdentityFile {key}\nIdentitiesOnly yes\n"
        "IdentityAgent none\n"
    )
    return path


def stop(server: Server) -> None:
    server.process.terminate()
    server.process.wait(10)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Return an sshd that runs."""
    running = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield running
    stop(running)


@pytest.fixture(scope="module")
def models(project_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the artifact `tiny`, whose network is one layer, from the program that makes it for C++ tests."""
    build = project_root / "cpp_demo" / "build"
    if not (build / "skyedge").is_file() or not (build / "tests" / "write_tiny_artifact").is_file():
        pytest.skip("cpp_demo/build/skyedge is not built; run `make cpp`")
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny").mkdir()
    subprocess.run([build / "tests" / "write_tiny_artifact", "tiny", "image.png"], cwd=folder, check=True)
    return folder


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "skyedge.devices", "--models", "tiny", "--out", "out/r.json", *map(str, words)]


def running_in(folder: Path) -> list[str]:
    """Return the command lines of processes whose current folder lies in `folder`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink().is_relative_to(folder):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended meanwhile, or is not ours
    return found


def wait_until(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_a_run_makes_a_result_file_and_leaves_only_the_cache(server: Server, models: Path, tmp_path: Path) -> None:
    out = tmp_path / "r.json"
    flags = (*server.flags(), "--quick", "--threads", "2", "1", "--minutes", "0.02", "--device-name", "my board", "--out", out)
    done = subprocess.run(command(*flags), cwd=models, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "turn 10 of 10" in done.stderr and done.stdout.rstrip().endswith("r.json") and "drift: tiny-8" in done.stdout
    results = read_results(out)  # checks it against the schema
    assert results.machine.name == "my board" and results.machine.gpu is None
    assert [(row.artifact, row.threads) for row in results.rows] == [("tiny-8-fp32-ncnn", 2), ("tiny-8-fp32-ncnn", 1)]
    fact = results.artifacts[0]
    assert (fact.folder, fact.sha256) == ("tiny", read_artifact(models / "tiny").sha256)
    run = results.device_run
    assert (run.link, run.emulator, run.prefix) == ("ssh", None, "")
    assert [call.threads for call in run.calls] == [2, 1] and all(call.seconds > 0 for call in run.calls)
    assert len(run.windows) >= 4 and len(run.drift) == 2
    assert "127.0.0.1" not in out.read_text()  # the file is to be published
    assert [path.name for path in server.cache.iterdir()] == ["files"] and not running_in(server.cache)
    report(ReportConfig((out,), out=tmp_path / "page"))
    assert "my board" in (tmp_path / "page" / "index.html").read_text()


def test_only_what_is_missing_or_broken_travels(server: Server, models: Path, project_root: Path) -> None:
    cache = server.cache.with_name("travels")
    sent = [server.measure(models, cache=str(cache))[1] for _ in range(2)]
    program = max((cache / "files").iterdir(), key=lambda path: path.stat().st_size)
    program.write_bytes(program.read_bytes()[:-1])
    sent.append(server.measure(models, cache=str(cache))[1])
    program_mb = (project_root / "cpp_demo" / "build" / "skyedge").stat().st_size / 1e6
    assert sent[0] >= round(program_mb, 2) and sent[1] == 0.0 and sent[2] == pytest.approx(program_mb, abs=0.01)
    files = {file_sha256(path) for path in list_files(read_artifact(models / "tiny")).values()}
    assert {path.name for path in (cache / "files").iterdir()} == files | {program.name}
    (cache / "files" / "another").touch()
    server.measure(models, cache=str(cache), keep_cache=False)
    assert [path.name for path in (cache / "files").iterdir()] == ["another"]  # only its own files go
    (cache / "files" / "another").unlink()
    server.measure(models, cache=str(cache), keep_cache=False)
    assert not cache.exists()


def test_a_device_lost_in_the_middle(server: Server, models: Path) -> None:
    process = subprocess.Popen(command(*server.flags()), cwd=models, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:  # the full rule: 20 s and more
        if "turn 1 of" in line:
            break
    assert any("skyedge" in line for line in running_in(server.cache))
    main = server.process.pid
    sessions = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    assert sessions
    for session in sessions:
        os.kill(int(session), signal.SIGKILL)
    said = process.stderr.read()
    assert process.wait(60) == 2
    assert "in the middle" in said and "nothing was written" in said and "Traceback" not in said
    assert not (models / "out").exists()
    assert wait_until(lambda: not running_in(server.cache)), running_in(server.cache)
    assert wait_until(lambda: [path.name for path in server.cache.iterdir()] == ["files"])


def test_an_interrupt_ends_what_runs_there(server: Server, models: Path) -> None:
    # A test run in the background of a shell ignores SIGINT, and what it starts would too.
    process = subprocess.Popen(
        command(*server.flags()), cwd=models, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert process.stderr
    assert any("turn 1 of" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    assert process.stderr.read().endswith("interrupted\n") and process.wait(60) == 130
    assert wait_until(lambda: not running_in(server.cache)), running_in(server.cache)
    assert wait_until(lambda: [path.name for path in server.cache.iterdir()] == ["files"])
    assert not (models / "out").exists()


def test_no_room_by_a_limit(models: Path, tmp_path: Path) -> None:
    small = start_sshd(tmp_path, small_files_only)
    try:
        with pytest.raises(InputError, match="got no space .*(File too large|Wrote only).*--cache"):
            small.measure(models)
    finally:
        stop(small)
    assert [path.name for path in small.cache.iterdir()] == ["files"] and not list((small.cache / "files").iterdir())


def test_no_room_on_a_full_disk(server: Server, models: Path, tmp_path: Path) -> None:
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip("this user may not mount a small file system; the test with a limit takes its place")
    try:
        with pytest.raises(InputError, match=f"got no space .*{tmp_path}.*(No space left on device|Wrote only)"):
            server.measure(models, cache=str(tmp_path / "cache"))
        assert [path.name for path in (tmp_path / "cache").iterdir()] == ["files"]
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_a_host_key_that_is_not_known(server: Server, models: Path, tmp_path: Path) -> None:
    (tmp_path / "known").touch()
    config = write_ssh_config(tmp_path / "config", tmp_path / "known", server.config.parent / "user_key")
    words = command("--device", server.address, "--ssh-config", config, "--cache", server.cache)
    done = subprocess.run(words, cwd=models, capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == "" and not (models / "out").exists()
    port = server.address.rpartition(":")[2]
    assert "got an unknown host key" in done.stderr and f"ssh-keyscan -p {port} 127.0.0.1 >> ~/.ssh/known_hosts" in done.stderr
    assert "Traceback" not in done.stderr and (tmp_path / "known").read_text() == ""  # nothing is trusted unasked


def test_a_host_key_that_changed_and_a_user_key_that_is_not_let_in(server: Server, models: Path, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    port = server.address.rpartition(":")[2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} " + (tmp_path / "other.pub").read_text())
    config = write_ssh_config(tmp_path / "config", tmp_path / "known", server.config.parent / "user_key")
    with pytest.raises(InputError, match=rf"changed host key .*ssh-keygen -R '\[127.0.0.1\]:{port}'"):
        server.measure(models, ssh_config=config)
    config = write_ssh_config(tmp_path / "config", server.config.parent / "known_hosts", tmp_path / "other")
    with pytest.raises(InputError, match="Permission denied .*ssh-copy-id"):
        server.measure(models, ssh_config=config)


def test_nobody_there(server: Server, models: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but not listened to
        with pytest.raises(InputError, match="cannot run commands on .*Connection refused"):
            server.measure(models, device=f"ssh://127.0.0.1:{closed.getsockname()[1]}")


def test_a_program_for_another_architecture(server: Server, models: Path, project_root: Path) -> None:
    arm = project_root / "cpp_demo" / "build" / "aarch64" / "skyedge"
    if not arm.is_file():
        pytest.skip("cpp_demo/build/aarch64/skyedge is not built; run `make cpp-arm`")
    there = server.cache.with_name("never")
    with pytest.raises(InputError, match="for aarch64, expected a program for x86_64"):
        server.measure(models, binary=arm, cache=str(there))
    assert not there.exists()


def test_what_cannot_run_there_says_why(server: Server, models: Path) -> None:
    with pytest.raises(InputError, match="skyedge bench failed on .*no-such-program.*libraries"):
        server.measure(models, prefix="no-such-program -x")
    assert [path.name for path in server.cache.iterdir()] == ["files"]
    with pytest.raises(InputError, match="cannot write to /proc/nowhere"):
        server.measure(models, cache="/proc/nowhere")


def test_a_prefix_is_recorded(server: Server, models: Path) -> None:
    run = server.measure(models, prefix="nice -n 1")[0].device_run
    assert run is not None and run.prefix == "nice -n 1" and run.emulator is None
