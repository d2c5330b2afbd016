"""The lock, the page of licenses and the bill of materials."""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from edge_runtime.artifact.artifact import file_sha256
from edge_runtime.errors import GateError
from tools import audit, make_dist, shell
from tools.audit import LOCKS
from tools.licenses import blocks, page, pinned
from tools.make_sbom import cpp_parts, write_sbom


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_hashes(project_root: Path, name: str) -> None:
    text = (project_root / name).read_text()
    assert "://" not in text and not re.search(r"(?m)^\s*-", text.replace("    --hash", "")), "an index or a path is named"
    for package, block in blocks(text).items():
        line, *rest = block.splitlines()
        assert re.fullmatch(r"[\w.-]+==[\w.+]+( ; .+)? \\", line), line
        hashes = [entry for entry in rest if not entry.startswith("    #")]
        assert hashes and all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", entry) for entry in hashes), package


def test_the_lock_holds_what_is_asked_for(project_root: Path) -> None:
    asked = [line for line in (project_root / "requirements.in").read_text().splitlines() if line and not line.startswith("#")]
    locked = blocks((project_root / "requirements.txt").read_text())
    for line in asked:
        assert locked[Requirement(line).name].startswith(f"{line} "), f"{line}: run make lock"


def test_audit_says_what_it_can_without_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    said = audit.check_pins()  # the environment is that of the lock, or it says: run make setup
    assert [line.partition(":")[0] for line in said] == [*LOCKS, "web_demo/package-lock.json", ".venv"]
    monkeypatch.setattr(audit, "pinned", lambda: {"numpy": "0.1"})
    with pytest.raises(GateError, match=r"got numpy \S+ installed, expected the versions of requirements.txt; run make setup"):
        audit.check_pins()


def test_the_licenses_are_those_of_the_lock(project_root: Path) -> None:
    written = (project_root / "docs" / "licenses.md").read_text()
    assert written == page(), "run make licenses"
    rows = re.findall(r"(?m)^\| (\S+) \| (\S+) \| .+ \|$", written.partition("## The web page")[0])
    assert {name: version for name, version in rows if name != "package"} == pinned()
    assert "not declared" not in written


def test_the_index_says_what_each_file_is_and_its_hash(tmp_path: Path) -> None:
    names = ["skyedge-1.0-py3-none-any.whl", "skyedge-1.0.tgz", "skyedge-aarch64-linux-musl.tar.gz", "unet_lite-onnx-int8.tar.gz"]
    for name in names:
        (tmp_path / name).write_text(name)
    assert make_dist.write_index(tmp_path) == len(names)
    page = (tmp_path / "index.html").read_text()
    kinds = ("Python package", "npm package", "static libraries", "terms: research, non-commercial")
    for name, kind in zip(names, kinds, strict=True):
        (row,) = [line for line in page.splitlines() if f'href="{name}"' in line]
        assert kind in row and file_sha256(tmp_path / name) in row
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.full  # makes an environment of its own
def test_the_bill_of_materials(project_root: Path, zig: Path, tmp_path: Path) -> None:
    python = make_dist.install(make_dist.build_wheels(tmp_path / "wheels"), tmp_path / "env")
    write_sbom(tmp_path / "sbom.cdx.json", python, zig)  # validates what it writes
    text = (tmp_path / "sbom.cdx.json").read_text()
    assert str(project_root) not in text and "file:" not in text
    bill = json.loads(text)
    names = {canonicalize_name(part["name"]) for part in bill["components"]}
    assert {"numpy", "pillow", "tyro", "onnxruntime"} <= names and not {"pytest", "torch", "pillow-heif"} & names
    references = [part["bom-ref"] for part in bill["components"]]
    assert {part["bom-ref"] for part in cpp_parts(zig)} <= set(references) and len(references) == len(set(references))


@pytest.mark.full  # compiles ncnn and the core
def test_an_app_links_against_the_static_library(project_root: Path, zig: Path, tmp_path: Path) -> None:
    target = f"{platform.machine()}-linux-musl"
    make_dist.build_native(zig, target, tmp_path)
    shutil.unpack_archive(tmp_path / f"skyedge-{target}.tar.gz", tmp_path, filter="data")
    app = tmp_path / "app"
    app.mkdir()
    page = (project_root / "docs" / "cpp.md").read_text()
    for language, name in (("cmake", "CMakeLists.txt"), ("cpp", "main.cpp")):
        found = re.search(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
        assert found is not None
        (app / name).write_text(found[1])
    toolchain = project_root / "cpp_demo" / "cmake" / "zig.cmake"
    flags = [f"-DCMAKE_TOOLCHAIN_FILE={toolchain}", f"-DSKYEDGE_ZIG={zig}", f"-DSKYEDGE_ZIG_TARGET={target}"]
    shell.run("cmake", "-S", app, "-B", app / "b", f"-Dskyedge_DIR={next(tmp_path.glob('skyedge-*/lib*/cmake/skyedge'))}", *flags)
    shell.run("cmake", "--build", app / "b")
    said = shell.run(app / "b" / "app", project_root / "models" / "unet_lite_s" / "ncnn-int8")
    assert re.fullmatch(r"alpha of the first pixel: \d+\n", said)


@pytest.mark.full
def test_the_hash_of_another_file_is_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "requirements.txt"
    wrong.write_text(f"iniconfig==2.3.1 --hash=sha256:{'0' * 64}\n")
    words = ("-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "-d", tmp_path, "-r", wrong)
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode and "DO NOT MATCH THE HASHES" in done.stderr
