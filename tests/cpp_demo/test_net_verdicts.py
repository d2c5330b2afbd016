"""ncnn files get the same verdict from the check in Python and the one in C++."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.backends.checks.ncnn_check import KEYS, check_ncnn
from edge_runtime.errors import InputError

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
DRIVER = """
#include <fstream>
#include <iostream>
#include <iterator>
#include "core/network/net_check.h"
std::vector<std::uint8_t> read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}
int main() {
    std::string param, bin;
    int height = 0, width = 0;
    while (std::cin >> param >> bin >> height >> width) {
        const skyedge::Failure failure = skyedge::check_net(read(param), read(bin), height, width);
        std::cout << (failure ? failure->message : "accepted") << "\\n";
    }
}
"""
VALUES = (0, 1, 2, 3, 5, 8, 16, 63, 64, 100, -1, -3, 0.5, 1.5, 2.0, -233, 1000, 1048577, "1e2", "x", "")
KINDS = sorted(set(KEYS) - {"Input"})


def random_net(rng: random.Random) -> tuple[bytes, bytes]:
    """Return the files of a network of random layers, with a fair chance to be a good one."""
    outputs, side = rng.choice([1, 4, 8]), rng.choice([1, 3])
    weights = 3 * outputs * side * side
    term = rng.choice(["", "", "", " 8=2", " 8=102"])
    lines = [f"Convolution c 1 1 in0 1 0={outputs} 1={side} 4={rng.choice([0, 1, 64, 65])} 5=1 6={weights}{term}"]
    content = bytes(4 + 4 * weights + 4 * outputs) + (bytes(4 * (outputs + (2 if "10" in term else 1))) if term else b"")
    for number in range(2, 2 + rng.randint(0, 2)):
        kind = rng.choice(KINDS)
        known = sorted(KEYS[kind]) if rng.random() < 0.9 else list(range(32))
        keys = rng.sample(known, min(len(known), rng.randint(0, 3)))
        words = [f"{key}={rng.choice(VALUES)}" for key in keys]
        if rng.random() < 0.2:
            words.append(f"-23300={rng.choice(['1,4', '2,2,2', '2,1', '1,8', '0'])}")
        lines.append(f"{kind} l{number} 1 1 {number - 1} {number} {' '.join(words)}")
    lines.append(f"Sigmoid last 1 1 {len(lines)} out0")
    count = len(lines) + 1
    return f"7767517\n{count} {count}\nInput in0 0 1 in0\n{chr(10).join(lines)}\n".encode(), content


def test_the_verdicts_are_the_same(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("g++ is not installed")
    (tmp_path / "driver.cpp").write_text(DRIVER)
    cpp = ROOT / "cpp_demo"
    sources = [tmp_path / "driver.cpp", cpp / "core" / "network" / "net_check.cpp", cpp / "core" / "network" / "net_shapes.cpp"]
    flags = ["-std=c++17", "-O0", f"-I{cpp}", f"-I{cpp / 'include'}"]
    subprocess.run([compiler, *flags, *map(str, sources), "-o", str(tmp_path / "driver")], check=True, timeout=300)
    rng, cases, expected = random.Random(0), [], []
    nets = [(*random_net(rng), (16, 20)) for _ in range(400)]
    for folder in sorted((ROOT / "models").glob("*/ncnn-*")):
        artifact = read_artifact(folder)
        param, weights = (artifact.file(role).read_bytes() for role in ("param", "bin"))
        nets += [(param, weights, artifact.size), (param, weights[:-1], artifact.size), (param, weights, (31, 17))]
    for number, (param, weights, size) in enumerate(nets):
        (tmp_path / f"{number}.param").write_bytes(param)
        (tmp_path / f"{number}.bin").write_bytes(weights)
        cases.append(f"{tmp_path / str(number)}.param {tmp_path / str(number)}.bin {size[0]} {size[1]}\n")
        try:
            check_ncnn(param, weights, size)
            expected.append("accepted")
        except InputError as error:
            expected.append(str(error))
    done = subprocess.run([str(tmp_path / "driver")], input="".join(cases), capture_output=True, text=True, check=True)
    got = done.stdout.splitlines()
    for (param, _, _), python, other in zip(nets, expected, got, strict=True):
        assert (python == "accepted") == (other == "accepted"), f"{param.decode()}\nPython: {python}\nC++: {other}"
    assert min(expected.count("accepted"), len(expected) - expected.count("accepted")) > 20
