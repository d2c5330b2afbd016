"""One dataclass is the command line and the config file: what wins, what is refused, and the exit codes."""

from __future__ import annotations
from edge_runtime.cli import Terminated, parse, run_command

import functools
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro

from edge_runtime.errors import GateError, InputError


@dataclass(frozen=True)
class Job:
    """A config with every kind of field that the commands have."""

    inputs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Positional words."""
    out: Path
    """Has no default."""
    lr: float = 0.1
    """A number."""
    overlay: bool = False
    """A switch."""
    limit: int | None = 3
    """May be None."""
    device: Literal["cpu", "cuda"] = "cpu"
    """A choice."""
    label: str = "x"
    """A text."""
    sizes: tuple[int, ...] = (1,)
    """A list."""


PRESETS = {"small": Job((Path("a"),), Path("o"), label="small"), "large": Job((), Path("o"), label="large")}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_required_fields_may_come_from_the_line(config: Path) -> None:
    config.write_text("overlay: true\nlr: 1e-3\n")
    job = parse(["a.jpg", "b.jpg", "--out", "o", "--config", str(config)], Job)
    assert job == Job((Path("a.jpg"), Path("b.jpg")), Path("o"), lr=0.001, overlay=True)


def test_the_line_wins_over_the_file_and_the_file_over_the_preset(config: Path) -> None:
    config.write_text("inputs: [x, y]\nout: file\noverlay: true\nlabel: --odd\nlimit: null\nsizes: []\nlr: -5\n")
    from_file = Job((Path("x"), Path("y")), Path("file"), -5.0, True, None, label="--odd", sizes=())
    assert parse([f"--config={config}"], Job) == from_file
    line = ["z", "--no-overlay", "--lr", "2", "--sizes", "4", "5", "--config", str(config)]
    expected = Job((Path("z"),), Path("file"), 2.0, False, None, label="--odd", sizes=(4, 5))
    assert parse(line, Job) == expected
    assert parse(["small", *line], Job, PRESETS) == expected
    config.write_text("lr: 7")
    assert parse(["large", "--config", str(config)], Job, PRESETS) == Job((), Path("o"), 7.0, label="large")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("color: red", "got the key color, expected keys among inputs, out"),
        ("lr: fast", "got lr 'fast', expected float; write FLAG: VALUE"),
        ("overlay: maybe", "got overlay 'maybe', expected bool"),
        ("device: npu", "got device 'npu', expected .*cuda"),
        ("sizes: [1, b]", "got sizes"),
        ("- a", "got list, expected a mapping"),
        ("", "got NoneType, expected a mapping"),
        ("a: [", "(?s)got what cannot be read .*, expected YAML"),
        ("[" * 100_000, "cannot be read"),
        ("sizes: &a [*a]", "got sizes"),
        ("lr: " + "1" * 5000, "cannot be read"),
        ("? [1, 2]\n: 3", "cannot be read"),
        ("!!python/object/apply:os.mkdir [executed]", "cannot be read"),
        ("#" * 1_100_000, "got str, expected a mapping .*, of at most 1048576 bytes"),
    ],
)
def test_bad_files_are_refused(config: Path, text: str, message: str) -> None:
    config.write_text(text)
    with pytest.raises(InputError, match=message):
        parse(["a", "--out", "o", "--config", str(config)], Job)


def test_other_refusals(config: Path) -> None:
    with pytest.raises(InputError, match="cannot be read .*No such file"):
        parse(["--config", str(config)], Job)
    with pytest.raises(InputError, match="got --config without a file"):
        parse(["--config"], Job)
    with pytest.raises(InputError, match="got preset 'huge', expected one of small, large"):
        parse(["huge"], Job, PRESETS)
    config.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="cannot be read .*utf-8"):
        parse(["--config", str(config)], Job)
    with pytest.raises(SystemExit) as stop:
        parse(["a", "--out", "o", "--lr", "fast"], Job)
    assert stop.value.code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, None),
        (GateError("x"), 1),
        (InputError("x"), 2),
        (FileExistsError("x"), 2),
        (MemoryError("x"), 2),
        (ZeroDivisionError("x"), 2),
        (RecursionError("x"), 2),
        (KeyboardInterrupt(), 130),
        (Terminated(signal.SIGTERM), 143),
    ],
)
def test_exit_codes(
    error: BaseException | None, code: int | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def main(job: Job) -> None:
        if error is not None:
            raise error

    monkeypatch.setattr(sys, "argv", ["job", "a", "--out", "o"])
    if code is None:
        run_command(main, Job)
        return
    with pytest.raises(SystemExit) as stop:
        run_command(main, Job)
    assert stop.value.code == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.strip() and "Traceback" not in captured.err
    monkeypatch.setattr(sys, "argv", ["job", "a", "--debug", "--out", "o"])
    with pytest.raises(SystemExit) as stop:
        run_command(main, Job)
    assert stop.value.code == code and "Traceback" in capsys.readouterr().err


def test_aliases_that_mean_endless_lists(config: Path) -> None:
    lines = [f"  - &{y} [{','.join(['*' + x] * 10)}]\n" for x, y in zip("abcdefghi", "bcdefghij", strict=True)]
    config.write_text("sizes:\n  - &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(lines))
    with pytest.raises(InputError, match="got sizes"):
        parse(["a", "--out", "o", "--config", str(config)], Job)


COMMAND = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from edge_runtime.cli import run_command
from edge_runtime.files import partial_file
@dataclass(frozen=True)
class Job:
    out: Path = Path("out.txt")
    say: str = "x"
def main(job):
    if job.say == "hang":
        with partial_file(job.out) as partial:
            print("writing", flush=True)
            time.sleep(600)
    for _ in range(100_000 if job.say == "much" else 1):
        print(job.say, job.out)
run_command(main, Job)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_signals_end_a_command_without_leftovers(tmp_path: Path, number: signal.Signals, code: int) -> None:
    words = [sys.executable, "-c", COMMAND, "--out", str(tmp_path / "out.txt"), "--say", "hang"]
    default = functools.partial(signal.signal, number, signal.SIG_DFL)  # nohup and background jobs pass on ignored signals
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=default) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == "writing\n"
        process.send_signal(number)
        assert process.wait(30) == code
        assert process.stderr.read() in ("interrupted\n", f"ended by {number.name}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="tells which libraries are imported so far")
@pytest.mark.parametrize(
    ("words", "library"),
    [(("-m", "edge_runtime.segment"), "numpy"), (("train/fit.py",), "libtorch"), (("-m", "skyedge.replace"), "PIL")],
)
def test_a_signal_during_imports(words: tuple[str, ...], library: str, project_root: Path) -> None:
    default = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    with subprocess.Popen([sys.executable, *words], cwd=project_root, stderr=subprocess.PIPE, preexec_fn=default) as process:
        assert process.stderr is not None
        while library not in Path(f"/proc/{process.pid}/maps").read_text():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"interrupted\n" and process.wait(60) in (-signal.SIGINT, 130)


def test_names_and_pipes_of_every_kind() -> None:
    odd = [sys.executable, "-c", COMMAND, "--out", b"\xff\xfe.txt", "--say", "ü"]
    for encoding in ("ascii", "utf-8"):
        done = subprocess.run(odd, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding})
        assert done.returncode == 0 and b"\\udcff" in done.stdout and done.stderr == b""
    long = subprocess.run([*odd[:4], "x" * 300, "--say", "hang"], capture_output=True, text=True)
    assert long.returncode == 2 and "too long" in long.stderr and "expected a path to read or write; check" in long.stderr
    much = subprocess.Popen([*odd[:3], "--say", "much"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert much.stdout is not None and much.stderr is not None
    much.stdout.readline()
    much.stdout.close()
    assert much.wait(60) == 141 and much.stderr.read() == b""
    much.stderr.close()


@pytest.mark.slow
def test_config_file_of_a_real_command(artifacts: dict[str, Path], config: Path) -> None:
    config.write_text(f"folders: [{artifacts['onnx-fp32']}]\nthreads: 2\n")
    result = subprocess.run(
        [sys.executable, "-m", "edge_runtime.verify", "--config", str(config)], capture_output=True, text=True
    )
    assert result.returncode == 0 and result.stdout.endswith("ok\n"), result.stderr
