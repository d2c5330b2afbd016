"""ncnn files and `model.json` get the same verdict from the check in Python and the one in C++."""

from __future__ import annotations

import copy
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from edge_runtime.artifact.artifact import read_artifact
from edge_runtime.artifact.spec import parse_spec
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
SPEC_DRIVER = """
#include <fstream>
#include <iostream>
#include <iterator>
#include "skyedge/model_spec.h"
int main() {
    std::string path;
    while (std::getline(std::cin, path)) {
        std::ifstream file(path, std::ios::binary);
        const auto spec = skyedge::parse_model_spec(std::string(std::istreambuf_iterator<char>(file), {}));
        std::cout << (spec ? "accepted" : spec.error().message) << "\\n";
    }
}
"""
SPEC_VALUES = (
    None, True, 0, 1, 3, -1, 0.5, 1.5, 128, 256, 2**31, 1e299, "", "x", "ncnn", "float32", "a/b", "..", "é", "0" * 64, "A" * 64,
    [], {}, [1, 2, 3], [1, 3, 64, 64], [0.5, 1e30, 1], {"sha256": "0" * 64, "count": 1}, {"scale": 1.0, "zero_point": 0},
)  # fmt: skip
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


def build(folder: Path, code: str, *sources: str) -> Path:
    """Compile a driver with files of `cpp_demo/core`; returns the program."""
    compiler, cpp = shutil.which("g++"), ROOT / "cpp_demo"
    if compiler is None:
        pytest.skip("g++ is not installed")
    (folder / "driver.cpp").write_text(code)
    files = [folder / "driver.cpp", *(path for source in sources for path in sorted((cpp / "core").glob(source)))]
    flags = ["-std=c++17", "-O0", f"-I{cpp}", f"-I{cpp / 'include'}"]
    subprocess.run([compiler, *flags, *map(str, files), "-o", str(folder / "driver")], check=True, timeout=300)
    return folder / "driver"


def places(value: object) -> list[tuple[object, ...]]:
    """Return the way to every value inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(key, *rest) for key, item in inside for rest in [(), *places(item)]]


def mutated_spec(rng: random.Random, good: dict[str, object]) -> bytes:
    """Return a `model.json` with one value changed, left out, renamed or put elsewhere, or with one byte changed."""
    if rng.random() < 0.3:
        text = bytearray(json.dumps(good).encode())
        text[rng.randrange(len(text))] = rng.randrange(256)
        return bytes(text)
    spec = copy.deepcopy(good)
    *way, last = rng.choice(places(spec))
    holder: object = spec
    for key in way:
        holder = holder[key]  # type: ignore[index]
    what = rng.random()
    if what < 0.7 or isinstance(holder, list):
        holder[last] = rng.choice(SPEC_VALUES)  # type: ignore[index]
    elif what < 0.85:
        del holder[last]  # type: ignore[attr-defined]
    else:
        holder[f"{last}_"] = holder.pop(last)  # type: ignore[index, attr-defined]
    return json.dumps(spec, ensure_ascii=rng.random() < 0.5).encode()


def test_specs_get_the_same_verdicts(tmp_path: Path) -> None:
    """1,000 mutated files; Python also takes other formats, so these are of ncnn, whose tensors are float32 and NCHW."""
    driver, rng = build(tmp_path, SPEC_DRIVER, "artifact/*.cpp"), random.Random(0)
    good = json.loads((ROOT / "models" / "unet_lite_s" / "ncnn-int8" / "model.json").read_text()) | {
        "provenance": {"a": [1, "b"]}
    }
    contents, expected = [mutated_spec(rng, good) for _ in range(1000)], []
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.json").write_bytes(content)
        try:
            parse_spec(content.decode())
            expected.append("accepted")
        except ValueError as error:  # `InputError`, or bytes that are not UTF-8
            expected.append(str(error))
    names = "".join(f"{tmp_path / str(number)}.json\n" for number in range(len(contents)))
    done = subprocess.run([str(driver)], input=names, capture_output=True, text=True, errors="replace", check=True)
    for content, python, other in zip(contents, expected, done.stdout.splitlines(), strict=True):
        assert (python == "accepted") == (other == "accepted"), f"{content!r}\nPython: {python}\nC++: {other}"
    assert min(expected.count("accepted"), len(expected) - expected.count("accepted")) > 50


def test_the_verdicts_are_the_same(tmp_path: Path) -> None:
    driver = build(tmp_path, DRIVER, "network/net_*.cpp")
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
    done = subprocess.run([str(driver)], input="".join(cases), capture_output=True, text=True, check=True)
    got = done.stdout.splitlines()
    for (param, _, _), python, other in zip(nets, expected, got, strict=True):
        assert (python == "accepted") == (other == "accepted"), f"{param.decode()}\nPython: {python}\nC++: {other}"
    assert min(expected.count("accepted"), len(expected) - expected.count("accepted")) > 20
