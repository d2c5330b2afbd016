"""No package that we start looks up a host or leaves a device id in the home folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[2] / "models" / "unet_lite_s"
LIBRARY = """
from edge_runtime import Segmenter
import numpy, time
segmenter = Segmenter.load({model!r})
segmenter(numpy.zeros((9, 9, 3), numpy.uint8))
time.sleep(1)
"""


def run_traced(tmp_path: Path, *words: str) -> str:
    """Run Python with a home folder of its own under strace; returns the lines about Internet sockets."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    home, log = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    left_out = ("ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in left_out} | {"HOME": str(home)}
    trace = ["strace", "-f", "-qq", "-e", "trace=socket,connect,sendto,sendmmsg", "-o", str(log)]
    done = subprocess.run([*trace, sys.executable, *words], env=environment, capture_output=True, text=True, timeout=300)
    if "ptrace" in done.stderr and not log.read_text():
        pytest.skip("strace may not trace here")
    assert done.returncode == 0, done.stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
    return "\n".join(line for line in log.read_text().splitlines() if "AF_INET" in line)


@pytest.mark.parametrize("name", ["onnx-int8", "tflite-int8", "ncnn-fp16"])
def test_library_use_looks_nothing_up(tmp_path: Path, name: str) -> None:
    assert run_traced(tmp_path, "-c", LIBRARY.format(model=str(MODELS / name))) == ""


def test_verify_looks_nothing_up(tmp_path: Path) -> None:
    assert run_traced(tmp_path, "-m", "edge_runtime.verify", str(MODELS / "onnx-int8")) == ""


def test_the_trace_sees_a_look_up(tmp_path: Path) -> None:
    look_up = "import socket\ntry: socket.getaddrinfo('example.invalid', 80)\nexcept OSError: pass"
    assert "AF_INET" in run_traced(tmp_path, "-c", look_up)


@pytest.mark.slow
def test_nncf_sends_nothing(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    program = "import edge_runtime; from nncf.telemetry.wrapper import telemetry; telemetry.start_session('nncf')"
    assert run_traced(tmp_path, "-c", program) == ""
